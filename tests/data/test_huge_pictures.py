"""Large pictures: in memory once, decoded once, and refused above a limit that can be set."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from helpers.data_files import save_image
from helpers.dicom_files import save_dicom
from vrft_aug.data.images import FileImage, decoded, header_size
from vrft_aug.data.pixel_limit import USUAL, VARIABLE, most_pixels
from vrft_aug.errors import UserError


@pytest.fixture(autouse=True)
def limit_as_before() -> Iterator[None]:
    before = Image.MAX_IMAGE_PIXELS
    yield
    Image.MAX_IMAGE_PIXELS = before


def made(path: Path, page: int | None = None) -> int:
    """How many pictures Pillow puts into memory while one is opened."""
    core: Any = getattr(Image, "core")  # noqa: B009 (not exported)
    core.reset_stats()
    FileImage(path, "c", page).open()
    count: int = core.get_stats()["new_count"]
    return count


@pytest.mark.parametrize("suffix", ["jpg", "png", "bmp", "webp", "tif"])
def test_a_colour_picture_is_in_memory_once(tmp_path: Path, suffix: str) -> None:
    path = save_image(tmp_path / f"a.{suffix}", (300, 200))
    assert made(path) == 1


@pytest.mark.parametrize(("mode", "most"), [("L", 2), ("CMYK", 2)])
def test_others_are_there_as_stored_and_as_shown(tmp_path: Path, mode: str, most: int) -> None:
    Image.new(mode, (300, 200), 90 if mode == "L" else (9, 8, 7, 6)).save(tmp_path / "a.jpg")
    assert made(tmp_path / "a.jpg") == most


def test_a_turned_picture_is_there_as_stored_and_as_shown(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (300, 200), (9, 8, 7)).save(tmp_path / "a.jpg", exif=exif)
    assert made(tmp_path / "a.jpg") == 2


@pytest.mark.parametrize("suffix", ["jpg", "png", "bmp", "webp", "tif"])
def test_a_picture_lives_on_without_its_file(tmp_path: Path, suffix: str) -> None:
    path = save_image(tmp_path / f"a.{suffix}", (30, 20))
    with Image.open(path) as whole:
        expected = np.asarray(whole.convert("RGB")).copy()
    picture = FileImage(path).open()
    path.unlink()
    assert type(picture) is Image.Image and picture.mode == "RGB"
    assert np.array_equal(np.asarray(picture), expected)
    assert np.array_equal(np.asarray(picture.resize((30, 20))), expected)


def test_a_picture_is_decoded_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = save_image(tmp_path / "a.jpg", (300, 200))
    decoders: list[str] = []
    real = Image._getdecoder

    def counted(*arguments: Any, **more: Any) -> Any:
        decoders.append(str(arguments[1]))
        return real(*arguments, **more)

    monkeypatch.setattr(Image, "_getdecoder", counted)
    assert header_size(path) == (300, 200)
    assert not decoders
    FileImage(path).open()
    assert decoders == ["jpeg"]


def test_too_large_a_picture_is_one_line_and_the_limit_can_be_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = save_image(tmp_path / "a.png", (300, 200))
    dicom = save_dicom(tmp_path / "b.dcm", np.zeros((200, 300), np.uint8))
    monkeypatch.setenv(VARIABLE, "59998")
    for file in (path, dicom):
        with pytest.raises(
            UserError, match=rf"{file.name} of case c cannot .*too large: expected at most 59,998 "
        ):
            FileImage(file, "c").open()
        with pytest.raises(UserError, match=rf"too large.*save it smaller, or set .*{VARIABLE}"):
            header_size(file)
    monkeypatch.setenv(VARIABLE, "60000")
    assert FileImage(path).open().size == FileImage(dicom).open().size == (300, 200)
    monkeypatch.delenv(VARIABLE)
    assert most_pixels() == USUAL


@pytest.mark.parametrize("given", ["", "many", "-1", "0", "1e9"])
def test_a_limit_that_is_none(monkeypatch: pytest.MonkeyPatch, given: str) -> None:
    monkeypatch.setenv(VARIABLE, given)
    with pytest.raises(UserError, match=f"{VARIABLE} is .*expected a number of pixels"):
        most_pixels()


def test_the_content_of_a_file_is_shown_as_the_file(tmp_path: Path) -> None:
    """As shards and data sets hold pictures: of 16 bits a channel, several pages, too narrow."""
    deep = (np.random.default_rng(0).random((20, 30)) * 4000).astype(np.uint16)
    for name, picture in (("grey.png", Image.fromarray(deep)), ("grey.tif", Image.fromarray(deep))):
        picture.save(tmp_path / name)
        content = (tmp_path / name).read_bytes()
        assert np.array_equal(np.asarray(decoded(content)), np.asarray(FileImage(tmp_path / name).open()))
    for size, frames, said in (((30, 20), 2, "2 pages or frames"), ((900, 2), 1, "too narrow")):
        pages = [Image.new("L", size, 60 * n) for n in range(frames)]
        out = io.BytesIO()
        pages[0].save(out, "TIFF", save_all=True, append_images=pages[1:])
        with pytest.raises(ValueError, match=said):
            decoded(out.getvalue())
