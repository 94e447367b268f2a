"""Wrong box files, generated over eight formats: each ends in one line, or reads what is true; never
quietly wrong."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from helpers.annotated_sets import FORMATS, TRUTH, WRITTEN, boxes_of, read_all
from helpers.data_files import save_image
from vrft_aug.errors import UserError
from vrft_aug.nouns import Box

GOOD = Box(5, 8, 21, 24, "lesion")  # the first box of a1.png
BOXES = {
    "swapped in x": replace(GOOD, x1=21, x2=5),
    "swapped in y": replace(GOOD, y1=24, y2=8),
    "right of the picture": replace(GOOD, x2=90),
    "below the picture": replace(GOOD, y2=70),
    "left of the picture": replace(GOOD, x1=-30),
    "without width": replace(GOOD, x2=5),
    "not a number": replace(GOOD, x1=math.nan),
    "endless": replace(GOOD, x2=math.inf),
    "in a hundred times the pixels": Box(500, 800, 2100, 2400, "lesion"),
    "misspelt": replace(GOOD, label="leison"),
    "in capitals": replace(GOOD, label="LESION"),
    "without a name": replace(GOOD, label=""),
}
UNSAID = {  # (what, format): it reads what is true, since the format does not have what would be wrong
    *((what, "labelme") for what in ("swapped in x", "swapped in y")),  # two corners, in any order
}


HARMLESS = {  # (what, format): what was meant can be read
    ("doubled", "yolo"),  # the same lines again are the same boxes
    ("in UTF-16 without a mark", "voc"),  # XML tells it by its first character
    ("in UTF-16 without a mark", "cvat"),
}


def cut(raw: bytes) -> bytes:
    return raw[: len(raw) * 2 // 3]


FILES: dict[str, Callable[[bytes], bytes]] = {
    "cut": cut,
    "empty": lambda raw: b"",
    "binary": lambda raw: b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + bytes(range(256)),
    "doubled": lambda raw: raw + raw,
    "in UTF-16 without a mark": lambda raw: raw.decode().encode("utf-16-le"),
    "with a stray byte": lambda raw: (
        raw.replace(b"lesion", b"l\xe9sion", 1) if b"lesion" in raw else raw + b"\xe9"
    ),
}


def outcome(root: Path, name: str, data: dict[str, object]) -> str | None:
    """The line that reading ends in; None where it reads all and only what is true."""
    try:
        found = boxes_of(read_all(root, data))
    except UserError as error:
        line = str(error)
        assert 20 < len(line) < 500 + len(str(root)) * line.count(str(root)), line
        assert "\n" not in line
        return line
    assert found == TRUTH, f"{name} is read quietly wrong"
    return None


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("what", BOXES)
def test_a_wrong_box_is_told(tmp_path: Path, name: str, what: str) -> None:
    truth = {**TRUTH, "a1.png": (BOXES[what], *TRUTH["a1.png"][1:])}
    line = outcome(tmp_path, what, FORMATS[name](tmp_path, truth))
    assert (line is None) == ((what, name) in UNSAID), line
    stem = Path(WRITTEN[name]).name
    assert line is None or stem in line or "a1" in line or str(tmp_path) in line or "task 1" in line


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("what", FILES)
def test_a_broken_file_is_told(tmp_path: Path, name: str, what: str) -> None:
    if (what, name) == ("empty", "yolo"):
        pytest.skip(
            "an empty text file is how YOLO says that there is nothing; nobody can tell it from a loss"
        )
    data = FORMATS[name](tmp_path)
    path = tmp_path / WRITTEN[name]
    path.write_bytes(FILES[what](path.read_bytes()))
    line = outcome(tmp_path, what, data)
    harmless = (what, name) in HARMLESS
    assert (line is None) == harmless, line
    assert line is None or path.name in line


@pytest.mark.parametrize("name", FORMATS)
def test_an_absent_picture_is_told(tmp_path: Path, name: str) -> None:
    data = FORMATS[name](tmp_path)
    (picture,) = tmp_path.rglob("a1.png")
    picture.unlink()
    line = str(outcome(tmp_path, "absent picture", data))
    assert "a1" in line and ("names in" in line or "text files" in line), line


@pytest.mark.parametrize(
    "name", [name for name in FORMATS if name not in ("yolo", "label_studio", "via", "box rows")]
)
def test_a_picture_of_another_size_is_told(tmp_path: Path, name: str) -> None:
    """Of the formats that say how large pictures are."""
    data = FORMATS[name](tmp_path)
    save_image(tmp_path / "images/a1.png", (32, 24))
    assert "32 x 24" in str(outcome(tmp_path, "another size", data))
