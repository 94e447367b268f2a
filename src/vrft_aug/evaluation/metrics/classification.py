"""Metrics of labels, grades and free text, from parsed answers alone (never from shaped rewards).

Truth and predictions are class numbers (n,) in the task's order; an answer that could not be parsed is the
extra prediction `classes`, "no answer". It is always to the model's disadvantage:

| metric | an unanswered case counts as |
|---|---|
| accuracy, balanced accuracy, sensitivity | wrong |
| specificity | wrong: the class was not ruled out ("intention to diagnose", Schuetz et al., BMJ 2012) |
| macro F1 | a miss of its own class, a false alarm for no other |
| quadratic kappa, grade error, far off | the grade farthest from the truth (the lowest, if two are) |
| sensitivity, specificity from a grade up | wrong: on the other side of the threshold |

Where all cases are answered these equal scikit-learn's; they are written as functions of case weights so
that a thousand bootstrap replicates take one matrix product (see `bootstrap`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from vrft_aug.evaluation.metrics.bootstrap import Floats, Statistic, divide, mean_of_defined, ratio

Classes = NDArray[np.intp]


def accuracy(truth: Classes, predicted: Classes) -> Statistic:
    """Share of cases answered right; 0 to 1."""
    return ratio(truth == predicted)


def sensitivity(truth: Classes, predicted: Classes, label: int) -> Statistic:
    """Share of the cases of a class that were called it; undefined without such cases."""
    is_label = truth == label
    return ratio(is_label & (predicted == label), is_label)


def specificity(truth: Classes, predicted: Classes, label: int, classes: int) -> Statistic:
    """Share of the cases of other classes that were called any other class; undefined without such cases."""
    other = truth != label
    ruled_out = other & (predicted != label) & (predicted < classes)
    return ratio(ruled_out, other)


def balanced_accuracy(truth: Classes, predicted: Classes, classes: int) -> Statistic:
    """Mean sensitivity over the classes that have cases."""
    is_label = _one_hot(truth, classes)
    hit = is_label * (truth == predicted)[:, None]
    return Statistic(lambda w: mean_of_defined(divide(w @ hit, w @ is_label)), len(truth))


def macro_f1(truth: Classes, predicted: Classes, classes: int) -> Statistic:
    """Mean F1 over the classes that occur as truth or as prediction."""
    is_label, called = _one_hot(truth, classes), _one_hot(predicted, classes)
    hit = is_label * called
    return Statistic(lambda w: mean_of_defined(divide(2 * (w @ hit), w @ is_label + w @ called)), len(truth))


def quadratic_kappa(truth: Classes, predicted: Classes, classes: int) -> Statistic:
    """Cohen's kappa with quadratic weights; -1 to 1, undefined where truth and prediction never vary.

    From moments instead of a confusion matrix: the observed disagreement is the mean squared difference,
    the expected one that of independent draws from the two marginals.
    """
    a = truth.astype(np.float64)
    b = _graded(truth, predicted, classes).astype(np.float64)

    def of(weights: Floats) -> Floats:
        total = weights.sum(axis=1)
        observed = total * (weights @ (a - b) ** 2)
        expected = total * (weights @ a**2 + weights @ b**2) - 2 * (weights @ a) * (weights @ b)
        return 1 - divide(observed, expected)

    return Statistic(of, len(truth))


def grade_error(truth: Classes, predicted: Classes, classes: int) -> Statistic:
    """Mean absolute difference in grades."""
    return ratio(np.abs(truth - _graded(truth, predicted, classes)))


def far_off(truth: Classes, predicted: Classes, classes: int) -> Statistic:
    """Share of the cases that are off by more than one grade."""
    return ratio(np.abs(truth - _graded(truth, predicted, classes)) > 1)


def sensitivity_from(truth: Classes, predicted: Classes, threshold: int, classes: int) -> Statistic:
    """Share of the cases at or above a grade that were called so; undefined without such cases."""
    above = truth >= threshold
    return ratio(above & (predicted >= threshold) & (predicted < classes), above)


def specificity_from(truth: Classes, predicted: Classes, threshold: int) -> Statistic:
    """Share of the cases below a grade that were called so; undefined without such cases."""
    below = truth < threshold
    return ratio(below & (predicted < threshold), below)


def f1(truth: Classes, predicted: Classes, label: int) -> Statistic:
    """F1 of a class; undefined where it is neither true nor predicted."""
    is_label, called = truth == label, predicted == label
    both = ratio(2 * (is_label & called), is_label.astype(int) + called)
    return Statistic(both.of, int((is_label | called).sum()))


def confusion(truth: Classes, predicted: Classes, classes: int) -> NDArray[np.intp]:
    """Counts (classes, classes + 1): truth by row, prediction by column, "no answer" last."""
    matrix = np.zeros((classes, classes + 1), dtype=np.intp)
    np.add.at(matrix, (truth, predicted), 1)
    return matrix


def majority(votes: Mapping[str, int], order: Sequence[str]) -> str | None:
    """The answer with most votes; a tie goes to the one that comes first in `order` (then by first vote).

    Samples without an answer have no vote; None where no sample has one.
    """
    if not votes:
        return None
    most = max(votes.values())
    tied = [answer for answer, count in votes.items() if count == most]
    return next((label for label in order if label in tied), tied[0])


def _one_hot(classes_of_cases: Classes, classes: int) -> Floats:
    """(n, classes); a row of zeros for "no answer"."""
    return np.equal(classes_of_cases[:, None], np.arange(classes)).astype(np.float64)


def _graded(truth: Classes, predicted: Classes, classes: int) -> Classes:
    """Predictions with "no answer" replaced by the grade farthest from the truth."""
    farthest = np.where(2 * truth >= classes - 1, 0, classes - 1)
    return np.where(predicted == classes, farthest, predicted)
