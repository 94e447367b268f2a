"""Boxes from a COCO detection file, checked against the images they are of."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, FiniteFloat, ValidationError

from vrft_aug.data.sources import absent
from vrft_aug.errors import UserError, nearest, shown
from vrft_aug.nouns import Box, Task

OVERSHOOT = 1.0  # pixels that a box may reach over the border; it is clipped. Rounding makes as much


@dataclass(frozen=True)
class BoxedImage:
    """An image that a COCO file lists, with the boxes of the chosen categories in its own pixels."""

    file_name: str
    size: tuple[int, int]  # width, height in pixels, as the file says
    boxes: tuple[Box, ...]  # () where it has none of the chosen categories


class _Image(BaseModel):
    id: int
    file_name: str
    width: int
    height: int


class _Annotation(BaseModel):
    image_id: int
    category_id: int
    bbox: tuple[FiniteFloat, FiniteFloat, FiniteFloat, FiniteFloat]  # x, y, width, height
    iscrowd: int = 0


class _Category(BaseModel):
    id: int
    name: str


class _Coco(BaseModel):
    images: list[_Image]
    annotations: list[_Annotation]
    categories: list[_Category]


def read_boxes(path: Path, root: Path, task: Task, box_names: Mapping[str, str]) -> list[BoxedImage]:
    """Every image of a COCO file in its order, its boxes named by the task's labels.

    `box_names` maps categories to labels; without it categories are labels of the same name. Categories
    left out and crowd regions are dropped. Where the task is not to localise, boxes are findings that may be
    called anything. Raises UserError where the file is absent or no COCO file, where
    names do not fit, or where a box is empty or reaches over its image by more than OVERSHOOT.
    """
    coco = _parse(path, root)
    labels = _labels(coco, path, task, box_names)
    images = {image.id: image for image in coco.images}
    names = [image.file_name for image in coco.images]
    if len(set(names)) < len(names) or len(images) < len(names):
        twice = next((name for name in names if names.count(name) > 1), "an image id")
        raise UserError(f"{path}: {twice} is listed twice under images")
    found: dict[int, list[Box]] = {image_id: [] for image_id in images}
    for item in coco.annotations:
        if item.image_id not in images:
            raise UserError(
                f"{path}: an annotation names image_id {item.image_id}, which is not under images"
            )
        if item.category_id not in labels:
            raise UserError(f"{path}: an annotation names category_id {item.category_id}, not in categories")
        label = labels[item.category_id]
        if label is not None and not item.iscrowd:
            found[item.image_id].append(_box(item, label, images[item.image_id], path))
    return [
        BoxedImage(image.file_name, (image.width, image.height), tuple(found[image.id]))
        for image in coco.images
    ]


def _parse(path: Path, root: Path) -> _Coco:
    if not path.is_file():
        raise absent(path, root, "coco")
    try:
        return _Coco.model_validate(json.loads(path.read_text(encoding="utf-8")))
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise UserError(
            f"{path} is no COCO detection file: {where} is {shown(first['input'])}: {first['msg']}"
        ) from None
    except ValueError as error:
        raise UserError(f"{path} is not valid JSON: {error}") from None


def _labels(coco: _Coco, path: Path, task: Task, box_names: Mapping[str, str]) -> dict[int, str | None]:
    """Category id -> the task's label, None for a category that is left out."""
    categories = [category.name for category in coco.categories]
    for category, label in box_names.items():
        if category not in categories:
            raise UserError(
                f"{path} has no category {category!r} (box_names){nearest(category, categories)}; "
                f"it has {', '.join(categories)}"
            )
        if task.kind == "localise" and label not in task.labels:
            raise UserError(
                f"box_names: {label!r} is not a label of task {task.name!r}{nearest(label, task.labels)}; "
                f"it has {', '.join(task.labels)}"
            )
    free = task.kind != "localise"
    chosen = box_names or {name: name for name in categories if free or name in task.labels}
    if not chosen:
        raise UserError(
            f"{path} has no category of task {task.name!r}; the file has {', '.join(categories)}, the task "
            f"has {', '.join(task.labels) or 'no labels'}; set data.box_names"
        )
    return {category.id: chosen.get(category.name) for category in coco.categories}


def _box(item: _Annotation, label: str, image: _Image, path: Path) -> Box:
    x, y, width, height = item.bbox
    over = max(-x, -y, x + width - image.width, y + height - image.height)
    if not (width > 0 and height > 0 and over <= OVERSHOOT):
        raise UserError(
            f"{path}: box {list(item.bbox)} (x, y, width, height) of {image.file_name} is empty or outside "
            f"its image of {image.width} x {image.height} pixels"
        )
    return Box(max(0.0, x), max(0.0, y), min(image.width, x + width), min(image.height, y + height), label)
