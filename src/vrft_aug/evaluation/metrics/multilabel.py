"""Metrics of label sets: exact sets, single labels, F1.

A case without an answer is wrong for every label, true or not; for F1 it misses its true labels and raises no
false alarm (as for single labels, see `metrics`). With all cases answered they equal scikit-learn's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vrft_aug.evaluation.metrics.bootstrap import Statistic, divide, mean_of_defined, ratio
from vrft_aug.evaluation.metrics.case_rows import Row, split_labels

Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class LabelSets:
    """What is true and what was said, (n, labels), and which cases have an answer, (n,)."""

    true: Mask
    said: Mask
    answered: Mask

    @property
    def right(self) -> Mask:
        """Labels rightly said or left out, (n, labels); none of a case without an answer."""
        right: Mask = (self.true == self.said) & self.answered[:, None]
        return right


def label_sets(labels: Sequence[str], rows: Sequence[Row]) -> LabelSets:
    """The sets of a multilabel task's rows."""
    true = [split_labels(row.truth or "") for row in rows]
    said = [split_labels(row.answer or "") for row in rows]
    return LabelSets(
        true=np.array([[label in one for label in labels] for one in true], bool),
        said=np.array([[label in one for label in labels] for one in said], bool),
        answered=np.array([row.answer is not None for row in rows], bool),
    )


def exact(sets: LabelSets) -> Statistic:
    """Share of the cases whose set is right as a whole (subset accuracy)."""
    return ratio(sets.right.all(axis=1))


def label_accuracy(sets: LabelSets, label: int | None = None) -> Statistic:
    """Share of the cases of which a label is rightly said or left out; of all labels, their mean."""
    return ratio(sets.right.mean(axis=1) if label is None else sets.right[:, label])


def sensitivity(sets: LabelSets, label: int) -> Statistic:
    """Share of the cases with a label of which it was said; undefined without such cases."""
    true = sets.true[:, label]
    return ratio(sets.right[:, label] & true, true)


def specificity(sets: LabelSets, label: int) -> Statistic:
    """Share of the cases without a label of which it was left out; undefined without such cases."""
    absent = ~sets.true[:, label]
    return ratio(sets.right[:, label] & absent, absent)


def f1(sets: LabelSets, label: int) -> Statistic:
    """F1 of a label; undefined where it is neither true nor said."""
    true, said = sets.true[:, label], sets.said[:, label]
    both = ratio(2 * (true & said), true.astype(int) + said)
    return Statistic(both.of, int((true | said).sum()))


def macro_f1(sets: LabelSets) -> Statistic:
    """Mean F1 over the labels that are true or said of any case."""
    hit, either = (sets.true & sets.said).astype(float), sets.true.astype(float) + sets.said
    return Statistic(lambda w: mean_of_defined(divide(2 * (w @ hit), w @ either)), len(sets.true))


def micro_f1(sets: LabelSets) -> Statistic:
    """F1 of all labels of all cases together; undefined where none is true or said."""
    hit, either = (sets.true & sets.said).sum(axis=1), sets.true.sum(axis=1) + sets.said.sum(axis=1)
    return Statistic(ratio(2 * hit, either).of, len(sets.true))
