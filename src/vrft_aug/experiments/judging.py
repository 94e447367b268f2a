"""An evaluated run handed to a judge of open answers, and the report with what it said."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from vrft_aug.errors import UserError
from vrft_aug.evaluation.language_judge import Judged, evaluation_hash, judge, save_judged
from vrft_aug.evaluation.report_data import load_report
from vrft_aug.evaluation.verdicts import Labelled
from vrft_aug.policy.endpoint import Endpoint
from vrft_aug.recipe.file import load_recipe
from vrft_aug.report.page import write_report
from vrft_aug.run.layout import EVALUATION, JUDGED, RUN_RECIPE
from vrft_aug.run.lock import run_locked
from vrft_aug.tasks.find import find_cases


def judge_run(run: Path, endpoint: Endpoint, labelled: Sequence[Labelled] = ()) -> Judged:
    """Judge the answers of a run, write judged.json and the report anew.

    Raises UserError where the run has not been evaluated, is of another kind, or its questions are gone.
    """
    if not (run / RUN_RECIPE).is_file():
        raise UserError(f"{run} is no run folder; expected one that `vrft train` has written")
    if not (run / EVALUATION).is_file():
        raise UserError(f"{run} has not been evaluated; run `vrft evaluate {run}` first")
    with run_locked(run, "vrft judge"):
        hash, report = evaluation_hash(run / EVALUATION), load_report(run / EVALUATION)
        recipe = load_recipe(str(run / RUN_RECIPE))
        if report.task not in recipe.tasks:
            raise UserError(
                f"{run / EVALUATION} is of task {report.task!r}, which the run's recipe does not have"
            )
        asked = recipe.tasks[report.task].question
        cases = find_cases(recipe, report.task, [row.case for row in report.rows])
        questions = {id: case.question or asked for id, case in cases.items()}
        gone = [row.case for row in report.rows if row.case not in questions]
        if gone:
            raise UserError(
                f"{len(gone)} of {len(report.rows)} cases of {run / EVALUATION} are not in the recipe's data "
                f"any more, the first: {gone[0]}; evaluate it again"
            )
        judged = judge(endpoint, report, questions, hash, labelled)
        save_judged(judged, run / JUDGED)
        write_report(run)
    return judged
