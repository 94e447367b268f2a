"""Metrics that a recipe names: what they count, that the report holds all they need, and what is refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from helpers.synthetic_run import GRADE, GRADES, PROVENANCE, grade_cases, write_run
from vrft_aug.errors import OwnCodeError, UserError
from vrft_aug.evaluation.comparison import compare
from vrft_aug.evaluation.meanings import MEANINGS
from vrft_aug.evaluation.metrics.case_metrics import METRICS, CaseMetric, named_metrics
from vrft_aug.evaluation.report_data import Report, build_report, load_report, save_report
from vrft_aug.evaluation.tables import metrics_table
from vrft_aug.nouns import Answer, Case, Rollout
from vrft_aug.plugins import load_function
from vrft_aug.recipe.schema import EvaluationConfig, Recipe
from vrft_aug.report.page import write_report

RECIPE = Recipe.model_validate(
    {
        "name": "r",
        "tasks": {
            kind: {"kind": kind, "question": "?", "labels": GRADES, "data": {"reader": "procedural"}}
            for kind in ("grade", "classify")
        },
        "evaluation": {"task": "grade"},
    }
)


def words_of_odd_cases(case: Case, answer: Answer) -> float | None:
    """Words of the reasoning in odd cases.

    More is not better.
    """
    return len(answer.reasoning.split()) if int(case.id.split("/")[-1]) % 2 else None


def broken(case: Case) -> float:
    raise ZeroDivisionError("by nothing")


def wants_more(case: Case, weather: str) -> float:
    return 0.0


OWN = f"{__name__}:words_of_odd_cases"


def named(*names: str, task: str = "grade") -> tuple[CaseMetric, ...]:
    return named_metrics(RECIPE.model_copy(update={"evaluation": EvaluationConfig(task=task, metrics=names)}))


def report_of(answers: list[Answer], *names: str) -> Report:
    cases = grade_cases(len(answers))
    return build_report(
        GRADE, cases, answers, [Rollout("x")] * len(cases), None,
        seed=0, bootstrap=200, split="test", provenance=PROVENANCE, metrics=named(*names),
    )  # fmt: skip


def said(grade: int | None) -> Answer:
    return Answer(None, "missing", "") if grade is None else Answer(GRADES[grade], None, "a b c")


# Of the true grades 0 1 2 3 4 0 1 2: right, below, none, below, right, above, right, below
ANSWERS = [said(grade) for grade in (0, 0, None, 2, 4, 1, 1, 1)]


def test_under_grading_counts_answers_below_the_truth_and_none() -> None:
    metric = report_of(ANSWERS, "under_graded").metrics["under_graded"]
    assert metric.value == 4 / 8 and metric.n == 8
    assert metric.low is not None and metric.high is not None and metric.low < 0.5 < metric.high
    assert report_of([said(i % 5) for i in range(10)], "under_graded").metrics["under_graded"].value == 0


def test_a_function_of_the_users_own_is_averaged_over_the_cases_that_it_applies_to() -> None:
    report = report_of(ANSWERS, OWN)
    assert report.metrics[OWN].value == 3 and report.metrics[OWN].n == 4
    assert OWN not in report.rows[0].figures
    meaning = report.meanings[OWN]
    assert (meaning.title, meaning.note) == ("Words of odd cases", "Words of the reasoning in odd cases.")
    assert (meaning.better, meaning.share) == (0, False)


def test_reports_need_neither_the_function_nor_its_package(tmp_path: Path) -> None:
    write_run(tmp_path / "run", report_of(ANSWERS, "under_graded", OWN))
    report = load_report(tmp_path / "run" / "evaluation.json")
    better = replace(report_of([said(i % 5) for i in range(8)], "under_graded"), seed=report.seed)
    compared = compare({"a": [report], "b": [better]}, metrics=["under_graded"])
    difference = compared.differences["b", "a"]["under_graded"]
    assert difference.value == -0.5 and difference.low is not None
    assert OWN in compared.arms["a"] and OWN not in compared.arms["b"]
    console = Console(record=True, width=120)
    console.print(metrics_table(report))
    assert "Under-graded" in console.export_text()
    page = write_report(tmp_path / "run").read_text(encoding="utf-8")
    assert "answered below the true grade" in page and "Words of odd cases" in page


def test_reports_of_before_there_were_such_metrics_load(tmp_path: Path) -> None:
    path = tmp_path / "evaluation.json"
    report = report_of(ANSWERS)
    save_report(report, path)
    text = path.read_text(encoding="utf-8")
    assert ' "named": {}' in text
    path.write_text(text.replace(',\n "named": {}', ""), encoding="utf-8")
    assert load_report(path) == report


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("under_grded", "does not exist; expected .*under_graded.*did you mean 'under_graded'"),
        ("accuracy", "'accuracy' need not be named"),
        (f"{__name__}:wants_more", "wants 'weather'; a metric is told answer, case"),
        (f"{__name__}:nothing", "has no 'nothing'"),
    ],
)
def test_a_mistake_is_one_line(name: str, message: str) -> None:
    with pytest.raises(UserError, match=message) as caught:
        named(name)
    assert "\n" not in str(caught.value)


def test_kinds_and_repetition_are_refused() -> None:
    with pytest.raises(UserError, match="judges grade tasks; task 'classify' is of kind 'classify'"):
        named("under_graded", task="classify")
    with pytest.raises(UserError, match="twice"):
        named("under_graded", "under_graded")


def test_a_metric_that_breaks_names_itself_and_the_case() -> None:
    with pytest.raises(OwnCodeError, match=f"metric '{__name__}:broken' failed on case 'discs/test/0'"):
        report_of(ANSWERS, f"{__name__}:broken")


@pytest.mark.parametrize("name", METRICS)
def test_every_metric_of_ours_says_how_it_is_read(name: str) -> None:
    meaning, kinds = load_function(METRICS[name]).vrft_metric  # type: ignore[attr-defined]
    assert meaning.note and kinds and name not in MEANINGS
