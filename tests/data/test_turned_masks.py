"""Masks of pictures that EXIF turns: drawn on the turned picture or on the one as stored, told by sizes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from helpers.data_files import save_csv
from helpers.wild_sets import read_cases
from vrft_aug.data.orientation import TURNS, turn, turn_back
from vrft_aug.errors import UserError
from vrft_aug.nouns import Box, Case

DATA = {"reader": "csv", "table": "t.csv", "images": "images", "split_column": None,
        "masks": {"spot": "masks/{stem}.*"}}  # fmt: skip
SIDEWAYS, FLIPPED = (5, 6, 7, 8), (2, 3, 4)


def exif(orientation: int) -> Image.Exif:
    made = Image.Exif()
    made[0x0112] = orientation
    return made


def save_set(
    root: Path, picture: int, mask: int, drawn: str, size: tuple[int, int] = (80, 60), kind: str = "png"
) -> None:
    """Three pictures with a spot at (40, 8, 72, 24) of their stored pixels, and their masks.

    `picture` and `mask` are orientations that the files declare; the mask's pixels are those of the picture
    as it is `drawn`: upright or stored.
    """
    stored = np.zeros((size[1], size[0]), np.uint8)
    stored[8:24, 40 : min(72, size[0])] = 255
    rows = [["image"]]
    for n in range(3):
        for folder in ("images", "masks"):
            (root / folder).mkdir(exist_ok=True)
        Image.fromarray(stored).convert("RGB").save(root / f"images/a{n}.png", exif=exif(picture))
        seen = Image.fromarray(stored)
        seen = turn(seen, picture) if drawn == "upright" else seen
        if kind == "tif":
            seen.save(root / f"masks/a{n}.tif", tiffinfo={0x0112: mask})
        else:
            seen.save(root / f"masks/a{n}.png", exif=exif(mask))
        rows.append([f"a{n}.png"])
    save_csv(root / "t.csv", rows)


def right(cases: dict[str, Case]) -> bool:
    """Whether the box of every case is where its picture is white."""
    found = []
    for case in cases.values():
        rows, columns = np.nonzero(np.asarray(case.images[0].open())[..., 0] > 127)
        box = Box(columns.min(), rows.min(), columns.max() + 1, rows.max() + 1, "spot")
        found.append(case.target.boxes == (box,))
    return len(found) == 3 and all(found)


def read(root: Path, **more: Any) -> dict[str, Case]:
    return read_cases(root, DATA | more, "localise", ["spot"])


@pytest.mark.parametrize("drawn", ["upright", "stored"])
@pytest.mark.parametrize("picture", SIDEWAYS)
def test_quarter_turns_are_told_by_sizes(tmp_path: Path, picture: int, drawn: str) -> None:
    save_set(tmp_path, picture, 1, drawn)
    assert right(read(tmp_path))
    assert right(read(tmp_path, mask_pixels=drawn))
    other = {"upright": "stored", "stored": "upright"}[drawn]
    with pytest.raises(
        UserError, match=r"a0\.png of case .* pixels, its image 60 x 80 \(as EXIF turns them\)"
    ):
        read(tmp_path, mask_pixels=other)


@pytest.mark.parametrize("kind", ["png", "tif"])
@pytest.mark.parametrize("turned", TURNS)
def test_a_mask_that_declares_the_turn_of_its_picture_is_turned_with_it(
    tmp_path: Path, turned: int, kind: str
) -> None:
    save_set(tmp_path, turned, turned, "stored", kind=kind)
    assert right(read(tmp_path))
    assert right(read(tmp_path, mask_pixels="stored"))


@pytest.mark.parametrize(
    ("picture", "size"), [*((one, (80, 60)) for one in FLIPPED), *((one, (80, 80)) for one in SIDEWAYS)]
)
@pytest.mark.parametrize("drawn", ["upright", "stored"])
def test_where_sizes_do_not_tell_the_recipe_has_to(
    tmp_path: Path, picture: int, size: tuple[int, int], drawn: str
) -> None:
    save_set(tmp_path, picture, 1, drawn, size)
    with pytest.raises(
        UserError, match=r"a0\.png of case .*turned by EXIF .*data\.mask_pixels: upright, or stored"
    ):
        read(tmp_path)
    assert right(read(tmp_path, mask_pixels=drawn))


def test_a_mask_that_looks_the_same_either_way_is_not_ambiguous(tmp_path: Path) -> None:
    save_set(tmp_path, 3, 1, "stored")
    for n in range(3):
        Image.new("L", (80, 60)).save(tmp_path / f"masks/a{n}.png")
    cases = read(tmp_path, unused_labels="accept")
    assert [case.target.boxes for case in cases.values()] == [(), (), ()]


def test_a_mask_that_declares_a_turn_of_its_own(tmp_path: Path) -> None:
    """The picture has none: a quarter turn is told by its size, a half turn is not."""
    save_set(tmp_path, 1, 6, "stored")
    assert right(read(tmp_path))
    save_set(tmp_path, 1, 3, "stored")
    with pytest.raises(UserError, match=r"turned by EXIF \(1, the mask by 3\)"):
        read(tmp_path)
    assert right(read(tmp_path, mask_pixels="upright"))


def test_a_mask_of_another_size_is_refused_as_ever(tmp_path: Path) -> None:
    save_set(tmp_path, 6, 1, "upright")
    Image.new("L", (81, 60)).save(tmp_path / "masks/a1.png")
    with pytest.raises(UserError, match=r"a1\.png of case .* is 81 x 60 pixels, its image 60 x 80"):
        read(tmp_path)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_turning_back_undoes_a_turn(orientation: int) -> None:
    picture = Image.fromarray(np.arange(12, dtype=np.uint8).reshape(3, 4))
    there = turn(picture, orientation)
    assert np.array_equal(np.asarray(turn_back(there, orientation)), np.asarray(picture))
