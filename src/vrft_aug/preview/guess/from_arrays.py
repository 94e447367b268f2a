"""A task from arrays in an .npz file: of MedMNIST, or of one's own."""

from __future__ import annotations

import re
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from vrft_aug.data.npz import read_array, read_header
from vrft_aug.data.readers.medmnist_labels import LABELS, MULTI_LABEL, VOLUMES
from vrft_aug.data.splits import NAMES
from vrft_aug.errors import UserError
from vrft_aug.preview.guess.guessed import Guess, words_of
from vrft_aug.preview.guess.label_order import name_labels

MEDMNIST = re.compile(r"(?P<dataset>[a-z]+mnist(3d)?)(_(?P<size>\d+))?")


def guess_npz(path: Path) -> Guess:
    """The task of an .npz file."""
    keys = _keys(path)
    named = MEDMNIST.fullmatch(path.stem.lower())
    if named is not None and named["dataset"] in LABELS | VOLUMES and "train_images" in keys:
        return _medmnist(path, named["dataset"], int(named["size"] or 28))
    splits = {split: key.removesuffix("_images") for key in keys if key.endswith("_images")
              and (split := NAMES.get(key.removesuffix("_images").casefold()))}  # fmt: skip
    data: dict[str, Any] = {"reader": "npz", "file": path.name}
    if splits:
        data |= {"images": "{split}_images", "labels": "{split}_labels"}
        if any(split != called for split, called in splits.items()):
            data["split_arrays"] = splits
        labels = f"{next(iter(splits.values()))}_labels"
    else:
        shapes = {key: read_header(path, key)[0] for key in keys}
        images = next((key for key, shape in shapes.items() if len(shape) in (3, 4)), None)
        labels = next((key for key in shapes if re.search("label|target|class|^y$", key)), "")
        if images is None:
            raise UserError(f"{path} has no array of images; its arrays are {', '.join(keys)[:200]}")
        data |= {"images": images, "labels": labels, "random_split": {"seed": 0}}
        patients = next((key for key in shapes if re.search("patient|subject", key)), None)
        if patients is not None:
            data["patients"] = patients
    if labels not in keys:
        raise UserError(f"{path} has no array of labels; its arrays are {', '.join(keys)[:200]}")
    values = [str(value) for value in np.unique(read_array(path, labels))]
    if not 2 <= len(values) <= 30:
        raise UserError(
            f"{path}: array {labels!r} has {len(values)} distinct values; expected 2 to 30 labels"
        )
    found = name_labels(values, words_of(*path.resolve().parts[-2:], *keys))
    data["label_names"] = dict(found.label_names) or {value: value for value in values}
    return Guess(
        path.parent, found.kind, found.labels, data,
        (f"images are array {data['images']!r}, labels {data['labels']!r}", *found.said), found.open,
        found.knowledge, found.maybe_knowledge, "test" if not splits or "test" in splits else "validation",
    )  # fmt: skip


def _medmnist(path: Path, dataset: str, size: int) -> Guess:
    names = (LABELS | VOLUMES)[dataset]
    several = dataset in MULTI_LABEL
    found = name_labels(names, words_of(dataset), several=several)
    data = {"reader": "medmnist", "dataset": dataset, **({"size": size} if size != 28 else {})}
    return Guess(
        path.parent, found.kind, names if several or found.kind == "classify" else found.labels, data,
        (f"it is {dataset} of MedMNIST", *found.said), found.open, found.knowledge, hints=words_of(dataset),
    )  # fmt: skip


def _keys(path: Path) -> list[str]:
    try:
        with zipfile.ZipFile(path) as archive:
            return [name.removesuffix(".npy") for name in archive.namelist()]
    except (zipfile.BadZipFile, OSError) as error:
        raise UserError(f"{path} is no .npz file: {error}") from None
