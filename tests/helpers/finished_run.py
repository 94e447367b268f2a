"""A run that looks finished, with the embedded model in it: nothing is trained."""

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import yaml

from helpers.synthetic_run import grade_report, write_run
from vrft_aug.evaluation.provenance import hash_folder
from vrft_aug.evaluation.report_data import Report, save_report
from vrft_aug.recipe.model_folder import TINY_FOLDER


def finished_run(folder: Path, report: Report | None = None, **recipe: Any) -> Path:
    """The run of `synthetic_run` with a model, an evaluation of just that, and the date of its end.

    `recipe` replaces parts of its recipe.yaml.
    """
    report = report or grade_report()
    write_run(folder, report, stages=("warm-up", "grading"))
    shutil.copytree(TINY_FOLDER, folder / "model")
    judge_again(folder, report)
    facts = {
        "started": "2026-01-01T00:00:00+00:00",
        "finished": "2026-01-01T01:00:00+00:00",
        "data": {"grading": [{"task": "grade", "cases": 256, "hash": "dddddddddddd"}]},
    }
    (folder / "run.json").write_text(json.dumps(facts), "utf-8")
    plain = yaml.safe_load((folder / "recipe.yaml").read_text("utf-8"))
    (folder / "recipe.yaml").write_text(yaml.safe_dump({**plain, **recipe}, sort_keys=False), "utf-8")
    return folder


def judge_again(folder: Path, report: Report) -> None:
    """Let the evaluation be of the model as it lies there now."""
    source = replace(report.provenance, model=hash_folder(folder / "model"))
    save_report(replace(report, provenance=source), folder / "evaluation.json")
