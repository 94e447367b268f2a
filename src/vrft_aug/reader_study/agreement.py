"""How far readers agree: kappas and Krippendorff's alpha as functions of how often each case was drawn.

Ratings are category numbers; -1 is a case that a reader has not read. Each equals its textbook value where
all cases count once (scikit-learn's `cohen_kappa_score`, statsmodels' `fleiss_kappa`).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from vrft_aug.evaluation.metrics.bootstrap import Floats, Statistic, divide
from vrft_aug.evaluation.metrics.classification import quadratic_kappa

Ratings = NDArray[np.intp]  # (cases,) or (readers, cases)
UNREAD = -1


def on(statistic: Statistic, chosen: NDArray[np.bool_]) -> Statistic:
    """A statistic of some of the cases, as a statistic of all (which share their draws)."""
    return Statistic(lambda weights: statistic.of(weights[:, chosen]), statistic.n)


def difference(a: Statistic, b: Statistic) -> Statistic:
    """`a` minus `b`, both of the same draws."""
    return Statistic(lambda weights: a.of(weights) - b.of(weights), min(a.n, b.n))


def cohen_kappa(a: Ratings, b: Ratings, categories: int) -> Statistic:
    """Cohen's kappa over the cases that both have rated; -1 to 1, undefined where both say one thing."""
    both = (a != UNREAD) & (b != UNREAD)
    first, second = one_hot(a[both], categories), one_hot(b[both], categories)
    same = (a[both] == b[both]).astype(np.float64)

    def of(weights: Floats) -> Floats:
        total = weights.sum(axis=1)
        expected = divide(((weights @ first) * (weights @ second)).sum(axis=1), total**2)
        return _beyond_chance(divide(weights @ same, total), expected)

    return on(Statistic(of, int(both.sum())), both)


def quadratic_cohen_kappa(a: Ratings, b: Ratings, grades: int) -> Statistic:
    """Cohen's kappa with quadratic weights over the cases to which both have given a grade."""
    both = (a != UNREAD) & (b != UNREAD) & (a < grades) & (b < grades)
    return on(quadratic_kappa(a[both], b[both], grades), both)


def fleiss_kappa(ratings: Ratings, categories: int) -> Statistic:
    """Fleiss' kappa of (readers, cases), over the cases that all have rated (Fleiss, Psychol Bull 1971)."""
    read, readers = (ratings != UNREAD).all(axis=0), len(ratings)
    counts = _counts(ratings[:, read], categories)
    same = divide((counts**2).sum(axis=1) - readers, np.full(len(counts), float(readers * (readers - 1))))

    def of(weights: Floats) -> Floats:
        total = weights.sum(axis=1)
        shares = divide(weights @ counts, (total * readers)[:, None] * np.ones(categories))
        return _beyond_chance(divide(weights @ same, total), (shares**2).sum(axis=1))

    return on(Statistic(of, int(read.sum())), read)


def krippendorff_alpha(ratings: Ratings, categories: int, squared: bool = False) -> Statistic:
    """Krippendorff's alpha of (readers, cases); cases with fewer than two ratings say nothing.

    Nominal, or with `squared` by the squared difference of the numbers (his interval metric), as quadratic
    kappa. Any reader may have left any case out (Krippendorff, Content Analysis, 2004).
    """
    counts = _counts(ratings, categories)
    counts[counts.sum(axis=1) < 2] = 0.0
    many = counts.sum(axis=1)
    own = divide(_disagreement(counts, squared), many - 1)

    def of(weights: Floats) -> Floats:
        total = weights @ many
        expected = divide(_disagreement(weights @ counts, squared), total - 1)
        return 1 - divide(weights @ np.nan_to_num(own), expected)

    return Statistic(of, int((many > 0).sum()))


def one_hot(ratings: Ratings, categories: int) -> Floats:
    """(cases, categories); a row of zeros for what was not read."""
    found: Floats = np.equal(ratings[:, None], np.arange(categories)).astype(np.float64)
    return found


def _counts(ratings: Ratings, categories: int) -> Floats:
    """(cases, categories): how many readers gave each."""
    found: Floats = np.sum([one_hot(of_reader, categories) for of_reader in ratings], axis=0)
    return found


def _disagreement(counts: Floats, squared: bool) -> Floats:
    """Sum over all ordered pairs of ratings of their distance, for each row of counts."""
    many = counts.sum(axis=-1)
    value = np.arange(counts.shape[-1], dtype=np.float64)
    found: Floats = (
        2 * (many * (counts @ value**2) - (counts @ value) ** 2)
        if squared
        else many**2 - (counts**2).sum(axis=-1)
    )
    return found


def _beyond_chance(observed: Floats, expected: Floats) -> Floats:
    left = 1 - expected
    return divide(observed - expected, np.where(np.abs(left) < 1e-12, 0.0, left))
