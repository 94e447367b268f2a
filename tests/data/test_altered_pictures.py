"""Pictures as they are not: what is painted where, and that nothing else changes."""

import pickle
from dataclasses import dataclass

import numpy as np
import pytest
from PIL import Image

from vrft_aug.data.altered_pictures import (
    BLUR,
    Blank,
    Blurred,
    Fitted,
    Masked,
    common_colour,
    mean_colour,
    pixels_of,
)
from vrft_aug.data.images import image_size
from vrft_aug.nouns import Box, ImageRef


@dataclass(frozen=True)
class Noise:
    """Noise of 48 x 32 pixels around a level."""

    seed: int
    level: int = 100

    def open(self) -> Image.Image:
        rng = np.random.default_rng(self.seed)
        return Image.fromarray(rng.integers(self.level - 30, self.level + 30, (32, 48, 3), dtype=np.uint8))


PICTURE = Noise(0)


def pixels(image: ImageRef) -> np.ndarray:
    return np.asarray(image.open()).astype(int)


def test_a_mask_covers_every_pixel_that_the_box_touches_and_no_other() -> None:
    boxes = (Box(3.2, 4, 9.5, 10.1), Box(40, 30, 60, 50))  # the second goes beyond the border
    before, after = pixels(PICTURE), pixels(Masked(PICTURE, boxes))
    painted = np.zeros((32, 48), bool)
    painted[4:11, 3:10] = painted[30:, 40:] = True
    assert pixels_of(boxes[0]) == (3, 4, 10, 11)
    assert (after[~painted] == before[~painted]).all()
    assert (after[painted] == before.reshape(-1, 3).mean(axis=0).round()).all()
    assert (pixels(PICTURE) == before).all()  # the picture itself is as it was


def test_blank_pictures_hold_nothing_of_the_single_picture() -> None:
    pictures = [Noise(i, level) for i, level in enumerate((60, 200))]
    colour = common_colour(pictures)
    assert colour == pytest.approx((130, 130, 130), abs=2)
    first, second = (pixels(Blank(one, colour)) for one in pictures)
    assert (first == second).all() and (first == colour).all() and first.shape == (32, 48, 3)
    assert mean_colour([Noise(3, 60).open()]) == pytest.approx((60, 60, 60), abs=2)


def test_a_blurred_picture_keeps_its_shade_and_loses_its_detail() -> None:
    before, after = pixels(PICTURE), pixels(Blurred(PICTURE))
    assert after.mean() == pytest.approx(before.mean(), abs=1) and after.std() < before.std() / 5
    assert BLUR * 48 == 3


def test_a_fitted_picture_has_the_size_of_the_other() -> None:
    square = Masked(PICTURE, ())
    assert Fitted(square, square).open().size == (48, 32)
    smaller = Fitted(PICTURE, Blank(Small(), (0, 0, 0)))
    assert image_size(smaller) == smaller.open().size == (20, 10)


@dataclass(frozen=True)
class Small:
    """Black, 20 x 10 pixels."""

    def open(self) -> Image.Image:
        return Image.new("RGB", (20, 10))


def test_references_are_picklable_and_know_their_size() -> None:
    for one in (Blank(PICTURE, (1, 2, 3)), Blurred(PICTURE), Masked(PICTURE, (Box(0, 0, 5, 5),))):
        again = pickle.loads(pickle.dumps(one))
        assert again == one and image_size(one) == one.open().size == (48, 32)
