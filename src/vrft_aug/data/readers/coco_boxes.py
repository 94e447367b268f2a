"""COCO detection files as people export them, checked against themselves."""

from __future__ import annotations

import json
import warnings
from collections import Counter
from pathlib import Path
from typing import Any

from pydantic import BaseModel, Field, FiniteFloat, ValidationError

from vrft_aug.data.notes import note, some
from vrft_aug.data.readers.boxed_cases import AnnotatedImage, Size
from vrft_aug.data.readers.shapes import around
from vrft_aug.data.sources import absent
from vrft_aug.errors import UserError, shown
from vrft_aug.nouns import Box

Id = int | str


class _Image(BaseModel):
    id: Id
    file_name: str
    width: int | None = None
    height: int | None = None


class _Annotation(BaseModel):
    image_id: Id
    category_id: Id
    # x, y, width, height; exports of masks leave it out
    bbox: tuple[FiniteFloat, FiniteFloat, FiniteFloat, FiniteFloat] | None = None
    segmentation: Any = None
    iscrowd: int = 0


class _Category(BaseModel):
    id: Id
    name: str


class _Coco(BaseModel):
    images: list[_Image]
    annotations: list[_Annotation]
    categories: list[_Category] = Field(min_length=1)


def read_coco_file(
    path: Path, root: Path, split: str | None = None
) -> tuple[list[AnnotatedImage], list[str]]:
    """Every image of a COCO file in its order with all its boxes, and the categories of the file.

    Crowd regions are dropped. A size of 0, null or none is not known. Raises UserError where the file is
    absent or no COCO file (saying which other format it looks like), or contradicts itself.
    """
    coco = _parse(path, root)
    names = {category.id: category.name for category in coco.categories}
    found: dict[Id, list[Box]] = {image.id: [] for image in coco.images}
    if len(found) < len(coco.images):
        twice = next(id for id, count in Counter(image.id for image in coco.images).items() if count > 1)
        files = [image.file_name for image in coco.images if image.id == twice]
        raise UserError(
            f"{path}: image id {shown(twice)} is listed twice under images ({some(files)}); were "
            f"two files "
            "merged? Expected an id for each image"
        )
    sizes = {image.id: _size(image) for image in coco.images}
    crowds = 0
    for place, item in enumerate(coco.annotations):
        if item.image_id not in found:
            raise UserError(
                f"{path}: an annotation (number {place}) names image_id {item.image_id}, which is not "
                f"under images"
            )
        if item.category_id not in names:
            raise UserError(f"{path}: an annotation names category_id {item.category_id}, not in categories")
        if item.iscrowd:
            crowds += 1
            continue
        if item.bbox is None and isinstance(item.segmentation, dict):
            sizes[item.image_id] = _size_of_code(item, sizes[item.image_id], path, place)
        x, y, width, height = item.bbox or _segmented(item, path, place)
        found[item.image_id].append(Box(x, y, x + width, y + height, names[item.category_id]))
    if crowds:
        note(f"{path.name}: {crowds:,} crowd regions are left out")
    images = [
        AnnotatedImage(
            image.file_name, tuple(found[image.id]), f"image id {image.id}", sizes[image.id], split
        )
        for image in coco.images
    ]
    return images, [category.name for category in coco.categories]


def _size(image: _Image) -> Size | None:
    return (image.width, image.height) if image.width and image.height else None


def _size_of_code(item: _Annotation, size: Size | None, path: Path, place: int) -> Size:
    """The size of the image, which a run-length code has to be of: it says nothing without it."""
    given = item.segmentation.get("size")
    if not (isinstance(given, list) and len(given) == 2 and all(type(n) is int and n > 0 for n in given)):
        raise UserError(
            f"{path}: the run-length code of annotation {place} has size {shown(given)}; expected "
            "[height, width]"
        )
    own = (given[1], given[0])
    if size is not None and own != size:
        swapped = " (width and height swapped?)" if own == size[::-1] else ""
        raise UserError(
            f"{path}: the run-length code of annotation {place} is of {own[0]} x {own[1]} pixels, its image "
            f"of {size[0]} x {size[1]}{swapped}"
        )
    return own


def _segmented(item: _Annotation, path: Path, place: int) -> tuple[float, float, float, float]:
    """x, y, width, height around what is outlined: polygons, or a run-length code."""
    outline = item.segmentation
    if isinstance(outline, list) and outline and all(isinstance(part, list) for part in outline):
        try:
            flat = [float(value) for part in outline for value in part]
            box = around(list(zip(flat[::2], flat[1::2], strict=True)), None)
            return box.x1, box.y1, box.x2 - box.x1, box.y2 - box.y1
        except (ValueError, TypeError):
            pass
    elif isinstance(outline, dict) and {"counts", "size"} <= outline.keys():
        return _run_length(outline, path)
    raise UserError(
        f"{path}: annotation {place} of image {item.image_id} has neither bbox nor a segmentation"
    )


def _run_length(code: dict[str, Any], path: Path) -> tuple[float, float, float, float]:
    try:
        from pycocotools import mask
    except ImportError:
        raise UserError(
            f"{path} outlines by run lengths without bbox, which needs pycocotools: pip install "
            f"'vrft-aug[coco]'"
        ) from None
    try:
        height, width = code["size"]
        rle = mask.frPyObjects(code, height, width) if isinstance(code["counts"], list) else code
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # pycocotools' own, of NumPy 2
            inside = mask.decode(rle)  # which checks that runs are as many as pixels; toBbox does not
        if not inside.any():
            raise ValueError("it marks no pixel")
        x, y, w, h = (float(value) for value in mask.toBbox(rle))
    except (ValueError, TypeError, KeyError, OverflowError) as error:
        reason = " ".join(str(error).split())[:120]
        raise UserError(f"{path}: a run-length code cannot be read: {reason}") from None
    return x, y, w, h


def _parse(path: Path, root: Path) -> _Coco:
    if not path.is_file():
        raise absent(path, root, "coco")
    try:
        content = json.loads(path.read_text(encoding="utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path} is not valid JSON: {error}") from None
    if (other := other_format(content)) is not None:
        raise UserError(f"{path} is no COCO detection file; it looks like {other}")
    if isinstance(content, dict):
        for key in ("images", "annotations", "categories"):
            if not isinstance(content.get(key, []), list):
                raise UserError(
                    f"{path} is no COCO detection file: {key} is {shown(content[key])}; expected a list"
                )
        for key in ("images", "annotations", "categories"):
            if key not in content:
                raise UserError(
                    f"{path} is no COCO detection file: it lacks {key}; it has "
                    f"{some(list(content), 12) or 'nothing'}"
                )
    try:
        return _Coco.model_validate(content)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"] if part not in ("int", "str"))
        raise UserError(
            f"{path} is no COCO detection file: {where} is {shown(first['input'])}: {first['msg']}"
        ) from None


def other_format(content: Any) -> str | None:
    """What else than COCO a JSON file holds, with the reader for it; None where that is not known."""
    if isinstance(content, list) and content and isinstance(content[0], dict):
        if "data" in content[0] and ("annotations" in content[0] or "predictions" in content[0]):
            return "a Label Studio export (reader: label_studio)"
        return "a bare list of objects, as tables of questions are (reader: csv or json)"
    if not isinstance(content, dict):
        return None
    if "shapes" in content and "imagePath" in content:
        return "a LabelMe file (reader: labelme)"
    entries = content.get("_via_img_metadata", content)
    first = next(iter(entries.values()), None) if isinstance(entries, dict) else None
    if isinstance(first, dict) and "regions" in first and "filename" in first:
        return "a VIA project or export (reader: via)"
    return None
