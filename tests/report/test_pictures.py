"""Thumbnails: small, without metadata, with the boxes where they belong."""

import base64
import io
from dataclasses import dataclass

import numpy as np
from PIL import Image

from vrft_aug.nouns import Box
from vrft_aug.report.pictures import SIDE, SMALLEST, thumbnail


@dataclass(frozen=True)
class Grey:
    size: tuple[int, int]

    def open(self) -> Image.Image:
        image = Image.new("RGB", self.size, (120, 120, 120))
        image.getexif()[0x010E] = "name of a patient"
        image.info["comment"] = b"name of a patient"
        return image


def decoded(address: str) -> Image.Image:
    assert address.startswith("data:image/jpeg;base64,")
    return Image.open(io.BytesIO(base64.b64decode(address.split(",")[1])))


def changed(image: Image.Image) -> np.ndarray:
    return np.asarray(np.abs(np.asarray(image).astype(int) - 120).max(axis=-1) > 60)


def test_sizes() -> None:
    assert decoded(thumbnail(Grey((4000, 1000)))).size == (SIDE, SIDE // 4)
    assert decoded(thumbnail(Grey((28, 28)))).size == (SMALLEST, SMALLEST)
    assert decoded(thumbnail(Grey((300, 5000)))).size[1] == SIDE


def test_boxes_lie_where_they_are_in_the_original() -> None:
    image = decoded(thumbnail(Grey((640, 640)), true=[Box(160, 320, 320, 480)]))
    ys, xs = np.nonzero(changed(image))
    assert abs(xs.min() - 80) <= 3 and abs(xs.max() - 160) <= 3
    assert abs(ys.min() - 160) <= 3 and abs(ys.max() - 240) <= 3
    assert not changed(image)[170:230, 90:150].any()  # the inside stays free


def test_labels_stand_at_their_boxes_and_stay_in_the_picture() -> None:
    """Above a true box, below a predicted one; at the border moved inside, over the box."""
    bare = changed(decoded(thumbnail(Grey((320, 320)), true=[Box(100, 100, 200, 200)])))
    named = Box(100, 100, 200, 200, "spot")
    above, below = (
        changed(decoded(thumbnail(Grey((320, 320)), true, said)))
        for true, said in (([named], []), ([], [named]))
    )
    assert above[80:96, 100:200].any() and not above[206:].any() and not bare[80:96].any()
    assert below[206:222, 100:200].any() and not below[80:96].any()
    for box in (Box(0, 0, 30, 30, "a long name"), Box(290, 290, 320, 320, "a long name")):
        for true, said in (([box], []), ([], [box])):
            drawn = decoded(thumbnail(Grey((320, 320)), true, said))
            inked = changed(drawn)[4:-4, 4:-4]
            assert drawn.size == (320, 320) and inked.sum() > 150  # more than a border


def test_true_and_predicted_boxes_look_different() -> None:
    box = [Box(160, 160, 480, 480)]
    solid, dashed = (
        changed(decoded(picture)).sum()
        for picture in (
            thumbnail(Grey((640, 640)), true=box),
            thumbnail(Grey((640, 640)), predicted=box),
        )
    )
    assert 0.4 * solid < dashed < 0.95 * solid


def test_boxes_outside_or_without_extent_do_no_harm() -> None:
    thumbnail(Grey((64, 64)), true=[Box(60, 60, 900, 900)], predicted=[Box(5, 5, 5, 5), Box(-9, -9, 3, 3)])


def test_metadata_is_left_behind() -> None:
    address = thumbnail(Grey((64, 64)))
    assert b"patient" not in base64.b64decode(address.split(",")[1])
