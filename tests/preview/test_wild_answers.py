"""Answers as models write them, scored from a file: one label in other characters, options by letter."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from helpers.data_files import recipe_mapping, save_csv
from helpers.wild_sets import draw
from vrft_aug.preview.score_file import score_file
from vrft_aug.recipe.schema import Recipe

BARRETT, OTHER = "Barrett's oesophagus", "non-proliferative"


def scores(
    root: Path, kind: str, labels: list[str], said: list[tuple[str, str]], rows: list[list[str]],
    **data: Any,
) -> list[dict[str, Any]]:  # fmt: skip
    """What answers (case, text) earn on a table of pictures."""
    draw(root / "images", (row[0] for row in rows[1:]))
    save_csv(root / "t.csv", rows)
    data = {"reader": "csv", "table": "t.csv", "images": "images"} | data
    recipe = recipe_mapping(root, kind, labels, data)
    recipe["stages"][0]["rewards"] = {"accuracy": 1.0}
    lines = [
        {"case": case, "completion": f"<think>x y z</think><answer>{text}</answer>"} for case, text in said
    ]
    path = root / "c.jsonl"
    path.write_text("".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines), encoding="utf-8")
    return score_file(Recipe.model_validate(recipe), path)


def table(labels: list[str]) -> list[list[str]]:
    return [["image", "split", "label"],
            *([f"a{n}.png", ("train", "test")[n // 2], labels[n % 2]] for n in range(4))]  # fmt: skip


SAME = {
    BARRETT: (
        BARRETT, "Barrett’s oesophagus", "Barretts oesophagus", "barrett's OESOPHAGUS.",
        "Barrett's\u00a0oesophagus", "Barrett's oesophagus\u200b",
    ),
    OTHER: (
        OTHER, "non\u2010proliferative", "non\u2011proliferative", "non\u2013proliferative",
        "non\u2212proliferative", "non proliferative", "nonproliferative", "non-\u00adproliferative",
        "Non-Proliferative", "\u200bnon-proliferative\ufeff",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("label", "text"), [(label, text) for label, ways in SAME.items() for text in ways])
def test_the_same_label_in_other_characters(tmp_path: Path, label: str, text: str) -> None:
    case = "t/test/a2" if label == BARRETT else "t/test/a3"
    (score,) = scores(tmp_path, "classify", [BARRETT, OTHER], [(case, text)], table([BARRETT, OTHER]))
    assert (score["answer"], score["total"]) == (label, 1.0)


@pytest.mark.parametrize(
    "text", ["良性", "良性。", "良性．", "（良性）", "“良性”", "「良性」", "良性\u3000", "**良性**"]
)
def test_a_label_within_cjk_punctuation(tmp_path: Path, text: str) -> None:
    labels = ["良性", "恶性"]
    (score,) = scores(tmp_path, "classify", labels, [("t/test/a2", text)], table(labels))
    assert (score["answer"], score["total"]) == ("良性", 1.0)
    (wrong,) = scores(tmp_path, "classify", labels, [("t/test/a3", text)], table(labels))
    assert wrong["total"] == 0


ASKED = "Which lesion? A. naevus B. melanoma C. keratosis D. none"


@pytest.mark.parametrize(
    ("text", "total", "reason"),
    [
        *((text, 1.0, None) for text in ("B", "b", "B.", "(B)", "**B**", "B) melanoma", "(B) melanoma")),
        ("B. melanoma", 1.0, None),
        ("melanoma", 1.0, None),
        ("A", 0.0, None),
        ("A or B", 0.0, "ambiguous"),
        ("naevus or melanoma", 0.0, "ambiguous"),
    ],
)  # fmt: skip
def test_options_in_the_question_and_ways_to_say_one(
    tmp_path: Path, text: str, total: float, reason: str | None
) -> None:
    rows = [["image", "split", "q", "a"]]
    rows += [[f"a{n}.png", ("train", "test")[n // 2], ASKED, "B"] for n in range(4)]
    (score,) = scores(
        tmp_path, "choice", [], [("t/test/a2/q1", text)], rows,
        question_column="q", text_column="a",
    )  # fmt: skip
    assert (score["total"], score["reason"]) == (total, reason)
