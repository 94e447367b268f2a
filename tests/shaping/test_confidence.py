"""Proper scores of a stated confidence: hand-worked values, and honest statements earn the most."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from vrft_aug.errors import UserError
from vrft_aug.nouns import ABSTAINED, Answer, Case, Prompt, Rollout, Target, Task
from vrft_aug.recipe.stage_config import RewardConfig
from vrft_aug.scorer import Scorer
from vrft_aug.shaping.confidence import brier, grade_distribution, ranked_probability, ranked_score
from vrft_aug.shaping.costs import check_costs, costs

GRADES = ("none", "mild", "moderate", "severe")
TASK = Task("g", "grade", "?", GRADES, confidence=True, abstain="cannot tell")
LEVELS = np.round(np.linspace(0, 1, 101), 2)


def case(label: str | None) -> Case:
    return Case("d/1", (), Target(label=label))


def said(value: str | None, confidence: float | None, reason: Any = None) -> Answer:
    return Answer(value, reason, "", confidence)


@pytest.mark.parametrize(
    ("answer", "earned"),
    [
        (said("mild", 1.0), 1.0),
        (said("mild", 0.8), 0.96),
        (said("mild", 0.0), 0.0),
        (said("none", 0.0), 0.0),
        (said("none", 0.8), -0.64),
        (said("none", 1.0), -1.0),
        (said("mild", None), 0.0),  # as if stated with 0
        (said("none", None), -1.0),  # as if stated with 1
        (said(None, 0.7, ABSTAINED), 0.0),
        (said(None, 0.0, "missing"), -1.0),
    ],
)
def test_brier_by_hand(answer: Answer, earned: float) -> None:
    assert brier(answer, case("mild"), TASK) == pytest.approx(earned)
    assert brier(answer, case(None), TASK) is None


def test_brier_of_the_other_kinds() -> None:
    for task, target, value in (
        (Task("t", "multilabel", "?", GRADES), Target(labels=frozenset({"mild"})), frozenset({"mild"})),
        (Task("t", "choice", "?"), Target(label="left"), "left"),
        (Task("t", "answer", "?"), Target(text="left lung"), "Left lung."),
    ):
        assert brier(Answer(value, None, "", 0.8), Case("c", (), target), task) == pytest.approx(0.96)


def test_nothing_earns_more_than_the_likeliest_answer_stated_with_its_chance() -> None:
    for chance in (0.0, 0.1, 0.35, 0.5, 0.8, 1.0):

        def expected(own: float, confidence: float) -> float:
            right, wrong = (brier(said(v, confidence), case("mild"), TASK) for v in ("mild", "none"))
            assert right is not None and wrong is not None
            return own * right + (1 - own) * wrong

        best = expected(chance, chance)
        assert best == pytest.approx(chance**2)
        assert all(expected(chance, float(q)) <= best + 1e-9 for q in LEVELS)
        # a less likely answer, whatever it states: above all one known to be wrong, stated with 0
        assert all(expected(chance / 2, float(q)) <= best + 1e-9 for q in LEVELS)
        assert all(expected(0.0, float(q)) <= best + 1e-9 for q in LEVELS)


@pytest.mark.parametrize(
    ("given", "confidence", "spread", "shares"),
    [
        (1, 0.7, "even", [0.1, 0.7, 0.1, 0.1]),
        (1, 1.0, "even", [0, 1, 0, 0]),
        (1, 0.0, "even", [0.25] * 4),  # no less than 1 / grades
        (0, 0.72, "near", [0.72, 0.16, 0.08, 0.04]),
        (1, 0.5, "near", [0.2, 0.5, 0.2, 0.1]),
        (1, 0.0, "near", [2 / 9, 4 / 9, 2 / 9, 1 / 9]),
    ],
)
def test_a_confidence_in_one_grade_as_a_distribution(
    given: int, confidence: float, spread: Any, shares: Any
) -> None:
    assert grade_distribution(given, confidence, 4, spread) == pytest.approx(shares)


def test_ranked_probability_by_hand() -> None:
    # cumulative 0.1, 0.8, 0.9 against 0, 1, 1: (0.01 + 0.04 + 0.01) / 3
    assert ranked_score([0.1, 0.7, 0.1, 0.1], 1) == pytest.approx(0.02)
    assert ranked_score([1, 0, 0, 0], 3) == 1 and ranked_score([0, 0, 0, 1], 3) == 0
    assert ranked_probability(said("mild", 0.7), case("mild"), TASK) == pytest.approx(0.98)
    assert ranked_probability(said("severe", 1.0), case("none"), TASK) == 0
    assert ranked_probability(said(None, None, "missing"), case("none"), TASK) == 0
    even = 1 - (0.25**2 + 0.5**2 + 0.25**2) / 3  # all grades equally likely, the truth mild
    assert ranked_probability(said(None, None, ABSTAINED), case("mild"), TASK) == pytest.approx(even)
    # none stated: the worse of the two ends
    assert ranked_probability(said("mild", None), case("mild"), TASK) == pytest.approx(even)
    assert ranked_probability(said("severe", None), case("none"), TASK) == 0
    assert ranked_probability(said("mild", 0.7), case(None), TASK) is None


def test_of_two_grades_it_is_brier_without_its_first_part() -> None:
    two = Task("g", "grade", "?", ("none", "mild"), confidence=True)
    for q in (0.5, 0.7, 1.0):
        for truth, right in (("mild", 1.0), ("none", 0.0)):
            found, whole = (f(said("mild", q), case(truth), two) for f in (ranked_probability, brier))
            assert found is not None and whole is not None
            assert found == pytest.approx(1 + whole - right)


@pytest.mark.parametrize("spread", ["even", "near"])
def test_where_the_truth_is_spread_so_the_honest_confidence_earns_the_most(spread: Any) -> None:
    for given, own in ((1, 0.6), (0, 0.9), (3, 0.5)):
        truth = grade_distribution(given, own, 4, spread)
        earned = {
            (label, float(q)): sum(
                share * (ranked_probability(said(label, float(q)), case(GRADES[i]), TASK, spread) or 0.0)
                for i, share in enumerate(truth)
            )
            for label in GRADES
            for q in LEVELS
        }
        honest = earned[GRADES[given], own]
        assert honest == pytest.approx(max(earned.values()))
        blind = sum(
            share * (ranked_probability(said(None, None, ABSTAINED), case(GRADES[i]), TASK) or 0.0)
            for i, share in enumerate(truth)
        )
        assert blind < honest


MATRIX = (
    (0.0, 1.0, 2.0, 4.0, 0.5),
    (1.0, 0.0, 1.0, 2.0, 0.5),
    (2.0, 1.0, 0.0, 1.0, 0.5),
    (8.0, 4.0, 2.0, 0.0, 2.0),
)


def test_what_abstaining_costs_is_the_last_column() -> None:
    check_costs(TASK, MATRIX)
    assert costs(said(None, None, ABSTAINED), case("none"), TASK, MATRIX) == 1 - 0.5 / 8
    assert costs(said(None, None, ABSTAINED), case("severe"), TASK, MATRIX) == 1 - 2 / 8
    assert costs(said("none", None), case("severe"), TASK, MATRIX) == 0
    assert costs(said("severe", None), case("none"), TASK, MATRIX) == 1 - 4 / 8
    assert costs(said(None, None, "missing"), case("none"), TASK, MATRIX) == 0


def with_last(*last: float) -> list[list[float]]:
    return [[*row[:4], cost] for row, cost in zip(MATRIX, last, strict=True)]


@pytest.mark.parametrize(
    ("matrix", "said"),
    [
        ([list(row[:4]) for row in MATRIX], "expected 4 x 5 .* then what 'cannot tell' costs"),
        (with_last(0, 1, 1, 1), "abstaining where 'none' is true costs 0; expected more than 0"),
        (with_last(1, 3, 1, 1), "abstaining where 'mild' is true costs 3; .* at most 2, the row's worst"),
        (with_last(1, float("nan"), 1, 1), "costs nan"),
    ],
)
def test_a_cost_of_abstaining_that_makes_no_sense_is_refused(matrix: Any, said: str) -> None:
    with pytest.raises(UserError, match=said) as refused:
        Scorer(TASK, {"costs": RewardConfig.model_validate({"weight": 1, "costs": matrix})})
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("reward", ["brier", "ranked_probability"])
def test_a_reward_for_confidence_is_refused_where_none_is_asked_for(reward: str) -> None:
    with pytest.raises(UserError, match=r"does not ask for; set tasks.g.confidence: true"):
        Scorer(Task("g", "grade", "?", GRADES), {reward: RewardConfig(weight=1)})
    with pytest.raises(UserError, match="judges"):
        Scorer(Task("l", "localise", "?"), {reward: RewardConfig(weight=1)})
    scorer = Scorer(TASK, {reward: RewardConfig(weight=1)})
    text = "<think>x</think><answer>mild</answer><confidence>100 %</confidence>"
    assert scorer.score(case("mild"), Prompt((), ()), Rollout(text), None).total == 1
