"""Files made wrong in every way that can be generated, for every reader: refused in one line that names the
file, or read right; never a traceback, never read quietly wrong."""

from __future__ import annotations

import gzip
import io
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from helpers.good_sets import SETS, Made, copied, outcome


def png(size: tuple[int, int] = (24, 20)) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", size, (90, 90, 90)).save(out, "PNG")
    return out.getvalue()


def flipped(raw: bytes) -> bytes:
    """Every 7th byte of the first half inverted."""
    half = len(raw) // 2
    return bytes(byte ^ 0xFF if i < half and i % 7 == 3 else byte for i, byte in enumerate(raw))


BYTES: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda raw: b"",
    "cut at two thirds": lambda raw: raw[: len(raw) * 2 // 3],
    "cut by a few bytes": lambda raw: raw[:-3],
    "begun too late": lambda raw: raw[5:],
    "doubled": lambda raw: raw + raw,
    "zeros": lambda raw: bytes(len(raw)),
    "inverted here and there": flipped,
    "a web page": lambda raw: (
        b"<!DOCTYPE html>\n<html><body>404: not found, log in first</body></html>\n" * 20
    ),
    "a Git LFS pointer": lambda raw: (
        b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a21\nsize 12345\n"
    ),
    "a picture": lambda raw: png(),
    "a picture of another size": lambda raw: png((7, 9)),
    "packed": gzip.compress,
    "swapped pairs of bytes": lambda raw: b"".join(raw[i : i + 2][::-1] for i in range(0, len(raw), 2)),
}


def places() -> list[tuple[str, str]]:
    """(set, which of its files), without making the sets."""
    return [
        ("csv", "table"), ("csv", "picture"), ("tsv", "table"), ("xlsx", "workbook"), ("parquet", "parquet"),
        ("jsonl", "lines"), ("one_hot", "table"), ("joined", "second table"), ("masks", "mask"),
        ("label_map", "map"), ("folder", "picture"), ("lists", "list"), ("questions", "questions"),
        ("dicom", "file"), ("dicom", "table"), ("npz", "archive"), ("saved_to_disk", "arrow"),
        ("saved_to_disk", "state"), ("hub_parquet", "parquet"), ("shards", "shard"), ("medmnist", "archive"),
        ("medmnist_3d", "archive"), ("nifti", "volume"), ("nifti_gz", "volume"), ("series", "slice"),
        ("run_lengths", "boxes"),
    ]  # fmt: skip


# No reader can know: another picture of a case that has only a label is a picture
NOT_WRONG = {
    (name, "picture", what)
    for name in ("csv", "folder")
    for what in ("a picture", "a picture of another size")
}
_TWICE = (
    ("csv", "picture"), ("xlsx", "workbook"), ("parquet", "parquet"), ("masks", "mask"), ("label_map", "map"),
    ("folder", "picture"), ("dicom", "file"), ("npz", "archive"), ("saved_to_disk", "arrow"),
    ("hub_parquet", "parquet"), ("shards", "shard"), ("medmnist", "archive"), ("medmnist_3d", "archive"),
    ("nifti", "volume"), ("nifti_gz", "volume"), ("series", "slice"),
)  # fmt: skip
# What is still read, and right: formats pass over what follows them, or what was lost is a checksum
RIGHT: set[tuple[str, str, str]] = {
    *((name, file, "doubled") for name, file in _TWICE),
    *((name, file, "cut by a few bytes") for name, file in (
        ("csv", "picture"), ("masks", "mask"), ("label_map", "map"), ("folder", "picture"),
        ("shards", "shard"), ("nifti_gz", "volume"))),
    ("shards", "shard", "cut at two thirds"),  # tar files end in zeros
}  # fmt: skip


@pytest.mark.parametrize("name", SETS)
def test_the_sets_are_right_before(made_once: Made, name: str, tmp_path: Path) -> None:
    made, truth = copied(made_once, name, tmp_path)
    assert len(truth) in (8, 12)
    assert outcome(tmp_path, made, truth) is None
    assert {(name, file) for file in made.files} == {place for place in places() if place[0] == name}


@pytest.mark.parametrize("what", BYTES)
@pytest.mark.parametrize(("name", "file"), places())
def test_a_damaged_file_is_refused_by_name(
    made_once: Made, name: str, file: str, what: str, tmp_path: Path
) -> None:
    if (name, file, what) in NOT_WRONG:
        pytest.skip("nobody can tell")
    made, truth = copied(made_once, name, tmp_path)
    path = tmp_path / made.files[file]
    path.write_bytes(BYTES[what](path.read_bytes()))
    line = outcome(tmp_path, made, truth)
    assert (line is None) == ((name, file, what) in RIGHT), line
    assert line is None or path.stem.partition(".")[0] in line, line


def test_there_are_two_hundred_and_more() -> None:
    assert len(places()) * len(BYTES) - len(NOT_WRONG) - len(RIGHT) >= 200
