"""The reader of LabelMe files: a JSON file an image with shapes in pixels."""

from __future__ import annotations

import math
from pathlib import Path, PurePosixPath
from typing import Any

from vrft_aug.data.notes import note
from vrft_aug.data.readers.annotation_files import files_of, number, read_json
from vrft_aug.data.readers.boxed_cases import AnnotatedImage, BoxSettings, boxed_cases, categories_of
from vrft_aug.data.readers.shapes import around, around_circle
from vrft_aug.errors import UserError, shown
from vrft_aug.nouns import Box, Case, Task

WITHOUT_AREA = ("point", "line", "linestrip", "points")


class LabelmeData(BoxSettings):
    """A LabelMe file, or a folder of them."""

    annotations: str


def read_labelme(config: LabelmeData, task: Task, root: Path, split: str) -> list[Case]:
    """The images of one split with the boxes around their shapes; points and lines are left out, and told."""
    top = root / config.annotations
    images = [_image(read_json(path), path) for path in files_of(top, root, ".json")]
    name = PurePosixPath(config.annotations).parent.name or PurePosixPath(config.annotations).stem
    return boxed_cases(config, task, root, split, top, name, images, categories_of(images))


def _image(content: Any, path: Path) -> AnnotatedImage:
    if not (
        isinstance(content, dict) and isinstance(content.get("shapes"), list) and content.get("imagePath")
    ):
        raise UserError(f"{path} is no LabelMe file: expected shapes and imagePath")
    name = str(content["imagePath"]).replace("\\", "/").rpartition("/")[2]
    width, height = (number(content.get(key) or 0, key, str(path)) for key in ("imageWidth", "imageHeight"))
    boxes = []
    for place, shape in enumerate(content["shapes"], start=1):
        box = _box(shape, f"{path} shape {place}")
        if box is None:
            note("shapes without an area (points, lines) are left out", "warning")
        else:
            boxes.append(box)
    return AnnotatedImage(
        name, tuple(boxes), str(path), (int(width), int(height)) if width and height else None
    )


def _box(shape: Any, where: str) -> Box | None:
    if not isinstance(shape, dict) or not isinstance(shape.get("points"), list) or not shape.get("label"):
        raise UserError(f"{where} is {shown(shape)}; expected a label and points")
    kind = shape.get("shape_type") or "polygon"
    if kind in WITHOUT_AREA:
        return None
    try:
        points = [(number(x, "x", where), number(y, "y", where)) for x, y in shape["points"]]
        label = str(shape["label"])
        if kind == "circle":
            (cx, cy), (x, y) = points
            return around_circle((cx, cy), math.hypot(x - cx, y - cy), label)
        if kind in ("rectangle", "polygon", "mask", "oriented_rectangle", "rotation"):
            return around(points, label)
    except (TypeError, ValueError):
        raise UserError(f"{where} has points {shown(shape['points'])} that make no {kind}") from None
    raise UserError(f"{where} is a {shown(kind)}; expected a rectangle, polygon, circle or mask")
