"""The two figures of MedMNIST's official evaluator, ACC and AUC, from their definition.

The evaluator takes a score for every class. Ours are the shares of the samples that name a class, or, without
samples, 1 for the greedy answer (an AUC of hard answers is lower than one of scores). Definition:

- AUC: of two classes the ROC area of the second one's score; of more classes, and of label sets, the mean of
  the one-versus-rest areas. Undefined where a class has no cases, or nothing but cases.
- ACC: of two classes a score above 0.5 is the second; of more the class with the highest score (the first of
  equal ones); of label sets the mean over labels of being right with a score above 0.5.

A case without any answer would be the first class by that rule; here it is wrong.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from vrft_aug.evaluation.metrics.bootstrap import Floats, Statistic, ratio
from vrft_aug.evaluation.metrics.case_rows import Row, named_labels
from vrft_aug.evaluation.metrics.votes import auroc, true_labels, vote_shares
from vrft_aug.nouns import TaskKind

THRESHOLD = 0.5


def scores(kind: TaskKind, labels: Sequence[str], rows: Sequence[Row]) -> tuple[Statistic, Statistic]:
    """ACC and AUC of a task with labels."""
    shares, answered = _class_scores(kind, labels, rows)
    true = true_labels(kind, labels, rows)
    return _acc(kind, true, shares, answered), _auc(kind, true, shares)


def _class_scores(kind: TaskKind, labels: Sequence[str], rows: Sequence[Row]) -> tuple[Floats, Floats]:
    """Scores (n, labels), and 1 for every case with an answer (n,)."""
    if all(row.samples for row in rows):
        return vote_shares(kind, labels, rows), np.array([bool(row.votes) for row in rows], float)
    answers = [frozenset() if row.answer is None else named_labels(kind, row.answer) for row in rows]
    hard = np.array([[label in answer for label in labels] for answer in answers], float)
    return hard, np.array([row.answer is not None for row in rows], float)


def _acc(kind: TaskKind, true: NDArray[np.bool_], shares: Floats, answered: Floats) -> Statistic:
    if kind == "multilabel":
        return ratio(((shares > THRESHOLD) == true).mean(axis=1) * answered)
    if shares.shape[1] == 2:
        return ratio(((shares[:, 1] > THRESHOLD) == true[:, 1]) * answered)
    return ratio((shares.argmax(axis=1) == true.argmax(axis=1)) * answered)


def _auc(kind: TaskKind, true: NDArray[np.bool_], shares: Floats) -> Statistic:
    if kind != "multilabel" and shares.shape[1] == 2:
        return auroc(true[:, 1], shares[:, 1])
    parts = [auroc(true[:, i], shares[:, i]) for i in range(shares.shape[1])]
    return Statistic(lambda weights: np.mean([part.of(weights) for part in parts], axis=0), len(true))
