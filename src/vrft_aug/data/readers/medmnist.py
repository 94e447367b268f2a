"""The reader of MedMNIST .npz files: arrays {train,val,test}_{images,labels}."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from vrft_aug.data.images import ArrayImage
from vrft_aug.data.npz import read_array, read_header
from vrft_aug.data.readers.medmnist_labels import LABELS, MULTI_LABEL
from vrft_aug.data.settings import DataConfig
from vrft_aug.data.sources import absent
from vrft_aug.errors import UserError, nearest
from vrft_aug.nouns import Case, Target, Task

SPLIT_KEYS = {"train": "train", "validation": "val", "test": "test"}


class MedMnistData(DataConfig):
    """A MedMNIST .npz file, `<root>/<dataset>.npz` or `<dataset>_<size>.npz` where size is not 28."""

    dataset: str
    size: Literal[28, 64, 128, 224] = 28
    fetch: bool = False  # download through the `medmnist` package where the file is absent


def read_medmnist(config: MedMnistData, task: Task, root: Path, split: str) -> list[Case]:
    """The cases of one split, in the order of the file; ids such as retinamnist/test/17.

    Images stay in the file until they are opened. Raises UserError where the file is absent or broken, or
    where the task's labels do not fit the set, see `label_order`.
    """
    names = label_order(config.dataset, task)
    path = npz_path(config, root)
    if not path.is_file():
        if not config.fetch:
            raise absent(path, root, "medmnist")
        _fetch(config, root)
    key = SPLIT_KEYS[split]
    shape, dtype = read_header(path, f"{key}_images")
    labels = read_array(path, f"{key}_labels")
    if dtype != "uint8" or len(shape) not in (3, 4) or (len(shape) == 4 and shape[3] != 3):
        raise UserError(f"{path}: {key}_images is {dtype} {shape}; expected uint8 (n, h, w) or (n, h, w, 3)")
    if shape[1:3] != (config.size, config.size):
        raise UserError(
            f"{path}: images are {shape[2]} x {shape[1]} pixels; the recipe expects size {config.size}"
        )
    several = config.dataset in MULTI_LABEL
    wanted = shape[0] * (len(names) if several else 1)
    if labels.dtype.kind not in "iu" or len(labels) != shape[0] or labels.size != wanted:
        raise UserError(f"{path}: {key}_labels is {labels.dtype} {labels.shape}; expected {wanted} integers")
    cases = []
    for index, numbers in enumerate(labels.reshape(shape[0], -1).tolist()):
        id = f"{config.dataset}/{split}/{index}"  # the same picture at every size
        for number in numbers:
            if not 0 <= number < (2 if several else len(names)):
                has = "0 or 1 for each label" if several else f"0 to {len(names) - 1}"
                raise UserError(f"{path}: case {id} has label {number}; {config.dataset} has {has}")
        target = _findings(names, numbers) if several else Target(label=names[numbers[0]])
        cases.append(Case(id=id, images=(ArrayImage(path, f"{key}_images", index),), target=target))
    return cases


def _findings(names: tuple[str, ...], numbers: list[int]) -> Target:
    return Target(labels=frozenset(name for name, number in zip(names, numbers, strict=True) if number))


def npz_path(config: MedMnistData, root: Path) -> Path:
    """Where the file of a set lies: <root>/<dataset>.npz, or <dataset>_<size>.npz for larger images."""
    return root / f"{config.dataset}{'' if config.size == 28 else f'_{config.size}'}.npz"


def label_order(dataset: str, task: Task) -> tuple[str, ...]:
    """The task's label for each integer label of the set.

    By name where the task uses exactly the names of `LABELS`, in whatever clinical order; else by order,
    the task's first label for 0. Raises UserError where the numbers of labels differ, or where a name of
    the set stands in another's place, for then one of the two readings would silently be wrong.
    """
    if dataset not in LABELS:
        raise UserError(
            f"MedMNIST has no 2-D set {dataset!r}{nearest(dataset, LABELS)}; it has {', '.join(LABELS)}"
        )
    ours = LABELS[dataset]
    kinds = ("multilabel",) if dataset in MULTI_LABEL else ("classify", "grade")
    if task.kind not in kinds:
        has = "several labels per image" if dataset in MULTI_LABEL else "one label per image"
        raise UserError(
            f"task {task.name!r} is of kind {task.kind}; {dataset} has {has} ({' or '.join(kinds)})"
        )
    if len(task.labels) != len(ours):
        raise UserError(
            f"task {task.name!r} has {len(task.labels)} labels, {dataset} has {len(ours)}: {', '.join(ours)}"
        )
    if set(task.labels) == set(ours):
        return ours
    for place, label in enumerate(task.labels):
        if label in ours and ours[place] != label:
            raise UserError(
                f"task {task.name!r} has {label!r} in place {place}, in {dataset} it is {ours.index(label)}; "
                f"expected the order {', '.join(ours)}, or exactly these names in any order"
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
