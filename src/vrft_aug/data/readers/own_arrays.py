"""The reader of .npz files of one's own: images and labels under names that the recipe gives."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from PIL import Image
from pydantic import ConfigDict, Field

from vrft_aug.data.npz import read_array, read_header, read_row
from vrft_aug.data.readers.raw_labels import target_of
from vrft_aug.data.sources import absent
from vrft_aug.data.split_settings import SplitSettings
from vrft_aug.data.splits import assign, given_splits, known_patient
from vrft_aug.errors import UserError
from vrft_aug.nouns import Case, Task

SPLIT = "{split}"


class NpzData(SplitSettings):
    """Arrays in an .npz file: one case a row."""

    model_config = ConfigDict(coerce_numbers_to_str=True)
    file: str  # {split} in it: a file for each split
    images: str = "images"  # an array (n, h, w), (n, h, w, 1 or 3) or (n, 1 or 3, h, w); {split}: one a split
    labels: str = "labels"  # numbers, texts, or (n, labels) of 1 and 0
    patients: str | None = None  # an array (n,)
    splits: str | None = None  # an array (n,) of names
    split_arrays: dict[str, str] = Field(
        default_factory=dict
    )  # train, validation, test -> {split}, where called otherwise
    label_names: dict[str, str] = Field(
        default_factory=dict
    )  # value -> label; without it numbers count by order
    value_range: tuple[float, float] | None = (
        None  # what is black and what is white, where images are not uint8
    )


@dataclass(frozen=True)
class OwnArrayImage:
    """Picture `index` of an array of images in an .npz file, opened when needed."""

    path: Path
    key: str
    index: int
    value_range: tuple[float, float] | None = None
    channels_first: bool = False

    def open(self) -> Image.Image:
        """The picture as RGB; UserError where the file cannot be read."""
        row = read_row(self.path, self.key, self.index)
        if self.channels_first:
            row = np.moveaxis(row, 0, -1)
        if self.value_range is not None:
            low, high = self.value_range
            row = (
                np.clip((row.astype(np.float64) - low) * (255 / (high - low)), 0, 255)
                .round()
                .astype(np.uint8)
            )
        return Image.fromarray(row.squeeze(-1) if row.ndim == 3 and row.shape[-1] == 1 else row).convert(
            "RGB"
        )


def read_npz(config: NpzData, task: Task, root: Path, split: str) -> list[Case]:
    """The cases of one split, by row; ids such as mine/test/17. Pictures stay in the file until they are
    opened.

    Raises UserError where the file or an array is absent, broken or pickled, and where arrays do not fit.
    """
    if task.kind not in ("classify", "grade", "multilabel"):
        raise UserError(
            f"task {task.name!r} is of kind {task.kind}; reader npz has labels (classify, grade, multilabel)"
        )
    if config.value_range is not None and not config.value_range[0] < config.value_range[1]:
        raise UserError(
            f"data.value_range is {list(config.value_range)}; expected [black, white], the first smaller"
        )
    own = config.split_arrays.get(split, split)
    apart = SPLIT in config.images or SPLIT in config.file
    path = root / config.file.replace(SPLIT, own)
    if not path.is_file():
        raise absent(path, root, "npz")
    images, labels = config.images.replace(SPLIT, own), config.labels.replace(SPLIT, own)
    picture = _picture(config, path, images)
    count = read_header(path, images)[0][0]
    values = _rows(path, labels, count)
    patients = (
        [known_patient(str(value)) for value in _rows(path, config.patients.replace(SPLIT, own), count)]
        if config.patients
        else [""] * count
    )
    name = PurePosixPath(config.file.replace(SPLIT, "")).stem.strip("_-. ") or "npz"
    parts = [split] * count if apart else _parts(config, path, count, patients, values)
    cases = []
    for index in range(count):
        if parts[index] != split:
            continue
        id = f"{name}/{split}/{index}"
        target = target_of(values[index], task, config.label_names, (), f"{path}: row {index} of {labels}")
        cases.append(
            Case(
                id=id,
                images=(OwnArrayImage(path, images, index, *picture),),
                target=target,
                patient=patients[index] or None,
            )
        )
    return cases


def _parts(
    config: NpzData, path: Path, count: int, patients: Sequence[str], values: Sequence[Any]
) -> list[str]:
    def where(i: int) -> str:
        return f"{path} row {i}"

    given = (
        given_splits([str(v) for v in _rows(path, config.splits, count)], config, where)
        if config.splits
        else None
    )
    strata = [str(value) for value in values]
    return assign(
        config, [str(i) for i in range(count)], patients, given, strata, where, f"array {config.splits!r}"
    )


def _rows(path: Path, key: str, count: int) -> list[Any]:
    """The values of an array of one entry a case, (n,) or (n, 1) flat, others as lists."""
    array = read_array(path, key)
    if array.ndim == 0 or len(array) != count:
        raise UserError(f"{path}: array {key!r} is {array.shape}; expected {count} rows, as there are images")
    if array.ndim > 1:
        array = array.reshape(count, -1)
        array = array[:, 0] if array.shape[1] == 1 else array
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        raise UserError(f"{path}: array {key!r} has values that are no numbers (NaN)")
    return [
        value.decode("utf-8", "replace") if isinstance(value, bytes) else value for value in array.tolist()
    ]


def _picture(config: NpzData, path: Path, key: str) -> tuple[tuple[float, float] | None, bool]:
    """Value range and whether channels come first; UserError where the array is no images."""
    shape, dtype = read_header(path, key)
    channels = shape[-1] if len(shape) == 4 else 1
    first = len(shape) == 4 and channels not in (1, 3) and shape[1] in (1, 3)
    if (
        len(shape) not in (3, 4)
        or dtype.kind not in "uif"
        or (channels not in (1, 3) and not first)
        or 0 in shape[1:]
    ):
        raise UserError(
            f"{path}: array {key!r} is {dtype} {shape}; expected images (n, h, w), (n, h, w, 1 or 3) or "
            f"(n, 1 or 3, h, w)"
        )
    if dtype != "uint8" and config.value_range is None:
        raise UserError(
            f"{path}: array {key!r} is {dtype}; say what is black and what is white with data.value_range, "
            f"as [0, 1]"
        )
    return config.value_range, first
