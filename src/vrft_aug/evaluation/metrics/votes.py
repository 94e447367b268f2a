"""Metrics of the votes over K sampled answers: ranking, calibration, selective answering, pass@k.

A language model gives no probabilities; the share of a case's samples that name a class stands for one.
Samples without an answer vote for nothing, so the shares of a case may sum to less than 1. Equal shares enter
together everywhere: the order of the cases has no influence.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import comb

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vrft_aug.evaluation.metrics.bootstrap import Floats, Statistic, divide, mean_of_defined, ratio
from vrft_aug.evaluation.metrics.case_rows import Row, named_labels, vote_key
from vrft_aug.evaluation.metrics.classification import majority
from vrft_aug.nouns import TaskKind

BINS = 10  # of equal width, each open below and closed above, as in sklearn.calibration.calibration_curve
CLEAR = 0.8  # share of the samples from which a vote is called clear


@dataclass(frozen=True)
class Majorities:
    """The majority of every case, all (n,). Without a vote the share is 0 and the case is not right."""

    share: Floats  # of the case's samples
    right: NDArray[np.bool_]
    voted: NDArray[np.bool_]  # whether any sample has an answer


def vote_shares(kind: TaskKind, labels: Sequence[str], rows: Sequence[Row]) -> Floats:
    """The share of each case's samples that name each label, (n, labels)."""
    number = {label: i for i, label in enumerate(labels)}
    shares = np.zeros((len(rows), len(labels)))
    for case, row in enumerate(rows):
        for vote, times in row.votes.items():
            for label in named_labels(kind, vote):
                shares[case, number[label]] += times / row.samples
    return shares


def true_labels(kind: TaskKind, labels: Sequence[str], rows: Sequence[Row]) -> NDArray[np.bool_]:
    """Which labels are true of each case, (n, labels)."""
    named = [named_labels(kind, row.truth or "") for row in rows]
    return np.array([[label in one for label in labels] for one in named], bool).reshape(len(rows), -1)


def majorities(kind: TaskKind, labels: Sequence[str], rows: Sequence[Row]) -> Majorities:
    """The majority of every case; a tie goes to the first label (free text: to the first sampled)."""
    winners = [majority(row.votes, labels) for row in rows]
    pairs = list(zip(winners, rows, strict=True))
    return Majorities(
        share=np.array([0.0 if w is None else row.votes[w] / row.samples for w, row in pairs]),
        right=np.array([w is not None and w == vote_key(kind, row.truth or "") for w, row in pairs], bool),
        voted=np.array([w is not None for w in winners], bool),
    )


def auroc(positive: ArrayLike, score: ArrayLike) -> Statistic:
    """Area under the ROC curve, ties counting half; undefined without positives or without negatives.

    Equal to sklearn.metrics.roc_auc_score.
    """
    ranked = Ranked.of(score)
    is_positive = np.asarray(positive, dtype=np.float64)

    def of(weights: Floats) -> Floats:
        above, below = ranked.sums(weights * is_positive), ranked.sums(weights * (1 - is_positive))
        worse = below.sum(axis=1, keepdims=True) - np.cumsum(below, axis=1) + below / 2
        return divide((above * worse).sum(axis=1), above.sum(axis=1) * below.sum(axis=1))

    return Statistic(of, len(is_positive))


def average_precision(positive: ArrayLike, score: ArrayLike) -> Statistic:
    """Mean precision at the scores, weighted by the recall each adds; undefined without positives.

    Equal to sklearn.metrics.average_precision_score.
    """
    ranked = Ranked.of(score)
    is_positive = np.asarray(positive, dtype=np.float64)

    def of(weights: Floats) -> Floats:
        hits, named = ranked.sums(weights * is_positive), ranked.sums(weights)
        precision = np.nan_to_num(divide(np.cumsum(hits, axis=1), np.cumsum(named, axis=1)))
        return divide((hits * precision).sum(axis=1), hits.sum(axis=1))

    return Statistic(of, len(is_positive))


