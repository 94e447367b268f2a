"""The reader of VIA (VGG Image Annotator) projects and exports: shapes in pixels, names in attributes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from vrft_aug.data.notes import note, some
from vrft_aug.data.readers.annotation_files import number, read_json
from vrft_aug.data.readers.boxed_cases import AnnotatedImage, BoxSettings, boxed_cases, categories_of
from vrft_aug.data.readers.shapes import around, around_circle, around_ellipse
from vrft_aug.data.sources import absent
from vrft_aug.errors import UserError, nearest, shown
from vrft_aug.nouns import Box, Case, Task


class ViaData(BoxSettings):
    """A VIA project (version 2) or its JSON export (versions 1 and 2)."""

    annotations: str
    label_attribute: str | None = None  # the region attribute that says what it is; null: the only one


def read_via(config: ViaData, task: Task, root: Path, split: str) -> list[Case]:
    """The images of one split with the boxes around their regions; points and lines are left out, and
    told."""
    path = root / config.annotations
    if not path.is_file():
        raise absent(path, root, "via")
    content = read_json(path)
    if isinstance(content, dict):
        content = content.get("_via_img_metadata", content)
    entries = list(content.values()) if isinstance(content, dict) else content
    if not isinstance(entries, list) or not all(
        isinstance(one, dict) and "filename" in one for one in entries
    ):
        raise UserError(f"{path} is no VIA file: expected an entry with filename and regions for each image")
    regions = [(entry, _regions(entry, path)) for entry in entries]
    attribute = _attribute(config, [region for _, found in regions for region in found], path)
    images = []
    for entry, found in regions:
        boxes = []
        for place, region in enumerate(found, start=1):
            box = _box(region, attribute, f"{path} region {place} of {entry['filename']}")
            if box is None:
                note("regions without an area (points, lines) are left out", "warning")
            else:
                boxes.append(box)
        images.append(AnnotatedImage(str(entry["filename"]), tuple(boxes), f"{path}: {entry['filename']}"))
    name = PurePosixPath(config.annotations).parent.name or PurePosixPath(config.annotations).stem
    return boxed_cases(config, task, root, split, path, name, images, categories_of(images))


def _regions(entry: Mapping[str, Any], path: Path) -> list[Mapping[str, Any]]:
    regions = entry.get("regions") or []
    found = list(regions.values()) if isinstance(regions, dict) else regions
    if not isinstance(found, list) or not all(
        isinstance(one, dict) and "shape_attributes" in one for one in found
    ):
        raise UserError(
            f"{path}: regions of {entry['filename']} are {shown(regions)}; expected shape_attributes in each"
        )
    return found


def _attribute(config: ViaData, regions: list[Mapping[str, Any]], path: Path) -> str | None:
    known = Counter(name for region in regions for name in region.get("region_attributes") or {})
    if config.label_attribute is not None:
        if config.label_attribute not in known and regions:
            raise UserError(
                f"{path} has no region attribute {config.label_attribute!r} (label_attribute)"
                f"{nearest(config.label_attribute, known)}; it has {some(list(known), 12) or 'none'}"
            )
        return config.label_attribute
    if len(known) > 1:
        raise UserError(
            f"{path} has region attributes {some(list(known), 12)}; name the label's with "
            "data.label_attribute"
        )
    return next(iter(known), None)


def _box(region: Mapping[str, Any], attribute: str | None, where: str) -> Box | None:
    shape = region["shape_attributes"]
    value = (region.get("region_attributes") or {}).get(attribute) if attribute else None
    if isinstance(value, dict):  # a checkbox: {"lesion": true}
        chosen = [name for name, on in value.items() if on]
        value = chosen[0] if len(chosen) == 1 else None
    label = str(value).strip() if value not in (None, "") else ""
    kind = shape.get("name")
    if kind in ("point", "polyline", "line"):
        return None
    if not label:
        raise UserError(f"{where} has no label; expected one under {attribute or 'a region attribute'}")

    def of(*keys: str) -> list[float]:
        return [number(shape.get(key), key, where) for key in keys]

    if kind == "rect":
        x, y, width, height = of("x", "y", "width", "height")
        return Box(x, y, x + width, y + height, label)
    if kind == "circle":
        cx, cy, radius = of("cx", "cy", "r")
        return around_circle((cx, cy), radius, label)
    if kind == "ellipse":
        cx, cy, rx, ry = of("cx", "cy", "rx", "ry")
        return around_ellipse(
            (cx, cy), rx, ry, number(shape.get("theta", 0), "theta", where) * 57.29577951, label
        )
    if kind == "polygon":
        xs, ys = shape.get("all_points_x"), shape.get("all_points_y")
        if isinstance(xs, list) and isinstance(ys, list) and len(xs) == len(ys) >= 3:
            return around(
                [(number(x, "x", where), number(y, "y", where)) for x, y in zip(xs, ys, strict=True)], label
            )
    raise UserError(f"{where} is {shown(kind)}; expected a rect, polygon, circle or ellipse with its numbers")
