"""From annotated images to cases: what every reader of box files shares once its file is parsed."""

from __future__ import annotations

import difflib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from PIL import Image
from pydantic import Field

from vrft_aug.data.file_index import FileIndex, find_files
from vrft_aug.data.images import FileImage, Header, header_size, read_header
from vrft_aug.data.notes import note, some
from vrft_aug.data.orientation import BoxPixels, turn_box
from vrft_aug.data.readers.case_names import case_names
from vrft_aug.data.readers.table_files import check_columns, read_columns
from vrft_aug.data.readers.table_files import read_header as read_table_header
from vrft_aug.data.readers.table_text import Dialect
from vrft_aug.data.split_settings import SplitSettings
from vrft_aug.data.splits import assign, given_splits, patient_in
from vrft_aug.errors import UserError, nearest, shown
from vrft_aug.nouns import Box, Case, Target, Task

OVERSHOOT = 1.0  # pixels that a box may reach over the border; it is clipped. Rounding makes as much
HEADERS = 512  # files whose headers are read before anything is trained, evenly spaced; a small set's all
Size = tuple[int, int]  # width, height in pixels


class BoxSettings(SplitSettings):
    """Settings of every reader of box files."""

    images: str = "."
    box_names: dict[str, str] = Field(default_factory=dict)  # category -> label; those left out are dropped
    box_pixels: BoxPixels = "upright"
    splits: str | None = None  # a table with columns image and split


@dataclass(frozen=True)
class AnnotatedImage:
    """An image and its boxes as an annotation file has them."""

    file_name: str
    boxes: tuple[Box, ...]  # labels are the file's categories
    where: str  # for messages
    size: Size | None = None  # as the file says; None: it does not, and the picture is asked
    split: str | None = None  # where the file says it
    units: Literal["pixels", "fraction"] = "pixels"  # fraction: of the image's width and height


@dataclass(frozen=True)
class BoxedFileImage(FileImage):
    """A picture whose boxes are in pixels of a certain size, which it must have when it is opened."""

    expected: Size = (0, 0)  # width, height in upright pixels
    annotations: str = ""

    def open(self) -> Image.Image:
        """The picture as RGB; UserError where it is not of the size that its boxes believe."""
        image = super().open()
        refuse_size(image.size, self.expected, self.path, self.case, self.annotations)
        return image


def boxed_cases(
    config: BoxSettings, task: Task, root: Path, split: str, path: Path, name: str,
    images: Sequence[AnnotatedImage], categories: Sequence[str],
) -> list[Case]:  # fmt: skip
    """The images of one split with their boxes; () where an image has none of the chosen categories.

    `path` is the annotation file for messages, `name` what ids begin with. Raises UserError where names,
    categories or sizes do not fit, or a label has no box in the whole data.
    """
    refuse_twice(images, path)
    names = case_names([image.file_name for image in images])
    named = name_boxes(images, categories, path, task, config.box_names)
    parts = _splits(config, root, named, names)
    chosen = [i for i, part in enumerate(parts) if part == split]
    ids = {i: f"{name}/{split}/{names[i]}" for i in chosen}
    index = FileIndex(root / config.images)
    files = find_files(index, [named[i].file_name for i in chosen], list(ids.values()), path)
    checked = sampled(len(chosen))
    cases = []
    for place, (i, file) in enumerate(zip(chosen, files, strict=True)):
        image = in_pixels(named[i], file, ids[i], place in checked, path, config.box_pixels)
        cases.append(boxed_case(ids[i], file, image, patient_in(config.patient_pattern, image.file_name)))
    refuse_boxless(config, task, named, categories, path)
    return cases


def boxed_case(id: str, file: Path, image: AnnotatedImage, patient: str) -> Case:
    """A case whose target is its boxes."""
    assert image.size is not None
    picture = BoxedFileImage(file, id, expected=image.size, annotations=image.where)
    return Case(id=id, images=(picture,), target=Target(boxes=image.boxes), patient=patient or None)


