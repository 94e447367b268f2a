"""What a reader is told before the figures of an evaluation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from helpers.synthetic_run import GRADES, grade_report, localise_report, write_run
from vrft_aug.evaluation.cautions import cautions
from vrft_aug.evaluation.report_data import Report
from vrft_aug.nouns import Box
from vrft_aug.report.page import write_comparison, write_report


def answering(report: Report, answers: Sequence[str | None]) -> Report:
    rows = tuple(replace(row, answer=answer) for row, answer in zip(report.rows, answers, strict=True))
    return replace(report, rows=rows)


def test_nothing_is_said_of_a_model_that_tells_pictures_apart() -> None:
    assert cautions(grade_report(skill=0.9, n=100)) == []


@pytest.mark.parametrize(("others", "told"), [(0, True), (4, True), (5, False)])
def test_one_answer_for_everything_is_told(others: int, told: bool) -> None:
    answers = ["mild"] * (40 - others) + ["severe"] * others
    found = cautions(answering(grade_report(skill=0.9), answers))
    assert [f"{40 - others} of 40 cases is “mild”, which is true of 8" in one for one in found] == [
        True
    ] * told


def test_one_answer_may_be_right_where_nearly_all_truths_are_alike() -> None:
    report = grade_report(skill=0.9, n=100)
    for alike, told in ((80, False), (60, True)):
        truths = ["mild"] * alike + list(GRADES) * ((100 - alike) // 5)
        rows = tuple(
            replace(row, truth=truth, answer="mild") for row, truth in zip(report.rows, truths, strict=True)
        )
        assert bool(cautions(replace(report, rows=rows))) == told


def test_no_box_for_everything_is_told_and_other_boxes_are_not() -> None:
    report = localise_report()
    true, there = (Box(0, 0, 9, 9),), (Box(1, 1, 5, 5),)
    for given, told in (((), True), (there, False), (None, False)):
        rows = tuple(replace(row, true_boxes=true, boxes=given) for row in report.rows)
        found = cautions(replace(report, rows=rows))
        assert [
            f"{len(rows)} of {len(rows)} cases is “no box”, which is true of 0" in one for one in found
        ] == ([True] * told)


def test_figures_at_chance_are_told_with_the_chance() -> None:
    found = cautions(grade_report(skill=0.2, n=60))
    assert len(found) == 1 and "no better than guessing among 5 classes (0.20)" in found[0]
    assert "60 cases" in found[0]


def test_pages_say_them_on_top_and_escape_them(tmp_path: Path) -> None:
    report = grade_report(skill=0.9)
    odd = write_run(tmp_path / "odd", answering(report, ["<b>"] * 40))
    assert "to 40 of 40 cases is “&lt;b&gt;”" in write_report(odd, {}).read_text(encoding="utf-8")
    runs = {arm: [write_run(tmp_path / arm, answering(report, [arm] * 40))] for arm in GRADES[1:3]}
    html = (
        write_comparison(tmp_path / "page.html", "t", runs, {}).read_text(encoding="utf-8").split("<main>")[0]
    )
    assert "moderate, seed 3: The answer to 40 of 40 cases is “moderate”" in html and "is “mild”" in html


def test_answers_that_cannot_be_read_are_all_that_is_told() -> None:
    report = grade_report(skill=0.9)
    rows = tuple(replace(row, answer=None, reason="truncated") for row in report.rows)
    (found,) = cautions(replace(report, rows=rows))
    assert found.startswith("None of the 40 answers could be read, mostly because they are truncated")
    one = (replace(rows[0], reason=None, answer="mild"), *rows[1:])
    assert not any("could be read" in said for said in cautions(replace(report, rows=one)))
