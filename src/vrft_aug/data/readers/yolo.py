"""The reader of YOLO folders: a text file an image, lines of `class cx cy width height` in fractions."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import Any

import yaml
from pydantic import Field

from vrft_aug.data.images import SUFFIXES
from vrft_aug.data.notes import note, some
from vrft_aug.data.readers.annotation_files import number
from vrft_aug.data.readers.boxed_cases import AnnotatedImage, BoxSettings, boxed_cases
from vrft_aug.data.readers.shapes import around
from vrft_aug.data.sources import absent
from vrft_aug.data.splits import NAMES
from vrft_aug.errors import UserError, shown
from vrft_aug.nouns import Box, Case, Task

NO_BOXES = ("classes.txt", "obj.names", "README.txt", "README.dataset.txt", "README.roboflow.txt")


class YoloData(BoxSettings):
    """A YOLO data set: images in folders called images (or beside), labels in folders called labels."""

    folder: str  # with images/ and labels/ below it, or train/images, train/labels, ...
    names: str | tuple[str, ...] = Field(default="data.yaml")  # a file below folder, or the classes in order
    images: str = "."  # not used: they are found beside the labels


def read_yolo(config: YoloData, task: Task, root: Path, split: str) -> list[Case]:
    """The images of one split; the split is a folder's name, where there is one, else dealt.

    An image without a text file, or with an empty one, has no boxes. Outlines (more than four numbers) become
    the box around them. Raises UserError where a line is wrong, and where no image has a text file.
    """
    top = root / config.folder
    if not top.is_dir():
        raise absent(top, root, "yolo")
    classes = _classes(config, top)
    found: list[AnnotatedImage] = []
    without = 0
    for name in _images(top):
        labels = top / _labels_of(name)
        boxes = _boxes(labels, classes) if labels.is_file() else ()
        without += not labels.is_file()
        found.append(AnnotatedImage(name, boxes, str(labels), None, _split(name), "fraction"))
    if not found:
        raise UserError(
            f"{top} has no pictures; expected images/*.jpg and labels/*.txt, or train/images/*.jpg, ..."
        )
    if without == len(found):
        raise UserError(
            f"0 of {len(found):,} images in {top} have a text file: {found[0].file_name} needs "
            f"{found[0].where}"
        )
    _refuse_orphans(top, {image.where for image in found})
    if without:
        note(f"{without:,} of {len(found):,} images have no text file, which in YOLO means no boxes")
    if any(image.split is None for image in found):
        found = [AnnotatedImage(i.file_name, i.boxes, i.where, None, None, i.units) for i in found]
    inner = config.model_copy(update={"images": config.folder})
    return boxed_cases(
        inner, task, root, split, top, PurePosixPath(config.folder).name or "yolo", found, classes
    )


def _refuse_orphans(top: Path, expected: set[str]) -> None:
    """Raise UserError for a text file whose picture is not there."""
    folders = {Path(path).parent for path in expected}
    texts = sorted(path for folder in folders if folder.is_dir() for path in folder.glob("*.txt"))
    orphans = [path for path in texts if str(path) not in expected and path.name not in NO_BOXES]
    if orphans:
        raise UserError(
            f"{len(orphans):,} of {len(texts):,} text files in {top} have no picture: "
            f"{some([p.name for p in orphans])}"
        )


def _images(top: Path) -> list[str]:
    names = []
    for folder, folders, files in os.walk(top):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        base = Path(folder).relative_to(top)
        names += [
            (base / name).as_posix()
            for name in sorted(files)
            if PurePosixPath(name).suffix.lower() in SUFFIXES and not name.startswith(".")
        ]
    return names


def _labels_of(name: str) -> str:
    """Where the text file of an image lies: the last folder called images becomes labels."""
    parts = list(PurePosixPath(name).with_suffix(".txt").parts)
    places = [i for i, part in enumerate(parts[:-1]) if part == "images"]
    if places:
        parts[places[-1]] = "labels"
    return "/".join(parts)


def _split(name: str) -> str | None:
    found = [part for part in PurePosixPath(name).parts[:-1] if part.casefold() in NAMES]
    return found[0] if found else None


def _classes(config: YoloData, top: Path) -> list[str]:
    """The names of the classes, in the order of their numbers."""
    if not isinstance(config.names, str):
        return list(config.names)
    path = top / config.names
    if not path.is_file() and (top / "classes.txt").is_file():
        path = top / "classes.txt"
    if not path.is_file():
        raise UserError(
            f"{path} does not exist; it names the classes: set data.names to a file, or to a list of names"
        )
    try:
        text = path.read_text(encoding="utf-8-sig")
        if path.suffix == ".txt":
            return [line.strip() for line in text.splitlines() if line.strip()]
        content: Any = yaml.safe_load(text)
        names = content["names"]
        if isinstance(names, dict):
            return [str(names[i]) for i in range(len(names))]
        return [str(name) for name in list(names)]
    except (yaml.YAMLError, UnicodeError, TypeError, KeyError) as error:
        raise UserError(
            f"{path} names no classes: expected names: [first, second] or names: {{0: first}} "
            f"({str(error)[:80]!r})"
        ) from None


def _boxes(path: Path, classes: Sequence[str]) -> tuple[Box, ...]:
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeError:
        raise UserError(f"{path} is no text; expected lines of class cx cy width height") from None
    return tuple(
        _box(line.split(), f"{path} line {n}", classes) for n, line in enumerate(lines, 1) if line.strip()
    )


def _box(cells: list[str], where: str, classes: Sequence[str]) -> Box:
    if len(cells) != 5 and not (len(cells) >= 7 and len(cells) % 2):
        raise UserError(
            f"{where} has {len(cells)} numbers; expected class cx cy width height, or class x1 y1 x2 y2 x3 "
            f"y3 ..."
        )
    if not cells[0].isdecimal() or int(cells[0]) >= len(classes):
        raise UserError(
            f"{where}: class {shown(cells[0])} is none of 0 to {len(classes) - 1} ({some(classes)})"
        )
    values = [number(cell, f"number {i}", where) for i, cell in enumerate(cells[1:], start=1)]
    label = classes[int(cells[0])]
    if max(values) > 1.01 or min(values) < -0.01:
        raise UserError(
            f"{where} has {max(values, key=abs):g}; expected fractions of width and height, from 0 to 1"
        )
    if len(values) == 4:
        cx, cy, width, height = values
        if not (width > 0 and height > 0):
            raise UserError(
                f"{where}: a box of {width:g} x {height:g} is empty; expected a width and a height above 0"
            )
        return Box(cx - width / 2, cy - height / 2, cx + width / 2, cy + height / 2, label)
    return around(list(zip(values[::2], values[1::2], strict=True)), label)