def sampled(count: int) -> frozenset[int]:
    """Which of so many files are looked into: all of a few, else some evenly spaced."""
    if count <= HEADERS:
        return frozenset(range(count))
    return frozenset(i * count // HEADERS for i in range(HEADERS))


def in_pixels(
    image: AnnotatedImage, file: Path, case: str, look: bool, path: Path, given: BoxPixels
) -> AnnotatedImage:
    """The image with its size and its boxes in its own upright pixels, inside it.

    The file is looked into where its size is not known, to check it if `look`, and to turn boxes that are in
    pixels as stored.
    """
    if given == "stored":
        return _turned(image, read_header(file, case), file, case, path)
    size = image.size
    if size is None:
        size = header_size(file, case)
    elif look:
        refuse_size(header_size(file, case), size, file, case, str(path))
    if image.size is not None and image.units == "pixels":
        return image  # its boxes have been checked with the file
    return checked_boxes(replace(image, size=size), path)


def _turned(image: AnnotatedImage, header: Header, file: Path, case: str, path: Path) -> AnnotatedImage:
    """The image with boxes in pixels as stored turned along with the picture."""
    if image.size is not None:
        refuse_size(header.stored, image.size, file, case, str(path), "as stored")
    stored = checked_boxes(replace(image, size=header.stored), path)
    boxes = tuple(turn_box(box, header.orientation, header.stored) for box in stored.boxes)
    return replace(stored, boxes=boxes, size=header.size)


def checked_boxes(image: AnnotatedImage, path: Path | str) -> AnnotatedImage:
    """The image with boxes in pixels, clipped to it; UserError for one that is empty or reaches over it."""
    assert image.size is not None
    width, height = image.size
    if image.units == "fraction":
        scaled = tuple(
            Box(b.x1 * width, b.y1 * height, b.x2 * width, b.y2 * height, b.label) for b in image.boxes
        )
        image = replace(image, boxes=scaled, units="pixels")
    for box in image.boxes:
        over = max(-box.x1, -box.y1, box.x2 - width, box.y2 - height)
        if not (box.x2 > box.x1 and box.y2 > box.y1 and over <= OVERSHOOT):
            given = [round(value, 2) for value in (box.x1, box.y1, box.x2 - box.x1, box.y2 - box.y1)]
            raise UserError(
                f"{path}: box {given} (x, y, width, height) of {image.file_name} is empty or outside its "
                f"image of "
                f"{width} x {height} pixels ({image.where})"
            )
    clipped = (
        Box(max(0.0, b.x1), max(0.0, b.y1), min(width, b.x2), min(height, b.y2), b.label) for b in image.boxes
    )
    once = tuple(dict.fromkeys(clipped))
    if len(once) < len(image.boxes):
        note("boxes that are there twice in one image count once", "warning")
    return replace(image, boxes=once)


def refuse_size(
    found: Size, expected: Size, file: Path, case: str, annotations: str, how: str = "upright"
) -> None:
    """Raise UserError unless the picture is as large as its boxes believe."""
    if found != expected:
        turned = " (width and height swapped: is it turned by EXIF?)" if found == expected[::-1] else ""
        raise UserError(
            f"image {file} of case {case} is {found[0]} x {found[1]} pixels, but {annotations} says "
            f"{expected[0]} x {expected[1]}{turned}; expected boxes in pixels of this file, {how} "
            "(data.box_pixels)"
        )


def refuse_twice(images: Iterable[AnnotatedImage], path: Path) -> None:
    """Raise UserError where an image is listed twice."""
    first: dict[str, str] = {}
    for image in images:
        if image.file_name in first:
            raise UserError(
                f"{path}: {image.file_name} is listed twice under images ({first[image.file_name]} and "
                f"{image.where}); expected each image once"
            )
        first[image.file_name] = image.where


def name_boxes(
    images: Sequence[AnnotatedImage],
    categories: Sequence[str],
    path: Path,
    task: Task,
    names: Mapping[str, str],
) -> list[AnnotatedImage]:
    """The images with the task's labels on their boxes, those of known size checked and clipped.

    `names` maps categories to labels; without it categories are labels of the same name. Boxes of
    categories left out are dropped. Where the task is not to localise, boxes are findings that may be called
    anything. Raises UserError where names do not fit.
    """
    for image in images:
        if any(not (box.label or "").strip() for box in image.boxes):
            raise UserError(
                f"{path}: a box of {image.file_name} has no name ({image.where}); expected what it is of"
            )
    chosen = _category_labels(categories, path, task, names)
    dropped = [category for category in dict.fromkeys(categories) if category not in chosen]
    if dropped:
        note(f"{path.name}: boxes of {some(dropped)} are left out")
    if dropped and not names and task.kind == "localise":
        _refuse_near(images, dropped, task, path)
    found = []
    for image in images:
        boxes = tuple(replace(b, label=chosen[str(b.label)]) for b in image.boxes if str(b.label) in chosen)
        known = image.size is not None and image.units == "pixels"
        image = replace(image, boxes=boxes)
        found.append(checked_boxes(image, path) if known else image)
    return found


def _refuse_near(images: Iterable[AnnotatedImage], dropped: Sequence[str], task: Task, path: Path) -> None:
    """Raise UserError where boxes would be left out whose category is a label but for a letter or its
    case."""
    used = {str(box.label) for image in images for box in image.boxes}
    labels = {label.casefold(): label for label in task.labels}
    for category in dropped:
        if category in used and (near := difflib.get_close_matches(category.casefold(), labels, 1, 0.8)):
            raise UserError(
                f"{path}: boxes are called {category!r}, which is not a label of task {task.name!r} but "
                f"nearly "
                f"{labels[near[0]]!r}; say with data.box_names which categories are read, and as what"
            )


def _category_labels(
    categories: Sequence[str], path: Path, task: Task, names: Mapping[str, str]
) -> Mapping[str, str]:
    for category, label in names.items():
        if category not in categories:
            raise UserError(
                f"{path} has no category {category!r} (box_names){nearest(category, categories)}; "
                f"it has {some(categories, 12)}"
            )
        if task.kind == "localise" and label not in task.labels:
            raise UserError(
                f"box_names: {label!r} is not a label of task {task.name!r}{nearest(label, task.labels)}; "
                f"it has {some(task.labels, 12)}"
            )
    free = task.kind != "localise"
    chosen = names or {name: name for name in categories if free or name in task.labels}
    if not chosen and (categories or not free):
        raise UserError(
            f"{path} has no category of task {task.name!r}; the file has {some(categories, 12) or 'none'}, "
            f"the "
            f"task has {some(task.labels, 12) or 'no labels'}; set data.box_names"
        )
    return chosen


def refuse_boxless(
    config: SplitSettings, task: Task, images: Iterable[AnnotatedImage], categories: Sequence[str], path: Path
) -> None:
    """Raise UserError where a label has no box in the whole data: who never names it would be right."""
    if task.kind != "localise" or config.unused_labels == "accept":
        return
    seen = {box.label for image in images for box in image.boxes}
    for label in task.labels:
        if label not in seen:
            raise UserError(
                f"label {label!r} of task {task.name!r} has no box in {path}{nearest(label, categories)}; "
                f"the file has "
                f"{some(list(dict.fromkeys(categories)), 12)}. Mend data.box_names, drop the label, or set "
                "data.unused_labels: accept"
            )


def _splits(
    config: BoxSettings, root: Path, images: Sequence[AnnotatedImage], names: Sequence[str]
) -> list[str]:
    patients = [patient_in(config.patient_pattern, image.file_name) for image in images]
    given, source = _given_splits(config, root, images)
    strata = [min((box.label or "" for box in image.boxes), default="") for image in images]
    return assign(config, names, patients, given, strata, lambda i: images[i].where, source)


def _given_splits(
    config: BoxSettings, root: Path, images: Sequence[AnnotatedImage]
) -> tuple[list[str] | None, str]:
    """The splits that a table or the annotations themselves give, and which of them does."""
    if config.splits is None:
        given = [image.split for image in images]
        if all(split is None for split in given):
            return None, ""
        for image in images:
            if image.split is None:
                raise UserError(f"{image.where}: {image.file_name} has no split, but other images have one")
        named = given_splits([str(split) for split in given], config, lambda i: images[i].where)
        return named, "the annotations"
    path, wanted = root / config.splits, ("image", "split")
    header = read_table_header(path, root, Dialect(), wanted)
    check_columns(path, header, {"splits": "image", "splits column": "split"})
    table = read_columns(path, root, Dialect(), wanted, wanted)
    splits: dict[str, str] = {}
    parts = given_splits(table.cells("split"), config, table.where)
    for row, (name, split) in enumerate(zip(table.cells("image"), parts, strict=True)):
        if splits.setdefault(name, split) != split:
            raise UserError(
                f"{table.where(row)}: image {shown(name)} is in two splits, {splits[name]} and {split}"
            )
    for image in images:
        if image.file_name not in splits:
            missing = sum(image.file_name not in splits for image in images)
            raise UserError(
                f"{path} has no row for image {image.file_name} ({missing:,} of {len(images):,} have "
                "none); expected every image of the boxes"
            )
    return [splits[image.file_name] for image in images], str(path)


def categories_of(images: Iterable[AnnotatedImage]) -> list[str]:
    """The categories that boxes have, the commonest first."""
    return [name for name, _ in Counter(str(b.label) for image in images for b in image.boxes).most_common()]
