"""Drawn scans that look like no other: a set on disk, clean or with one fault, and a recipe for it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from helpers.data_files import recipe_mapping, save_csv, save_recipe_mapping
from vrft_aug.preview.audit.audit import audit_recipe
from vrft_aug.preview.audit.audited import Finding
from vrft_aug.preview.audit.saved_audit import Audit
from vrft_aug.recipe.file import load_recipe

LABELS = ("along", "across")
SIDE = 96
SPLITS = ("train", "train", "validation", "test")


@dataclass(frozen=True)
class Row:
    """A row of the table."""

    image: str
    label: str
    split: str
    patient: str


def draw_scan(seed: int, label: str = "along", side: int = SIDE) -> Image.Image:
    """Smooth tissue and a bar, along or across; the label tells nothing of brightness, border or size."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:side, 0:side] / side
    tissue = np.zeros((side, side))
    for _ in range(30):
        cx, cy, r = rng.random(), rng.random(), 0.03 + 0.12 * rng.random()
        tissue += rng.normal(0, 1) * np.exp(-((x - cx) ** 2 + (y - cy) ** 2) / (2 * r**2))
    tissue = 110 + 45 * tissue / tissue.std() + rng.normal(0, 3, tissue.shape)
    top, left = rng.integers(10, side - 40, 2)
    height, width = (6, 28) if label == "along" else (28, 6)
    tissue[top : top + height, left : left + width] = 230
    return Image.fromarray(np.clip(tissue, 0, 255).astype(np.uint8))


class Scans:
    """A folder of scans with its table, which tests change before `audit` reads it."""

    def __init__(self, root: Path, count: int = 48) -> None:
        self.root = root
        self.rows: list[Row] = []
        for number in range(count):
            label = LABELS[number % 2]
            split = SPLITS[number // 2 % len(SPLITS)]  # each split has both labels
            self.add(draw_scan(number, label), f"s{number}.png", label, split, f"p{number}")

    def add(self, picture: Image.Image, name: str, label: str, split: str, patient: str, **save: Any) -> str:
        """Write a picture and its row; the id of its case."""
        path = self.root / "scans" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        picture.save(path, **save)
        self.rows.append(Row(name, label, split, patient))
        return f"scans/{split}/{Path(name).stem}"

    def picture(self, number: int) -> Image.Image:
        """A picture as it was drawn."""
        with Image.open(self.root / "scans" / f"s{number}.png") as image:
            return image.copy()

    def save(self, **changes: Any) -> Path:
        """The table and the recipe; `changes` are of the data settings."""
        rows = [[row.image, row.label, row.split, row.patient] for row in self.rows]
        save_csv(self.root / "scans" / "table.csv", [["image", "label", "split", "patient"], *rows])
        data = {"reader": "csv", "table": "scans/table.csv", "images": "scans", "patient_column": "patient"}
        recipe = recipe_mapping(self.root, "classify", LABELS, data | changes)
        return save_recipe_mapping(self.root / "mine.yaml", recipe)

    def audit(self, **changes: Any) -> Audit:
        """The audit of the recipe."""
        return audit_recipe(load_recipe(str(self.save(**changes))))[0]


def named(audit: Audit) -> dict[str, Finding]:
    """The findings by name, of one task."""
    return {finding.name: finding for finding in audit.findings}


Change = Callable[[Image.Image], Image.Image]


def cases_named(finding: Finding) -> Sequence[str]:
    """The ids in all examples."""
    return [case for example in finding.examples for case in example.cases]
