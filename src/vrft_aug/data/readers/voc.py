"""The reader of Pascal VOC files: an XML file an image, boxes as corners in pixels."""

from __future__ import annotations

from pathlib import Path, PurePosixPath
from typing import Literal
from xml.etree.ElementTree import Element

from vrft_aug.data.readers.annotation_files import files_of, number, read_xml
from vrft_aug.data.readers.boxed_cases import AnnotatedImage, BoxSettings, boxed_cases, categories_of
from vrft_aug.errors import UserError, shown
from vrft_aug.nouns import Box, Case, Task


class VocData(BoxSettings):
    """A folder of Pascal VOC files."""

    annotations: str  # a folder of .xml files
    # 0: xmin and ymin are left and top edges, as LabelImg, CVAT and Roboflow write. 1: pixels counted from
    # 1, both ends inside, as in the original challenge.
    first_pixel: Literal[0, 1] = 0


def read_voc(config: VocData, task: Task, root: Path, split: str) -> list[Case]:
    """The images of one split with their boxes; UserError where a file is broken or a box is wrong."""
    top = root / config.annotations
    images = [_image(read_xml(path), path, config.first_pixel) for path in files_of(top, root, ".xml")]
    name = PurePosixPath(config.annotations).parent.name or PurePosixPath(config.annotations).name
    return boxed_cases(config, task, root, split, top, name, images, categories_of(images))


def _image(xml: Element, path: Path, first_pixel: int) -> AnnotatedImage:
    if xml.tag != "annotation":
        raise UserError(f"{path} begins with <{xml.tag}>; expected <annotation> of Pascal VOC")
    name = (xml.findtext("filename") or "").strip() or path.stem
    size = None
    if (given := xml.find("size")) is not None:
        width, height = (number(given.findtext(key) or 0, key, str(path)) for key in ("width", "height"))
        size = (int(width), int(height)) if width and height else None
    boxes = []
    for place, item in enumerate(xml.findall("object"), start=1):
        where = f"{path} object {place}"
        label = (item.findtext("name") or "").strip()
        outline = item.find("bndbox")
        if not label or outline is None:
            raise UserError(f"{where} has {'no bndbox' if label else 'no name'}; expected a name and a box")
        corners = [number(outline.findtext(key), key, where) for key in ("xmin", "ymin", "xmax", "ymax")]
        x1, y1, x2, y2 = corners
        if first_pixel:
            x1, y1 = x1 - 1, y1 - 1
        boxes.append(Box(x1, y1, x2, y2, label))
    if "/" in name or "\\" in name:
        name = name.replace("\\", "/").rpartition("/")[2]
    if not name:
        raise UserError(f"{path} names no image, but {shown(name)}")
    return AnnotatedImage(name, tuple(boxes), str(path), size)
