"""An arm of a comparison in its run folder: trained where its recipe has stages, else evaluated as it is."""

from __future__ import annotations

from pathlib import Path

from vrft_aug.evaluation.evaluate import evaluate_path
from vrft_aug.experiments.run import train
from vrft_aug.recipe.schema import Recipe
from vrft_aug.report.page import write_report
from vrft_aug.run.folder import is_new_run, start_run
from vrft_aug.run.layout import EVALUATION
from vrft_aug.run.lock import run_locked


def run_arm(recipe: Recipe, run: Path, what: str) -> None:
    """Train, evaluate and report, from where an earlier try stood; `what` names who holds the folder."""
    if recipe.stages:
        train(recipe, run, resume=run.exists())
        return
    if is_new_run(run, resume=run.exists(), overwrite=False):
        start_run(recipe, run)
    with run_locked(run, what):
        evaluate_path(recipe.model.name, recipe, run / EVALUATION)
        write_report(run)
