"""Metrics of the confidence that answers state: calibration, proper scores, and answering only when sure.

A case without an answer, or whose answer states no confidence, is in no calibration figure; where answers are
ranked it comes last, and is never one that would have been given.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from vrft_aug.evaluation.metrics import votes
from vrft_aug.evaluation.metrics.bootstrap import Floats, Statistic, divide, ratio
from vrft_aug.evaluation.metrics.case_rows import STATED, Row
from vrft_aug.shaping.confidence import grade_distribution, ranked_score

RISKS = (0.05, 0.1, 0.2)  # error rates at which it is told how many cases could be answered


def stated_confidence(rows: Sequence[Row], right: NDArray[np.bool_]) -> votes.Majorities:
    """The stated confidences in the place of vote shares, (n,); 0 and not right where there is none."""
    has = np.array([row.stated is not None for row in rows], bool)
    return votes.Majorities(np.array([row.stated or 0.0 for row in rows]), right & has, has)


def statistics(
    labels: Sequence[str], rows: Sequence[Row], right: NDArray[np.bool_], grades: bool
) -> dict[tuple[str, str], Statistic]:
    """All of them by their names; nothing for rows whose task asked for no confidence.

    `right` (n,) says which answers are right; of `grades` the labels are in their order.
    """
    if not any(STATED in row.figures for row in rows):
        return {}
    sure = stated_confidence(rows, right)
    has = sure.voted.astype(np.float64)
    answered = [float(row.reason is None) for row in rows]
    found = {
        STATED: ratio(
            [row.figures.get(STATED, 0.0) * one for row, one in zip(rows, answered, strict=True)], answered
        ),
        "mean_confidence": ratio(sure.share * has, has),
        "confidence_error": votes.calibration_error(sure),
        "brier_score": ratio(has * (sure.share - sure.right) ** 2, has),
        "confidence_auroc": _ranking(sure),
        "confidence_risk_area": votes.risk_area(sure),
    }
    if grades:
        found["ranked_probability_score"] = ratio(_ranked_scores(labels, rows), has)
    found |= {f"coverage_at_{round(100 * risk)}": coverage_at(sure, risk) for risk in RISKS}
    return {(name, ""): one for name, one in found.items()}


def coverage_at(sure: votes.Majorities, risk: float) -> Statistic:
    """The greatest share of all cases that can be answered, the surest first, with so many wrong at most.

    Answers of equal confidence are given together. 0 where even the surest are more often wrong.
    """
    ranked = votes.Ranked.of(np.where(sure.voted, sure.share, -1.0))

    def of(weights: Floats) -> Floats:
        given = np.cumsum(ranked.sums(weights * sure.voted), axis=1)
        wrong = np.cumsum(ranked.sums(weights * (sure.voted & ~sure.right)), axis=1)
        fits = wrong <= risk * given * (1 + 1e-9)
        return divide((given * fits).max(axis=1), weights.sum(axis=1))

    return Statistic(of, len(sure.share))


def _ranking(sure: votes.Majorities) -> Statistic:
    """Area under the ROC curve of right against wrong answers by their confidence."""
    inside = np.flatnonzero(sure.voted)
    if not len(inside):
        return Statistic(lambda weights: np.full(len(weights), np.nan), 0)
    area = votes.auroc(sure.right[inside], sure.share[inside])
    return Statistic(lambda weights: area.of(weights[:, inside]), len(inside))


def _ranked_scores(labels: Sequence[str], rows: Sequence[Row]) -> list[float]:
    """The ranked probability score of every case with a stated confidence, the rest spread evenly; else 0."""
    place = {label: grade for grade, label in enumerate(labels)}
    return [
        ranked_score(grade_distribution(place[row.answer], row.stated, len(labels)), place[row.truth])
        if row.stated is not None and row.answer is not None and row.truth is not None
        else 0.0
        for row in rows
    ]
