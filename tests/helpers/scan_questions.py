"""Questions about drawn scans in a JSON file, and a recipe that reads it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from helpers.data_files import recipe_mapping, save_recipe_mapping
from helpers.scans import draw_scan

GOOD = {"question": "Which organ?", "answer": "lung", "options": ["lung", "liver", "heart"]}


def save_questions(root: Path, rows: list[dict[str, Any]], kind: str = "choice", **data: Any) -> Path:
    for number in range(12):
        path = root / "vqa" / f"i{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        draw_scan(number).save(path)
    (root / "vqa" / "q.json").write_text(json.dumps(rows))
    settings = {
        "reader": "json", "table": "vqa/q.json", "images": "vqa", "image": "image", "question": "question",
        "answer": "answer", "options": "options",
    } | data  # fmt: skip
    settings = {key: value for key, value in settings.items() if value is not None}
    return save_recipe_mapping(root / "mine.yaml", recipe_mapping(root, kind, (), settings))


def rows_with(*bad: dict[str, Any]) -> list[dict[str, Any]]:
    good = [
        GOOD | {"image": f"i{number}.png", "question": f"Which organ is {number}?"} for number in range(12)
    ]
    return good + [GOOD | {"image": f"i{number % 12}.png"} | one for number, one in enumerate(bad)]
