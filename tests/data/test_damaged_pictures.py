"""Damaged pictures, generated: each is refused in one line that names it, or shown as the whole file is."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from vrft_aug.data.images import FileImage
from vrft_aug.errors import UserError

SHARES = (0.0, 0.02, 0.1, 0.5, 0.9)
FORMATS = ("png", "jpg", "tif", "bmp", "webp", "jp2", "gif", "dcm")
KEYWORDS = (
    "Rows", "Columns", "BitsAllocated", "BitsStored", "PixelRepresentation", "SamplesPerPixel",
    "PhotometricInterpretation", "PixelData",
)  # fmt: skip
NUMBERS = {"zero": 0, "odd": 7, "huge": 65535}


def whole(folder: Path, kind: str) -> Path:
    """A picture of noise, which no format packs into a few bytes."""
    noise = np.random.default_rng(0).integers(0, 256, (40, 60, 3), dtype=np.uint8)
    path = folder / f"a.{kind}"
    if kind == "dcm":
        pytest.importorskip("pydicom", reason="the extra dicom is not installed")
        from helpers.dicom_files import save_dicom

        return save_dicom(path, noise[..., 0].astype(np.uint16) * 9, PatientName="CANARY")
    Image.fromarray(noise).save(path)
    return path


def refused(path: Path) -> str:
    """The one line."""
    with pytest.raises(UserError) as caught:
        FileImage(path, "set/train/1").open()
    message = str(caught.value)
    assert path.name in message and "set/train/1" in message and "CANARY" not in message
    assert "\n" not in message and len(message) < 500
    return message


@pytest.mark.parametrize("share", SHARES)
@pytest.mark.parametrize("kind", FORMATS)
def test_cut_files(tmp_path: Path, kind: str, share: float) -> None:
    path = whole(tmp_path, kind)
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    refused(path)


@pytest.mark.parametrize("kind", FORMATS)
def test_text_under_the_name_of_a_picture(tmp_path: Path, kind: str) -> None:
    path = whole(tmp_path, kind)
    path.write_text("<html>404 not found</html>" * 20)
    refused(path)


@pytest.mark.parametrize("kind", FORMATS)
def test_the_first_kilobyte_overwritten(tmp_path: Path, kind: str) -> None:
    path = whole(tmp_path, kind)
    content = path.read_bytes()
    path.write_bytes(bytes(1024) + content[1024:])
    refused(path)


@pytest.mark.parametrize("keyword", KEYWORDS)
def test_dicom_without_an_element_or_with_a_wrong_number(tmp_path: Path, keyword: str) -> None:
    pydicom = pytest.importorskip("pydicom", reason="the extra dicom is not installed")
    path = whole(tmp_path, "dcm")
    shown = np.asarray(FileImage(path).open())
    for name, data in variants(pydicom, path, keyword):
        data.save_as(tmp_path / f"{name}.dcm", enforce_file_format=True)
        refused(tmp_path / f"{name}.dcm")
    assert np.array_equal(np.asarray(FileImage(path).open()), shown)


def variants(pydicom: Any, path: Path, keyword: str) -> Iterator[tuple[str, Any]]:
    if keyword not in ("BitsAllocated", "PixelRepresentation"):  # pydicom cannot write without
        data = pydicom.dcmread(path)
        del data[keyword]
        yield "without", data
    if keyword not in ("PhotometricInterpretation", "PixelData"):
        for name, number in NUMBERS.items():
            data = pydicom.dcmread(path)
            if data[keyword].value != number:
                setattr(data, keyword, number)
                yield name, data
