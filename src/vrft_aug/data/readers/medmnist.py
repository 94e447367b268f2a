"""The reader of MedMNIST .npz files: arrays {train,val,test}_{images,labels}."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from PIL import Image

from vrft_aug.data.images import ArrayImage
from vrft_aug.data.notes import some
from vrft_aug.data.npz import read_array, read_header, read_row
from vrft_aug.data.readers.medmnist_labels import LABELS, MULTI_LABEL, VOLUMES
from vrft_aug.data.settings import DataConfig
from vrft_aug.data.slices import FrameChoice, choose, montage
from vrft_aug.data.sources import absent
from vrft_aug.errors import UserError, nearest
from vrft_aug.nouns import Case, ImageRef, Target, Task

SPLIT_KEYS = {"train": "train", "validation": "val", "test": "test"}


class MedMnistData(DataConfig):
    """A MedMNIST .npz file, 2-D or 3-D: `<root>/<dataset>.npz`, or `<dataset>_<size>.npz` where not 28."""

    dataset: str
    size: Literal[28, 64, 128, 224] = 28
    fetch: bool = False  # download through the `medmnist` package where the file is absent
    # Of the 3-D sets, which do not say how their axes lie in the patient:
    axis: Literal[0, 1, 2] = 0  # that slices are cut across
    slices: FrameChoice = "middle"
    montage: bool = False  # all chosen slices as one picture, rather than a picture each


@dataclass(frozen=True)
class ArraySlices:
    """Slices of volume `index` of the uint8 array `key`, (n, d, h, w): one, or several in a grid."""

    path: Path
    key: str
    index: int
    axis: int
    numbers: tuple[int, ...]

    def open(self) -> Image.Image:
        """The picture as RGB; UserError where the file cannot be read."""
        volume = read_row(self.path, self.key, self.index)
        pictures = [Image.fromarray(np.take(volume, n, axis=self.axis)).convert("RGB") for n in self.numbers]
        return pictures[0] if len(pictures) == 1 else montage(pictures)


def read_medmnist(config: MedMnistData, task: Task, root: Path, split: str) -> list[Case]:
    """The cases of one split, in the order of the file; ids such as retinamnist/test/17.

    Images stay in the file until they are opened. Raises UserError where the file is absent or broken, or
    where the task's labels do not fit the set, see `label_order`.
    """
    names = label_order(config.dataset, task)
    solid = config.dataset in VOLUMES
    path = npz_path(config, root)
    if not path.is_file():
        if not config.fetch:
            raise absent(path, root, "medmnist")
        _fetch(config, root)
    key = SPLIT_KEYS[split]
    shape, dtype = read_header(path, f"{key}_images")
    labels = read_array(path, f"{key}_labels")
    _check_images(config, path, key, shape, dtype)
    numbers = choose(config.slices, config.size, f"{path}", "data.slices") if solid else []
    groups = [tuple(numbers)] if config.montage else [(number,) for number in numbers]
    several = config.dataset in MULTI_LABEL
    wanted = shape[0] * (len(names) if several else 1)
    if labels.dtype.kind not in "iu" or len(labels) != shape[0] or labels.size != wanted:
        raise UserError(f"{path}: {key}_labels is {labels.dtype} {labels.shape}; expected {wanted} integers")
    cases = []
    for index, values in enumerate(labels.reshape(shape[0], -1).tolist()):
        id = f"{config.dataset}/{split}/{index}"  # the same picture at every size
        for number in values:
            if not 0 <= number < (2 if several else len(names)):
                has = "0 or 1 for each label" if several else f"0 to {len(names) - 1}"
                raise UserError(f"{path}: case {id} has label {number}; {config.dataset} has {has}")
        target = _findings(names, values) if several else Target(label=names[values[0]])
        images: tuple[ImageRef, ...] = (ArrayImage(path, f"{key}_images", index),)
        if solid:
            images = tuple(ArraySlices(path, f"{key}_images", index, config.axis, group) for group in groups)
        cases.append(Case(id=id, images=images, target=target))
    return cases


def _check_images(
    config: MedMnistData, path: Path, key: str, shape: tuple[int, ...], dtype: np.dtype[Any]
) -> None:
    """Raise UserError where an array is not the images that the recipe expects."""
    solid = config.dataset in VOLUMES
    cube = len(shape) == 4 and shape[3] != 3
    flat = len(shape) == 3 or (len(shape) == 4 and shape[3] == 3)
    if dtype != "uint8" or not (cube if solid else flat):
        expected = "(n, d, h, w)" if solid else "(n, h, w) or (n, h, w, 3)"
        raise UserError(f"{path}: {key}_images is {dtype} {shape}; expected uint8 {expected}")
    sides = shape[1:] if solid else shape[1:3]
    if set(sides) != {config.size}:
        found = f"images are {' x '.join(map(str, sides[::-1]))} pixels"
        raise UserError(f"{path}: {found}; the recipe expects size {config.size}")


def _findings(names: tuple[str, ...], numbers: list[int]) -> Target:
    return Target(labels=frozenset(name for name, number in zip(names, numbers, strict=True) if number))


def npz_path(config: MedMnistData, root: Path) -> Path:
    """Where the file of a set lies: <root>/<dataset>.npz, or <dataset>_<size>.npz for larger images."""
    return root / f"{config.dataset}{'' if config.size == 28 else f'_{config.size}'}.npz"


def label_order(dataset: str, task: Task) -> tuple[str, ...]:
    """The task's label for each integer label of the set.

    By name where the task uses exactly the names of `LABELS` or `VOLUMES`, in whatever clinical order; else
    by order, the task's first label for 0. Raises UserError where the numbers of labels differ, or where a
    name of the set stands in another's place, for then one of the two readings would silently be wrong.
    """
    known = LABELS | VOLUMES
    if dataset not in known:
        raise UserError(
            f"MedMNIST has no set {dataset!r}{nearest(dataset, known)}; it has {some(list(known), 18)}"
        )
    ours = known[dataset]
    kinds = ("multilabel",) if dataset in MULTI_LABEL else ("classify", "grade")
    if task.kind not in kinds:
        has = "several labels per image" if dataset in MULTI_LABEL else "one label per image"
        raise UserError(
            f"task {task.name!r} is of kind {task.kind}; {dataset} has {has} ({' or '.join(kinds)})"
        )
    if len(task.labels) != len(ours):
        raise UserError(
            f"task {task.name!r} has {len(task.labels)} labels, {dataset} has {len(ours)}: {some(ours, 12)}"
        )
    if set(task.labels) == set(ours):
        return ours
    for place, label in enumerate(task.labels):
        if label in ours and ours[place] != label:
            raise UserError(
                f"task {task.name!r} has {label!r} in place {place}, in {dataset} it is {ours.index(label)}; "
                f"expected the order {some(ours, 12)}, or exactly these names in any order"
            )
    return task.labels


def _fetch(config: MedMnistData, root: Path) -> None:
    """Download a set through the `medmnist` package, which checks the file's MD5."""
    try:
        import medmnist
    except ImportError:
        raise UserError("data.fetch needs the package medmnist: pip install 'vrft-aug[medmnist]'") from None
    root.mkdir(parents=True, exist_ok=True)
    dataset = getattr(medmnist, medmnist.INFO[config.dataset]["python_class"])
    try:
        dataset(split="test", download=True, size=config.size, root=str(root))
    except (OSError, RuntimeError) as error:
        reason = " ".join(str(error).split())
        raise UserError(f"{config.dataset} could not be fetched into {root}: {reason}") from None
