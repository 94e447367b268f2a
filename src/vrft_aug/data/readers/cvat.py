"""The reader of CVAT's XML for images (version 1.1): boxes, outlines, ellipses and masks in pixels."""

from __future__ import annotations

import math
from pathlib import Path, PurePosixPath
from xml.etree.ElementTree import Element

from vrft_aug.data.notes import note
from vrft_aug.data.readers.annotation_files import number, read_xml
from vrft_aug.data.readers.boxed_cases import AnnotatedImage, BoxSettings, boxed_cases, categories_of
from vrft_aug.data.readers.shapes import around, around_ellipse
from vrft_aug.data.sources import absent
from vrft_aug.data.splits import NAMES
from vrft_aug.errors import UserError, shown
from vrft_aug.nouns import Box, Case, Task


class CvatData(BoxSettings):
    """An annotations.xml of "CVAT for images 1.1"."""

    annotations: str


def read_cvat(config: CvatData, task: Task, root: Path, split: str) -> list[Case]:
    """The images of one split with the boxes around their shapes; the subset of an image is its split, if
    all have one.

    A box with a turn becomes the box around it. Points and lines are left out, and told. Raises UserError for
    annotations of videos, and where a shape is wrong.
    """
    path = root / config.annotations
    if not path.is_file():
        raise absent(path, root, "cvat")
    xml = read_xml(path)
    if xml.tag != "annotations" or xml.find("track") is not None:
        what = "tracks of a video" if xml.find("track") is not None else f"<{xml.tag}>"
        raise UserError(
            f'{path} holds {what}; expected <annotations> with images, exported as "CVAT for images 1.1"'
        )
    images = [_image(item, path) for item in xml.findall("image")]
    if not all(image.split for image in images):
        images = [AnnotatedImage(i.file_name, i.boxes, i.where, i.size) for i in images]
    categories = [name.text or "" for name in xml.findall("meta//labels/label/name")]
    categories = list(dict.fromkeys([*categories, *categories_of(images)]))
    name = PurePosixPath(config.annotations).parent.name or PurePosixPath(config.annotations).stem
    return boxed_cases(config, task, root, split, path, name, images, categories)


def _image(item: Element, path: Path) -> AnnotatedImage:
    name = item.get("name")
    if not name:
        raise UserError(f"{path}: image {item.get('id')} has no name")
    where = f"{path}: {name}"
    width, height = (int(number(item.get(key) or 0, key, where)) for key in ("width", "height"))
    boxes = [box for shape in item if (box := _box(shape, f"{where}, {shape.tag}")) is not None]
    subset = item.get("subset")
    split = subset if subset and subset.casefold() in NAMES else None
    return AnnotatedImage(name, tuple(boxes), where, (width, height) if width and height else None, split)


def _box(shape: Element, where: str) -> Box | None:
    if shape.tag in ("tag", "points", "polyline", "skeleton", "cuboid"):
        if shape.tag != "tag":
            note("shapes without an area (points, lines) and cuboids are left out", "warning")
        return None
    label = shape.get("label")
    if not label:
        raise UserError(f"{where} has no label")

    def of(*keys: str) -> list[float]:
        return [number(shape.get(key), key, where) for key in keys]

    turned = number(shape.get("rotation") or 0, "rotation", where)
    if shape.tag == "box":
        x1, y1, x2, y2 = of("xtl", "ytl", "xbr", "ybr")
        return _turned_about_centre(x1, y1, x2, y2, turned, label) if turned else Box(x1, y1, x2, y2, label)
    if shape.tag == "ellipse":
        cx, cy, rx, ry = of("cx", "cy", "rx", "ry")
        return around_ellipse((cx, cy), rx, ry, turned, label)
    if shape.tag == "mask":
        left, top, width, height = of("left", "top", "width", "height")
        return Box(left, top, left + width, top + height, label)
    if shape.tag == "polygon":
        pairs = [pair.split(",") for pair in (shape.get("points") or "").split(";")]
        if len(pairs) >= 3 and all(len(pair) == 2 for pair in pairs):
            return around([(number(x, "x", where), number(y, "y", where)) for x, y in pairs], label)
    raise UserError(
        f"{where} is {shown(shape.tag)} with {dict(shape.attrib)!s:.60}; expected a box, polygon or mask"
    )


def _turned_about_centre(x1: float, y1: float, x2: float, y2: float, degrees: float, label: str) -> Box:
    cos, sin = abs(math.cos(math.radians(degrees))), abs(math.sin(math.radians(degrees)))
    half_width, half_height = (x2 - x1) / 2, (y2 - y1) / 2
    wide, high = half_width * cos + half_height * sin, half_width * sin + half_height * cos
    cx, cy = (x1 + x2) / 2, (y1 + y2) / 2
    return Box(cx - wide, cy - high, cx + wide, cy + high, label)