def mean_over_classes(per_class: Sequence[Statistic]) -> Statistic:
    """Mean of one-versus-rest statistics over the classes for which they are defined."""
    return Statistic(
        lambda weights: mean_of_defined(np.stack([one.of(weights) for one in per_class], axis=-1)),
        max(one.n for one in per_class),
    )


def calibration_error(votes: Majorities) -> Statistic:
    """Expected calibration error: |share of the vote - share right| averaged over bins; cases with a vote."""
    inside = _bins(votes) * votes.voted[:, None]
    share, right = inside * votes.share[:, None], inside * votes.right[:, None]

    def of(weights: Floats) -> Floats:
        return divide(np.abs(weights @ share - weights @ right).sum(axis=1), weights @ votes.voted)

    return Statistic(of, int(votes.voted.sum()))


def clear_share(votes: Majorities) -> Statistic:
    """Share of the cases in which at least 80 % of the samples agree: the coverage of answering only then."""
    return ratio(votes.share >= CLEAR)


def clear_accuracy(votes: Majorities) -> Statistic:
    """Accuracy of the majority where at least 80 % of the samples agree; undefined where they never do."""
    clear = votes.share >= CLEAR
    return ratio(clear & votes.right, clear)


def risk_area(votes: Majorities) -> Statistic:
    """Area under the risk-coverage curve (AURC): error rate among the surest cases, over all coverages."""
    ranked = Ranked.of(votes.share)

    def of(weights: Floats) -> Floats:
        named, wrong = ranked.sums(weights), ranked.sums(weights * ~votes.right)
        risk = np.nan_to_num(divide(np.cumsum(wrong, axis=1), np.cumsum(named, axis=1)))
        return divide((named * risk).sum(axis=1), named.sum(axis=1))

    return Statistic(of, len(votes.share))


def pass_at(k: int, kind: TaskKind, rows: Sequence[Row]) -> Statistic:
    """Chance that at least one of k samples is right, without bias from all samples (Chen et al., 2021)."""
    right = [row.votes.get(vote_key(kind, row.truth or ""), 0) for row in rows]
    every = zip(right, rows, strict=True)
    return ratio([passing(row.samples, c, k) for c, row in every])


def passing(samples: int, right: int, k: int) -> float:
    """The chance that of k out of `samples` completions, of which `right` are right, one is; without bias."""
    return 1 - comb(samples - right, k) / comb(samples, k)


def passes(rows: Sequence[Row]) -> list[int]:
    """The k that pass@k is reported at: powers of two up to the number of samples, and that number."""
    return powers_of_two(min(row.samples for row in rows))


def powers_of_two(most: int) -> list[int]:
    """1, 2, 4 and so on up to a number, and that number."""
    return sorted({*(1 << i for i in range(most.bit_length()) if 1 << i <= most), most})


def _bins(votes: Majorities) -> Floats:
    """Which bin a share lies in, (n, BINS), one-hot."""
    place = np.searchsorted(np.linspace(0, 1, BINS + 1)[1:-1], votes.share)
    return np.equal(place[:, None], np.arange(BINS)).astype(np.float64)


@dataclass(frozen=True)
class Ranked:
    """Cases from the highest score to the lowest; cases with equal scores are one step."""

    order: NDArray[np.intp]
    starts: NDArray[np.intp]

    @classmethod
    def of(cls, score: ArrayLike) -> Ranked:
        """Of scores (n,), n at least 1."""
        scores = np.asarray(score, dtype=np.float64)
        order = np.argsort(-scores, kind="stable")
        ranked = scores[order]
        return cls(order, np.flatnonzero(np.append(True, ranked[1:] != ranked[:-1])))

    def sums(self, weights: Floats) -> Floats:
        """From (replicates, n) to (replicates, steps)."""
        sums: Floats = np.add.reduceat(weights[:, self.order], self.starts, axis=1)
        return sums
