"""Small data sets and recipes on disk, for the tests."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from PIL import Image

GRADES = ["no retinopathy", "mild", "moderate", "severe", "proliferative"]


def save_image(path: Path, size: tuple[int, int] = (40, 30), seed: int = 0) -> Path:
    """A noise picture of (width, height) pixels."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)
    return path


def save_arrays(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    """An .npz with exactly these arrays."""
    write: Callable[..., None] = np.savez_compressed  # its own type knows no arrays by name
    write(path, **arrays)


def save_medmnist(
    path: Path, labels: int = 5, count: int = 7, size: int = 28, grey: bool = False, **changed: np.ndarray
) -> Path:
    """An .npz as MedMNIST has them; label i is i modulo `labels`. `changed` replaces arrays."""
    rng = np.random.default_rng(0)
    shape = (count, size, size) if grey else (count, size, size, 3)
    arrays: dict[str, np.ndarray] = {}
    for split in ("train", "val", "test"):
        arrays[f"{split}_images"] = rng.integers(0, 256, shape, dtype=np.uint8)
        arrays[f"{split}_labels"] = (np.arange(count, dtype=np.uint8) % labels)[:, None]
    path.parent.mkdir(parents=True, exist_ok=True)
    save_arrays(path, arrays | changed)
    return path


def save_csv(path: Path, rows: Sequence[Sequence[str]]) -> Path:
    """A CSV file, header first."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(",".join(row) + "\n" for row in rows), encoding="utf-8")
    return path


def save_table(root: Path, count: int = 12, labels: Sequence[str] = ("dark", "bright")) -> Path:
    """`set/table.csv` and `set/images/*.png`: image, label, split (train, and test for every fourth)."""
    rows = [["image", "label", "split"]]
    for i in range(count):
        save_image(root / "set" / "images" / f"i{i}.png", seed=i)
        rows.append([f"images/i{i}.png", labels[i % len(labels)], "test" if i % 4 == 3 else "train"])
    return save_csv(root / "set" / "table.csv", rows)


def save_coco(
    root: Path,
    boxes: Mapping[str, Sequence[tuple[str, Sequence[float]]]],
    categories: Sequence[str] = ("spot", "disc"),
    size: tuple[int, int] = (40, 30),
) -> Path:
    """`set/boxes.json`: image name -> (category, [x, y, width, height]); also writes the images."""
    annotations = []
    for number, (name, items) in enumerate(boxes.items()):
        save_image(root / "set" / name, size, number)
        for category, bbox in items:
            annotations.append(
                {"id": 1, "image_id": number, "category_id": categories.index(category), "bbox": list(bbox)}
            )
    content = {
        "images": [
            {"id": i, "file_name": name, "width": size[0], "height": size[1]} for i, name in enumerate(boxes)
        ],
        "annotations": annotations,
        "categories": [{"id": i, "name": name} for i, name in enumerate(categories)],
    }
    path = root / "set" / "boxes.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))
    return path


MEDMNIST = {"reader": "medmnist", "dataset": "retinamnist"}
CSV = {"reader": "csv", "table": "set/table.csv", "images": "set"}
COCO = {"reader": "coco", "annotations": "set/boxes.json", "images": "set"}


def recipe_mapping(root: Path, kind: str, labels: Sequence[str], data: Mapping[str, Any]) -> dict[str, Any]:
    """A recipe with one task and one GRPO stage on the data below `root`."""
    reward = {"localise": "iou", "grade": "fuzzy_grade"}.get(kind, "accuracy")
    return {
        "name": "test",
        "data_root": str(root),
        "tasks": {
            "look": {"kind": kind, "question": "What is it?", "labels": list(labels), "data": dict(data)}
        },
        "stages": [
            {
                "name": "one",
                "method": "grpo",
                "task": "look",
                "steps": 2,
                "rewards": {"format": 0.2, reward: 1},
            }
        ],
        "evaluation": {"task": "look"},
    }


def save_recipe_mapping(path: Path, mapping: Mapping[str, Any]) -> Path:
    """The mapping as a YAML file."""
    path.write_text(yaml.safe_dump(dict(mapping), sort_keys=False))
    return path
