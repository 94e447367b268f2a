"""Pictures that are opened only where their pixels are looked at."""

from __future__ import annotations

import pickle
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from vrft_aug.data.images import FileImage
from vrft_aug.data.picture_on_demand import PictureOnDemand
from vrft_aug.errors import UserError

OPENED: list[int] = []


@dataclass(frozen=True)
class Grey:
    """A grey square that knows its size and counts how often it is opened."""

    level: int
    mode: str = "RGB"

    def open(self) -> Image.Image:
        OPENED.append(self.level)
        return Image.new("L", (6, 4), self.level).convert(self.mode)

    def size(self) -> tuple[int, int]:
        return 6, 4


@pytest.fixture(autouse=True)
def _forget() -> None:
    OPENED.clear()


def test_what_is_handed_on_is_not_opened() -> None:
    picture = PictureOnDemand(Grey(7))
    assert isinstance(picture, Image.Image)
    assert (picture.size, picture.width, picture.height) == ((6, 4), 6, 4)
    assert picture == PictureOnDemand(Grey(7)) and [picture] == [PictureOnDemand(Grey(7))]
    sent = pickle.loads(pickle.dumps([picture, deepcopy(picture)]))
    assert [other.ref for other in sent] == [Grey(7), Grey(7)] and OPENED == []


@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_what_is_looked_at_is_the_picture(mode: str) -> None:
    plain = Grey(7, mode).open()
    for look in (
        np.asarray, Image.Image.copy, Image.Image.tobytes, lambda x: x.mode, lambda x: x.getpixel((1, 1)),
        lambda x: np.asarray(x.convert("RGB").resize((3, 3))), lambda x: x.crop((0, 0, 2, 2)).tobytes(),
    ):  # fmt: skip
        OPENED.clear()
        picture = PictureOnDemand(Grey(7, mode))
        for _ in range(2):
            np.testing.assert_array_equal(look(picture), look(plain))
        assert OPENED == [7]
    assert picture.size == plain.size and repr(picture).startswith("<vrft_aug")


def test_pictures_of_other_references_are_others() -> None:
    assert PictureOnDemand(Grey(7)) != PictureOnDemand(Grey(8))
    assert PictureOnDemand(Grey(7)) != Grey(7).open() and OPENED == [7]


def test_one_that_cannot_be_decoded_says_so_when_it_is_looked_at(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"no picture")
    picture = PictureOnDemand(FileImage(tmp_path / "a.png", case="c/1"))
    with pytest.raises(UserError, match="of case c/1 cannot be decoded"):
        picture.convert("RGB")
