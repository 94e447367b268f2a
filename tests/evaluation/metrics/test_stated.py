"""Metrics of stated confidence: scikit-learn's where it has them, hand-worked cases else."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from sklearn import metrics as sk
from sklearn.calibration import calibration_curve

from helpers.vote_rows import LABELS, row, value
from vrft_aug.answer import parse
from vrft_aug.evaluation.metrics.bootstrap import Statistic, measure
from vrft_aug.evaluation.metrics.case_rows import STATED, Row, make_rows
from vrft_aug.evaluation.metrics.catalogue import groups, right_cases, statistics
from vrft_aug.evaluation.metrics.stated import coverage_at, stated_confidence
from vrft_aug.nouns import Case, Rollout, Target, Task
from vrft_aug.shaping.confidence import grade_distribution


def answered(truth: str, said: str | None, stated: float | None, number: int) -> Row:
    asked = {STATED: float(stated is not None)}
    reason: Any = "missing" if said is None else None
    return replace(row(truth, {}, 0, number), answer=said, reason=reason, stated=stated, figures=asked)


def random_rows(seed: int, n: int = 120) -> list[Row]:
    """Answers right about as often as they say, in steps of 0.05, so that many are equally sure."""
    rng = np.random.default_rng(seed)
    rows = []
    for i in range(n):
        stated = float(np.round(rng.integers(1, 21) * 0.05, 2))
        right = rng.random() < stated
        truth = str(rng.choice(LABELS))
        others = [label for label in LABELS if label != truth]
        rows.append(answered(truth, truth if right else str(rng.choice(others)), stated, i))
    return rows


def found(rows: list[Row]) -> dict[str, Statistic]:
    return {name: one for (name, label), one in statistics("grade", LABELS, rows).items() if not label}


@pytest.mark.parametrize("seed", range(8))
def test_calibration_and_ranking_are_scikit_learns(seed: int) -> None:
    rows = random_rows(seed)
    right = right_cases("grade", rows)
    stated = np.array([one.stated for one in rows], dtype=float)
    ours = {name: value(one, len(rows)) for name, one in found(rows).items()}
    assert ours["brier_score"] == pytest.approx(sk.brier_score_loss(right, stated))
    assert ours["confidence_auroc"] == pytest.approx(sk.roc_auc_score(right, stated))
    assert ours["mean_confidence"] == pytest.approx(stated.mean())
    shares, means = calibration_curve(right, stated, n_bins=10)
    counts = np.histogram(np.searchsorted(np.linspace(0, 1, 11)[1:-1], stated), bins=np.arange(11))[0]
    expected = (np.abs(shares - means) * counts[counts > 0]).sum() / len(rows)
    assert ours["confidence_error"] == pytest.approx(expected)


@pytest.mark.parametrize("seed", range(4))
def test_a_weight_of_two_is_the_case_twice(seed: int) -> None:
    """What the bootstrap rests on, for every metric."""
    rows = random_rows(seed, 30)
    times = np.random.default_rng(seed).integers(0, 3, len(rows))
    twice = [one for one, n in zip(rows, times, strict=True) for _ in range(n)]
    for name, one in found(rows).items():
        if not one.resampled:
            continue
        weighted = one.of(times[None, :].astype(float))[0]
        assert weighted == pytest.approx(value(found(twice)[name], len(twice)), nan_ok=True), name


# (stated, right; None: no confidence) -> coverage at 5, 10, 20 and 50 % risk, AURC, ECE, Brier: by hand.
TABLE: list[tuple[str, list[tuple[float | None, bool]], tuple[float, ...]]] = [
    ("all right", [(0.9, True), (0.8, True)], (1, 1, 1, 1, 0, 0.15, 0.025)),
    ("all wrong", [(0.9, False), (0.8, False)], (0, 0, 0, 0, 1, 0.85, 0.725)),
    (
        "the least sure is wrong",
        [(1.0, True), (1.0, True), (1.0, True), (0.0, False)],
        (0.75, 0.75, 0.75, 1, 0.0625, 0, 0),
    ),
    (
        "the surest is wrong: one must answer more to be more often right",
        [(1.0, False), (0.5, True), (0.5, True), (0.5, True)],
        (0, 0, 0, 1, (1 + 3 * 0.25) / 4, (1 + 3 * 0.5) / 4, (1 + 3 * 0.25) / 4),
    ),
    (
        "equally sure answers are given together",
        [(0.8, True), (0.8, True), (0.8, True), (0.8, True), (0.8, False)],
        (0, 0, 1, 1, 0.2, 0, 0.16),
    ),
    (
        "what states none is never given, and in no calibration",
        [(1.0, True), (None, True), (None, False), (0.5, True)],
        (0.5, 0.5, 0.5, 0.5, (0 + 0 + 2 * 0.5) / 4, 0.25, 0.125),
    ),
    ("none states any", [(None, True), (None, False)], (0, 0, 0, 0, 1, float("nan"), float("nan"))),
]


@pytest.mark.parametrize(("cases", "expected"), [line[1:] for line in TABLE], ids=[line[0] for line in TABLE])
def test_the_hand_worked_table(cases: list[tuple[float | None, bool]], expected: tuple[float, ...]) -> None:
    rows = [
        answered("mild", "mild" if right else "none", stated, i) for i, (stated, right) in enumerate(cases)
    ]
    sure = stated_confidence(rows, right_cases("grade", rows))
    got = [value(coverage_at(sure, risk), len(rows)) for risk in (0.05, 0.1, 0.2, 0.5)]
    names = ("confidence_risk_area", "confidence_error", "brier_score")
    of = found([replace(rows[0], figures={STATED: 0.0}), *rows[1:]])
    got += [value(of[name], len(rows)) for name in names]
    assert got == pytest.approx(list(expected), nan_ok=True)
    assert value(of["coverage_at_20"], len(rows)) == got[2]


@pytest.mark.parametrize("seed", range(3))
def test_ranked_probability_is_the_mean_of_scikit_learns_brier_over_thresholds(seed: int) -> None:
    """The ranked probability score is the mean over thresholds of the Brier score of "at most this grade"."""
    rows = random_rows(seed)
    shares = np.array(
        [grade_distribution(LABELS.index(str(one.answer)), one.stated or 0.0, len(LABELS)) for one in rows]
    )
    truth = np.array([LABELS.index(str(one.truth)) for one in rows])
    below = [
        sk.brier_score_loss(truth <= grade, np.clip(shares[:, : grade + 1].sum(axis=1), 0, 1))
        for grade in range(len(LABELS) - 1)
    ]
    assert value(found(rows)["ranked_probability_score"], len(rows)) == pytest.approx(np.mean(below))


def test_intervals_hold_the_value_and_abstentions_are_told_apart() -> None:
    task = Task("g", "grade", "?", LABELS, confidence=True, abstain="cannot tell")
    said = [
        "<answer>mild</answer><confidence>90 %</confidence>",
        "<answer>mild</answer>",
        "<answer>cannot tell</answer><confidence>1</confidence>",
        "<answer>?</answer><confidence>1</confidence>",
        "<answer>none</answer><confidence>0.4</confidence>",
    ] * 6
    rollouts = [Rollout(f"<think>x</think>{text}") for text in said]
    cases = [Case(f"d/{i}", (), Target(label="mild")) for i in range(len(said))]
    answers = [parse(rollout, task, None) for rollout in rollouts]
    rows = make_rows(task, cases, answers, rollouts, None)
    assert [one.stated for one in rows[:5]] == [0.9, None, None, None, 0.4]
    measured = measure(statistics("grade", LABELS, rows), groups(rows), replicates=200, seed=0)
    values = {name: metric.value for (name, label), metric in measured.items() if not label}
    assert values["confidence_stated"] == pytest.approx(2 / 3)  # of the answers
    assert values["abstained"] == 0.2 and values["answered"] == 0.6
    assert values["answered_accuracy"] == pytest.approx(2 / 3) and values["accuracy"] == 0.4
    assert values["brier_score"] == pytest.approx((0.01 + 0.16) / 2)
    assert measured["failed", "abstained"].value == 0.2
    for name in ("brier_score", "confidence_error", "confidence_risk_area", "coverage_at_20", "abstained"):
        metric = measured[name, ""]
        assert metric.low is not None and metric.high is not None and metric.value is not None
        assert metric.low <= metric.value <= metric.high


def test_a_task_that_asks_for_nothing_of_it_has_none_of_the_figures() -> None:
    rows = [replace(one, stated=None, figures={}) for one in random_rows(0, 10)]
    names = {name for name, _ in statistics("grade", LABELS, rows)}
    assert not names & {"confidence_stated", "brier_score", "abstained", "answered_accuracy", "coverage_at_5"}
    assert ("failed", "abstained") not in statistics("grade", LABELS, rows)
