"""Rewards for a stated confidence: proper scores, which honest confidence earns the most of."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from vrft_aug.errors import UserError
from vrft_aug.nouns import ABSTAINED, Answer, Case, Task
from vrft_aug.shaping.label import accuracy

Spread = Literal["even", "near"]


def brier(answer: Answer, case: Case, task: Task) -> float | None:
    """right - (confidence - right)**2, -1..1, with right 1 or 0 as `accuracy` says (RLCR, arXiv 2507.16806).

    Expected over cases of which a share p is right it is at most p**2, for stating p: no other confidence,
    and no answer that is less often right, earns more. An abstention earns 0, what a wrong answer stated with
    confidence 0 does. No readable confidence counts as the worst one, no readable answer as a wrong one with
    confidence 1, -1. None where the case's target is unknown.
    """
    right = accuracy(answer, case, task)
    if right is None:
        return None
    if answer.reason is not None:
        return 0.0 if answer.reason == ABSTAINED else -1.0
    if answer.confidence is None:
        return right - 1.0
    return right - (answer.confidence - right) ** 2


def ranked_probability(answer: Answer, case: Case, task: Task, spread: Spread = "even") -> float | None:
    """1 - the ranked probability score of what is stated, 0..1; 1 for the true grade with confidence 1.

    The answer and its confidence are one distribution over the grades by `grade_distribution`; the score is
    the squared distance of its cumulative shares from those of the truth, over the number of grades less one
    (Epstein 1969), so that a near miss costs less than a far one. An abstention holds all grades for equally
    likely. No readable confidence counts as the worst one; an unreadable answer earns 0. None where the case
    has no grade.
    """
    if task.kind != "grade" or case.target.label is None:
        return None
    truth, grades = task.labels.index(case.target.label), len(task.labels)
    if answer.reason == ABSTAINED:
        return 1 - ranked_score([1 / grades] * grades, truth)
    if not isinstance(answer.value, str):
        return 0.0
    given = task.labels.index(answer.value)
    stated = (answer.confidence,) if answer.confidence is not None else (0.0, 1.0)  # the worst is at an end
    return min(1 - ranked_score(grade_distribution(given, q, grades, spread), truth) for q in stated)


def grade_distribution(given: int, confidence: float, grades: int, spread: Spread = "even") -> list[float]:
    """What a confidence in one grade says of all, (grades,), summing to 1.

    The grade has the confidence, the others share the rest: evenly, or (`near`) each half as much as the next
    nearer one to the answer. Less confidence than makes the answer as likely as its likeliest rival under
    that rule counts as so much (`even`: 1 / grades): to answer a grade is to hold it for likely, and a grade
    named with confidence 0 is no way to point at the others.
    """
    weights = [1.0 if spread == "even" else 0.5 ** abs(grade - given) for grade in range(grades)]
    rest = sum(weights) - 1
    own = max(confidence, 1 / (1 + rest))
    return [own if grade == given else (1 - own) * weights[grade] / rest for grade in range(grades)]


def ranked_score(shares: Sequence[float], truth: int) -> float:
    """The ranked probability score of shares (grades,) where `truth` is the grade; 0..1, 0 is the best."""
    total, below = 0.0, 0.0
    for grade, share in enumerate(shares[:-1]):
        below += share
        total += (below - float(truth <= grade)) ** 2
    return total / (len(shares) - 1)


def check_confidence(task: Task) -> None:
    """UserError where the task does not ask for a confidence."""
    if not task.confidence:
        raise UserError(
            f"brier and ranked_probability judge a stated confidence, which task {task.name!r} does not ask "
            f"for; set tasks.{task.name}.confidence: true"
        )
