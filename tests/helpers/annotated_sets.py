"""The same twelve pictures with the same boxes, written as each annotation tool writes them."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from helpers.data_files import save_image
from vrft_aug.data.cases import EmptySplit, load_cases
from vrft_aug.nouns import Box, Case
from vrft_aug.recipe.task_config import TaskConfig
from vrft_aug.tasks.task import make_task

SIZE = (64, 48)
LABELS = ("lesion", "disc")
NAMES = tuple(f"a{i}.png" for i in range(12))
# The first picture has none, others have one or two
TRUTH: dict[str, tuple[Box, ...]] = {
    name: (
        *((Box(4 + i, 8, 20 + i, 24, "lesion"),) if i else ()),
        *((Box(32, 12, 48, 36, "disc"),) if i % 2 else ()),
    )
    for i, name in enumerate(NAMES)
}
Data = dict[str, Any]
Truth = Mapping[str, tuple[Box, ...]]


def read_all(
    root: Path, data: Mapping[str, Any], kind: str = "localise", labels: tuple[str, ...] = LABELS
) -> dict[str, list[Case]]:
    """The cases of every split."""
    settings = {"kind": kind, "question": "?", "labels": labels, "data": dict(data)}
    config = TaskConfig.model_validate(settings)
    found: dict[str, list[Case]] = {}
    for split in ("train", "validation", "test"):
        try:
            found[split] = load_cases(config.data, make_task("look", config), root, split)
        except EmptySplit:
            found[split] = []
    return found


def boxes_of(found: Mapping[str, list[Case]]) -> dict[str, tuple[Box, ...]]:
    """File name -> boxes, of all splits, rounded to a thousandth of a pixel."""
    return {
        Path(getattr(case.images[0], "path", "")).name: tuple(
            Box(round(b.x1, 3), round(b.y1, 3), round(b.x2, 3), round(b.y2, 3), b.label)
            for b in case.target.boxes or ()
        )
        for cases in found.values()
        for case in cases
    }


def _images(root: Path, folder: str = "images") -> None:
    for i, name in enumerate(NAMES):
        save_image(root / folder / name, SIZE, i)


def _categories(truth: Truth) -> list[str]:
    return list(dict.fromkeys([*LABELS, *(str(box.label) for boxes in truth.values() for box in boxes)]))


def _json(path: Path, content: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))


def coco(root: Path, truth: Truth = TRUTH) -> Data:
    """One COCO file."""
    _images(root)
    boxes = [(i, b) for i, name in enumerate(NAMES) for b in truth[name]]
    names = _categories(truth)
    content = {
        "images": [
            {"id": i, "file_name": n, "width": SIZE[0], "height": SIZE[1]} for i, n in enumerate(NAMES)
        ],
        "annotations": [
            {
                "id": k,
                "image_id": i,
                "category_id": names.index(str(b.label)) + 1,
                "bbox": [b.x1, b.y1, b.x2 - b.x1, b.y2 - b.y1],
                "iscrowd": 0,
            }
            for k, (i, b) in enumerate(boxes)
        ],
        "categories": [{"id": i + 1, "name": name} for i, name in enumerate(names)],
    }
    _json(root / "a.json", content)
    return {"reader": "coco", "annotations": "a.json", "images": "images"}


def yolo(root: Path, truth: Truth = TRUTH) -> Data:
    """images/ and labels/ with data.yaml."""
    _images(root, "set/images")
    names = _categories(truth)
    for name in NAMES:
        path = root / "set/labels" / name.replace(".png", ".txt")
        path.parent.mkdir(parents=True, exist_ok=True)
        w, h = SIZE
        path.write_text(
            "".join(
                f"{names.index(str(b.label))} {(b.x1 + b.x2) / 2 / w:.8f} {(b.y1 + b.y2) / 2 / h:.8f} "
                f"{(b.x2 - b.x1) / w:.8f} {(b.y2 - b.y1) / h:.8f}\n"
                for b in truth[name]
            )
        )
    (root / "set/data.yaml").write_text(json.dumps({"names": names}))
    return {"reader": "yolo", "folder": "set"}


def voc(root: Path, truth: Truth = TRUTH) -> Data:
    """An XML file an image."""
    _images(root)
    for name in NAMES:
        path = root / "set/xml" / name.replace(".png", ".xml")
        path.parent.mkdir(parents=True, exist_ok=True)
        objects = "".join(
            f"<object><name>{b.label}</name><bndbox><xmin>{b.x1}</xmin><ymin>{b.y1}</ymin><xmax>{b.x2}</xmax>"
            f"<ymax>{b.y2}</ymax></bndbox></object>"
            for b in truth[name]
        )
        size = f"<size><width>{SIZE[0]}</width><height>{SIZE[1]}</height><depth>3</depth></size>"
        path.write_text(f"<annotation><filename>{name}</filename>{size}{objects}</annotation>")
    return {"reader": "voc", "annotations": "set/xml", "images": "images"}


def labelme(root: Path, truth: Truth = TRUTH) -> Data:
    """A JSON file an image: rectangles (drawn from any corner), polygons."""
    _images(root)
    for i, name in enumerate(NAMES):
        shapes = [
            {
                "label": b.label,
                "shape_type": "rectangle" if i % 2 else "polygon",
                "points": [[b.x2, b.y2], [b.x1, b.y1]]
                if i % 2
                else [[b.x1, b.y1], [b.x2, b.y1], [b.x2, b.y2], [b.x1, b.y2]],
            }
            for b in truth[name]
        ]
        _json(
            root / "set/labelme" / name.replace(".png", ".json"),
            {
                "version": "5",
                "shapes": shapes,
                "imagePath": f"..\\images\\{name}",
                "imageHeight": SIZE[1],
                "imageWidth": SIZE[0],
            },
        )
    return {"reader": "labelme", "annotations": "set/labelme", "images": "images"}


def via(root: Path, truth: Truth = TRUTH) -> Data:
    """A VIA project of version 2."""
    _images(root)
    entries = {
        f"{name}123": {
            "filename": name,
            "size": 123,
            "regions": [
                {
                    "shape_attributes": {
                        "name": "rect",
                        "x": b.x1,
                        "y": b.y1,
                        "width": b.x2 - b.x1,
                        "height": b.y2 - b.y1,
                    },
                    "region_attributes": {"kind": b.label},
                }
                for b in truth[name]
            ],
        }
        for name in NAMES
    }
    _json(root / "via.json", {"_via_settings": {}, "_via_img_metadata": entries})
    return {"reader": "via", "annotations": "via.json", "images": "images"}


def label_studio(root: Path, truth: Truth = TRUTH) -> Data:
    """An export with uploaded names and a task that nobody has annotated."""
    _images(root)
    tasks = [
        {
            "id": i,
            "data": {"image": f"/data/upload/1/3f2a1b4c-{name}"},
            "annotations": [
                {
                    "result": [
                        {
                            "type": "rectanglelabels",
                            "original_width": SIZE[0],
                            "original_height": SIZE[1],
                            "value": {
                                "x": b.x1 / SIZE[0] * 100,
                                "y": b.y1 / SIZE[1] * 100,
                                "width": (b.x2 - b.x1) / SIZE[0] * 100,
                                "height": (b.y2 - b.y1) / SIZE[1] * 100,
                                "rotation": 0,
                                "rectanglelabels": [b.label],
                            },
                        }
                        for b in truth[name]
                    ]
                }
            ],
        }
        for i, name in enumerate(NAMES)
    ]
    tasks.append({"id": 99, "data": {"image": "/data/upload/1/nobody.png"}, "annotations": []})
    _json(root / "ls.json", tasks)
    return {"reader": "label_studio", "annotations": "ls.json", "images": "images"}


def cvat(root: Path, truth: Truth = TRUTH) -> Data:
    """annotations.xml of CVAT for images."""
    _images(root)
    items = "".join(
        f'<image id="{i}" name="{name}" width="{SIZE[0]}" height="{SIZE[1]}">'
        + "".join(
            f'<box label="{b.label}" xtl="{b.x1}" ytl="{b.y1}" xbr="{b.x2}" ybr="{b.y2}" occluded="0"/>'
            for b in truth[name]
        )
        + "</image>"
        for i, name in enumerate(NAMES)
    )
    (root / "cvat.xml").write_text(
        f'<?xml version="1.0"?><annotations><version>1.1</version>{items}</annotations>'
    )
    return {"reader": "cvat", "annotations": "cvat.xml", "images": "images"}


def box_rows(root: Path, truth: Truth = TRUTH) -> Data:
    """A table with a row a box."""
    _images(root)
    rows = ["image,class,x_min,y_min,x_max,y_max\n"]
    for name in NAMES:
        rows += [f"{name},{b.label},{b.x1},{b.y1},{b.x2},{b.y2}\n" for b in truth[name]] or [f"{name},,,,,\n"]
    (root / "t.csv").write_text("".join(rows))
    return {"reader": "csv", "table": "t.csv", "images": "images"}


FORMATS: dict[str, Callable[..., Data]] = {
    "coco": coco,
    "yolo": yolo,
    "voc": voc,
    "labelme": labelme,
    "via": via,
    "label_studio": label_studio,
    "cvat": cvat,
    "box rows": box_rows,
}
# The file in which each format has what is wrong in the tests of wrong inputs
WRITTEN = {
    "coco": "a.json",
    "yolo": "set/labels/a1.txt",
    "voc": "set/xml/a1.xml",
    "labelme": "set/labelme/a1.json",
    "via": "via.json",
    "label_studio": "ls.json",
    "cvat": "cvat.xml",
    "box rows": "t.csv",
}
