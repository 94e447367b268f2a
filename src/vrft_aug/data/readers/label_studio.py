"""The reader of Label Studio's JSON export: boxes, outlines and ellipses in percent of the picture."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any, Literal
from urllib.parse import parse_qs, unquote, urlsplit

from vrft_aug.data.notes import note, some
from vrft_aug.data.readers.annotation_files import number, read_json
from vrft_aug.data.readers.boxed_cases import AnnotatedImage, BoxSettings, boxed_cases, categories_of
from vrft_aug.data.readers.shapes import around, around_ellipse, around_turned
from vrft_aug.data.sources import absent
from vrft_aug.errors import UserError, shown
from vrft_aug.nouns import Box, Case, Task

KINDS = {"rectanglelabels": "rectangle", "polygonlabels": "polygon", "ellipselabels": "ellipse"}


class LabelStudioData(BoxSettings):
    """A Label Studio JSON export (not JSON-MIN)."""

    annotations: str
    image_key: str = "image"  # the key of a task's data that names the image
    several: Literal["refuse", "first", "last"] = "refuse"  # which annotation of an image that has several


def read_label_studio(config: LabelStudioData, task: Task, root: Path, split: str) -> list[Case]:
    """The images of one split; tasks without an annotation, or with a cancelled one alone, are left out,
    and told."""
    path = root / config.annotations
    if not path.is_file():
        raise absent(path, root, "label_studio")
    content = read_json(path)
    if not isinstance(content, list) or not all(
        isinstance(one, dict) and isinstance(one.get("data"), dict) for one in content
    ):
        raise UserError(
            f"{path} is no Label Studio export: expected a list of tasks with data and annotations"
        )
    images, skipped = [], 0
    for place, item in enumerate(content, start=1):
        where = f"{path} task {item.get('id', place)}"
        annotation = _annotation(item, config, where)
        if annotation is None:
            skipped += 1
            continue
        images.append(_image(item, annotation, config, where))
    if skipped:
        note(f"{skipped:,} of {len(content):,} tasks are not annotated and left out")
    name = PurePosixPath(config.annotations).parent.name or PurePosixPath(config.annotations).stem
    return boxed_cases(config, task, root, split, path, name, images, categories_of(images))


def _annotation(item: Mapping[str, Any], config: LabelStudioData, where: str) -> Mapping[str, Any] | None:
    found = [
        one for one in item.get("annotations") or [] if isinstance(one, dict) and not one.get("was_cancelled")
    ]
    if len(found) > 1 and config.several == "refuse":
        raise UserError(
            f"{where} has {len(found)} annotations; say which to take with data.several: first or last"
        )
    return (found[0] if config.several != "last" else found[-1]) if found else None


def _image(
    item: Mapping[str, Any], annotation: Mapping[str, Any], config: LabelStudioData, where: str
) -> AnnotatedImage:
    given = item["data"].get(config.image_key)
    if not isinstance(given, str) or not given:
        raise UserError(
            f"{where} has no {config.image_key!r} (data.image_key); its data has "
            f"{some(list(item['data']), 12)}"
        )
    boxes = []
    for place, result in enumerate(annotation.get("result") or [], start=1):
        box = _box(result, f"{where} region {place}")
        if box is not None:
            boxes.append(box)
    return AnnotatedImage(_name(given), tuple(boxes), where, None, None, "fraction")


def _name(given: str) -> str:
    """The file that an address of Label Studio means: its path, or what stands after ?d=."""
    address = urlsplit(given.replace("\\", "/"))
    inner = parse_qs(address.query).get("d")
    path = inner[0] if inner else unquote(address.path)
    uploaded = path.startswith("/data/upload/")
    return path.rpartition("/")[2] if uploaded or address.scheme else path.lstrip("/") if inner else path


def _box(result: Any, where: str) -> Box | None:
    """A region as fractions of the picture; None for what is no region of a label."""
    if not isinstance(result, dict) or not isinstance(result.get("value"), dict):
        raise UserError(f"{where} is {shown(result)}; expected a value")
    kind, value = str(result.get("type")), result["value"]
    if kind not in KINDS:
        if kind in ("brushlabels", "keypointlabels", "brush", "keypoint"):
            note(
                f"regions of type {kind} are left out; export masks as pictures to read them (data.masks)",
                "warning",
            )
        return None
    labels = value.get(kind)
    if not isinstance(labels, list) or len(labels) != 1:
        raise UserError(f"{where} has labels {labels!r}; expected one")
    label = str(labels[0])

    def of(*keys: str) -> list[float]:
        return [number(value.get(key), key, where) / 100 for key in keys]

    turned = number(value.get("rotation") or 0, "rotation", where)
    if kind == "polygonlabels":
        try:
            points = [(number(x, "x", where) / 100, number(y, "y", where) / 100) for x, y in value["points"]]
            return around(points, label)
        except (KeyError, TypeError, ValueError):
            raise UserError(f"{where} has no points; expected pairs") from None
    width, height = _size(result, where) if turned else (1.0, 1.0)  # turned in pixels, not in percent
    if kind == "rectanglelabels":
        x, y, w, h = of("x", "y", "width", "height")
        _refuse_empty(w, h, where)
        box = around_turned((x * width, y * height), w * width, h * height, turned, label)
    else:
        x, y, rx, ry = of("x", "y", "radiusX", "radiusY")
        _refuse_empty(rx, ry, where)
        box = around_ellipse((x * width, y * height), rx * width, ry * height, turned, label)
    return Box(box.x1 / width, box.y1 / height, box.x2 / width, box.y2 / height, label)


def _refuse_empty(width: float, height: float, where: str) -> None:
    if not (width > 0 and height > 0):
        raise UserError(
            f"{where} is {width * 100:g} % x {height * 100:g} % large; expected a width and a height above 0"
        )


def _size(result: Mapping[str, Any], where: str) -> tuple[float, float]:
    width = number(result.get("original_width"), "original_width", where)
    height = number(result.get("original_height"), "original_height", where)
    if not (width > 0 and height > 0):
        raise UserError(
            f"{where} is turned, but original_width and original_height are {width:g} and {height:g}"
        )
    return width, height
