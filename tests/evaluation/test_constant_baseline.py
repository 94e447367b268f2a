"""What one answer to everything reaches in an evaluation, by kind of task."""

from pathlib import Path
from typing import Any

import pytest

from helpers.data_files import COCO, recipe_mapping, save_coco
from vrft_aug.evaluation.constant_baseline import constant_report
from vrft_aug.perception.spaces import BoxSpace
from vrft_aug.recipe.schema import Recipe
from vrft_aug.tasks.taskset import evaluation_taskset


def judged(mapping: dict[str, Any]) -> tuple[str, Any]:
    recipe = Recipe.model_validate(mapping)
    return constant_report(recipe, evaluation_taskset(recipe, BoxSpace("processed")))


def drawn(kind: str, labels: list[str], modality: str = "fundus") -> dict[str, Any]:
    data = {"reader": "procedural", "modality": modality, "test": 40}
    return {
        "name": "t", "tasks": {"t": {"kind": kind, "question": "?", "labels": labels, "data": data}},
        "evaluation": {"task": "t", "bootstrap": 100},
    }  # fmt: skip


def test_boxes_none_where_some_pictures_have_none() -> None:
    name, report = judged(drawn("localise", ["hard exudates"]))
    empty = sum(not row.true_boxes for row in report.rows)
    assert name == "no box" and 0 < empty < len(report.rows)
    assert report.metrics["mean_iou"].value == pytest.approx(empty / len(report.rows))


def test_the_whole_picture_where_all_have_boxes(tmp_path: Path) -> None:
    save_coco(tmp_path, {f"i{i}.png": [("spot", [0, 0, 20, 30])] for i in range(40)})  # half of 40 x 30
    name, report = judged(recipe_mapping(tmp_path, "localise", ["spot"], COCO))
    assert name == "the whole picture" and report.metrics["mean_iou"].value == pytest.approx(0.5, abs=0.03)


def test_sets_of_labels() -> None:
    name, report = judged(drawn("multilabel", ["effusion", "nodule"], "chest"))
    truths = [row.truth for row in report.rows]
    assert name in ("none", "effusion", "nodule", "effusion, nodule")
    best = max(map(truths.count, truths)) / len(truths)
    assert report.metrics["accuracy"].value == pytest.approx(best)
