"""The reader of folders: a folder a class, perhaps below a folder a split, or lists of `name label` lines."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Literal

from pydantic import ConfigDict, Field

from vrft_aug.data.file_index import FileIndex, find_files
from vrft_aug.data.images import SUFFIXES, FileImage, header_size
from vrft_aug.data.notes import note, some
from vrft_aug.data.readers.boxed_cases import sampled
from vrft_aug.data.readers.case_names import case_names
from vrft_aug.data.readers.table_text import Dialect, open_text
from vrft_aug.data.sources import absent
from vrft_aug.data.split_settings import SplitSettings
from vrft_aug.data.splits import NAMES, assign, given_splits, patient_in
from vrft_aug.errors import UserError, nearest, shown
from vrft_aug.nouns import Case, Target, Task

IGNORED = ("__MACOSX",)  # folders that a Mac adds to archives


class FolderData(SplitSettings):
    """A folder of images for each class: `<images>/<class>/...`, or `<images>/<split>/<class>/...`."""

    model_config = ConfigDict(coerce_numbers_to_str=True)
    images: str
    label_names: dict[str, str] = Field(default_factory=dict)  # name of a folder, or in a list -> label
    unlisted: Literal["refuse", "drop"] = "refuse"  # folders of classes that the task does not have
    # text files of `name label` lines in place of folders: one, or one for each split by the split's name
    lists: str | dict[str, str] | None = None


@dataclass(frozen=True)
class _Found:
    """An image of a known label."""

    name: str  # its path below the folder of the images
    label: str  # of the task
    split: str | None
    where: str


def read_folder(config: FolderData, task: Task, root: Path, split: str) -> list[Case]:
    """The cases of one split, by path; ids such as chest_xray/test/IM-0000, or with the class where names
    recur.

    Raises UserError where there is no such folder, where a folder's name is no label, or where a label has
    none.
    """
    if task.kind not in ("classify", "grade"):
        raise UserError(
            f"task {task.name!r} is of kind {task.kind}; folders say one class an image (classify, grade)"
        )
    top = root / config.images
    if not top.is_dir():
        raise absent(top, root, "folder")
    found = list(_listed(config, task, root) if config.lists is not None else _in_folders(config, task, top))
    labels = _labels(config, task, found, top)
    images = [image for image in found if image.label in labels]
    if config.lists is not None:
        _refuse_twice(images)
    inside = [_below_split(image) if config.lists is None else image.name for image in images]
    names = _names(images, inside)
    patients = [patient_in(config.patient_pattern, image.name) for image in images]
    if config.patient_pattern and images and not any(patients):
        raise UserError(
            f"data.patient_pattern {config.patient_pattern!r} finds no patient in any of {len(images):,} "
            f"paths, such as "
            f"{shown(images[0].name)}"
        )
    given = [image.split for image in images if image.split is not None] or None
    strata = [labels[image.label] for image in images]
    source = "the folders" if config.lists is None else "the lists"
    parts = assign(config, names, patients, given, strata, lambda i: images[i].where, source)
    chosen = [i for i, part in enumerate(parts) if part == split]
    data = PurePosixPath(config.images).name or top.resolve().name
    ids = [f"{data}/{split}/{names[i]}" for i in chosen]
    files = (
        [top / images[i].name for i in chosen]
        if config.lists is None
        else find_files(FileIndex(top), [images[i].name for i in chosen], ids, str(config.lists)[:80])
    )
    for place in sampled(len(chosen)):
        header_size(files[place], ids[place])
    return [
        Case(
            id=id,
            images=(FileImage(file, id),),
            target=Target(label=labels[images[i].label]),
            patient=patients[i] or None,
        )
        for i, id, file in zip(chosen, ids, files, strict=True)
    ]


def _in_folders(config: FolderData, task: Task, top: Path) -> Iterator[_Found]:
    """Every image below a class folder, by path; the label is the name of the class folder."""
    folders = _folders(top)
    splits = {name: _split_of(name, config) for name in folders}
    if folders and all(splits.values()):
        for folder in folders:
            classes = _folders(top / folder)
            if not classes:
                raise UserError(
                    f"{top / folder} is a split without folders of classes in it; expected one for each class"
                )
            for name in classes:
                yield from _images(top, f"{folder}/{name}", name, splits[folder])
        return
    some_split = [name for name, split in splits.items() if split]
    if some_split and not any(_known(name, config, task) for name in folders):
        odd = [name for name in folders if not splits[name]]
        raise UserError(
            f"{top} has folders of splits ({some(some_split)}) and others ({some(odd)}); name those in "
            f"data.split_names, "
            "or move them away"
        )
    for name in folders:
        yield from _images(top, name, name, None)


def _split_of(name: str, config: FolderData) -> str | None:
    given = config.split_names.get(name, name)
    return NAMES.get(given.strip().casefold())


def _known(name: str, config: FolderData, task: Task) -> bool:
    return config.label_names.get(name, name).casefold() in {label.casefold() for label in task.labels}


def _folders(top: Path) -> list[str]:
    with os.scandir(top) as entries:
        names = [entry.name for entry in entries if entry.is_dir()]
    return sorted(name for name in names if not name.startswith(".") and name not in IGNORED)


def _images(top: Path, inner: str, label: str, split: str | None) -> Iterator[_Found]:
    """The pictures below a folder, also in folders of patients within it."""
    others: Counter[str] = Counter()
    for folder, folders, files in os.walk(top / inner):
        folders[:] = sorted(name for name in folders if not name.startswith(".") and name not in IGNORED)
        base = Path(folder).relative_to(top).as_posix()
        for name in sorted(files):
            if name.startswith("."):
                continue
            suffix = os.path.splitext(name)[1].lower()  # noqa: PTH122 (a name, a million times)
            if suffix in SUFFIXES:
                yield _Found(f"{base}/{name}", label, split, f"{base}/{name}")
            else:
                others[suffix or "without a suffix"] += 1
    if others:
        kinds = [f"{suffix} {count:,}" for suffix, count in others.most_common()]
        note(f"{top / inner} has files that are no pictures: {some(kinds)}", "warning")


def _listed(config: FolderData, task: Task, root: Path) -> Iterator[_Found]:
    """The images of the lists: the label is what follows the last space (or tab, comma) of a line."""
    lists: dict[str | None, str] = {None: str(config.lists)}
    if isinstance(config.lists, dict):
        lists = dict(config.lists.items())
    for part, file in lists.items():
        path = root / file
        split = given_splits([part], config, lambda i: "data.lists")[0] if part is not None else None
        if not path.is_file():
            raise absent(path, root, "folder")
        lines = open_text(path, Dialect()).read().splitlines()
        if not any(map(str.strip, lines)):
            raise UserError(f"{path} is empty; expected lines of the name of an image and its label")
        for number, line in enumerate(lines, start=1):
            if not line.strip():
                continue
            name, label = _name_and_label(line, config, task)
            if not (name and label):
                raise UserError(
                    f"{path} line {number} is {shown(line.strip())}; expected the name of an image and its "
                    f"label"
                )
            yield _Found(name, label, split, f"{path} line {number}")


def _name_and_label(line: str, config: FolderData, task: Task) -> tuple[str, str]:
    """Split a line; labels may have spaces in them where they are the task's or the recipe's."""
    text = line.strip()
    for known in sorted((*config.label_names, *task.labels), key=len, reverse=True):
        head = text[: len(text) - len(known)]
        if text.casefold().endswith(known.casefold()) and head[-1:] in (" ", "\t", ",", ";"):
            return head.strip(" \t,;\"'"), known
    for separator in ("\t", ";", ",", " "):
        name, found, label = text.rpartition(separator)
        if found:
            return name.strip(" \t,;\"'"), label.strip()
    return text, ""


def _labels(config: FolderData, task: Task, found: Sequence[_Found], top: Path) -> dict[str, str]:
    """Name of a class in the data -> label of the task, for the classes that are used."""
    own = {label.casefold(): label for label in task.labels}
    counts = Counter(image.label for image in found)
    labels: dict[str, str] = {}
    for name in sorted(counts):
        label = own.get(config.label_names.get(name, name).casefold())
        if label is not None:
            labels[name] = label
        elif config.unlisted == "refuse":
            where = next(image.where for image in found if image.label == name)
            raise UserError(
                f"{top}: class {shown(name)} (first: {where}) is not a label of task {task.name!r}"
                f"{nearest(name, task.labels)}; it has {some(task.labels, 12)}. Name it in "
                f"data.label_names, or set "
                "data.unlisted: drop"
            )
    dropped = sum(count for name, count in counts.items() if name not in labels)
    if dropped:
        note(f"{dropped:,} images of {some([n for n in counts if n not in labels])} are left out")
    if not found:
        raise UserError(
            f"{top} has no pictures in folders of classes; expected {top.name}/CLASS/*.png or "
            f"{top.name}/SPLIT/CLASS/*.png"
        )
    return labels


def _refuse_twice(images: Sequence[_Found]) -> None:
    """Raise UserError where an image is in the lists twice, in one split or in two."""
    first: dict[str, str] = {}
    for image in images:
        if (other := first.setdefault(image.name, image.where)) != image.where:
            raise UserError(
                f"image {image.name} is listed twice: {other} and {image.where}; expected it once"
            )


def _below_split(image: _Found) -> str:
    return image.name.partition("/")[2] if image.split is not None else image.name


def _names(images: Sequence[_Found], inside: Sequence[str]) -> list[str]:
    """Names of cases: stems, or paths where two images of the data share one; UserError where even those
    do."""
    names = case_names(inside)
    first: dict[tuple[str | None, str], str] = {}
    for image, name in zip(images, names, strict=True):
        if (other := first.setdefault((image.split, name), image.where)) != image.where:
            raise UserError(
                f"case {name} is there twice: {other} and {image.where}; expected a name for each image, "
                f"without its suffix"
            )
    return names
