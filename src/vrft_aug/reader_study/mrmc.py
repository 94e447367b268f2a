"""Is the difference with and without aid more than the luck of these readers and these cases?

Two answers, for no well-kept Python library gives one: the bootstrap that draws readers and cases anew, and,
where every reader has read every case in both conditions, the analysis of Obuchowski and Rockette (Commun
Stat 1995) with Hillis' degrees of freedom (Stat Med 2007) and covariances by the jackknife, the one that
regulators know as MRMC.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from vrft_aug.evaluation.metrics.bootstrap import Floats, Metric, case_weights, defined_draws, divide

Marks = NDArray[np.float64]  # (conditions, readers, cases): what a reading scored; nan where there is none


@dataclass(frozen=True)
class ObuchowskiRockette:
    """The random-reader, random-case analysis of two conditions."""

    difference: float  # second condition minus first, mean over readers
    low: float
    high: float
    f: float
    degrees: float  # Hillis' denominator degrees of freedom
    p: float


def reader_means(marks: Marks, weights: Floats) -> Floats:
    """(draws, conditions, readers): each reader's mean mark, nan where the reader has no reading drawn."""
    read = ~np.isnan(marks)
    flat, there = np.nan_to_num(marks), read.astype(np.float64)
    above = np.einsum("bn,crn->bcr", weights, flat)
    return divide(above, np.einsum("bn,crn->bcr", weights, there))


def over_readers_and_cases(
    marks: Marks, groups: Sequence[Hashable], *, replicates: int, seed: int
) -> tuple[Metric, ...]:
    """Each condition's mean over readers and, of two, the second minus the first, with percentile intervals.

    Draws readers, and groups of cases, both with replacement, independently. No interval with one reader.
    """
    conditions, readers, cases = marks.shape
    point = _with_difference(
        _mean_over_readers(reader_means(marks, np.ones((1, cases))), np.ones((1, readers)))
    )
    draws: list[Floats] = []
    rng = np.random.default_rng([seed, 1])
    if readers > 1:
        for weights in case_weights(groups, replicates, seed):
            drawn = rng.integers(readers, size=(len(weights), readers))
            times = np.stack([np.bincount(row, minlength=readers) for row in drawn]).astype(np.float64)
            draws.append(_with_difference(_mean_over_readers(reader_means(marks, weights), times)))
    every = np.concatenate(draws) if draws else np.empty((0, point.shape[1]))
    read = (~np.isnan(marks)).sum(axis=(1, 2))
    counts = [*read, read.min()] if conditions == 2 else list(read)
    return tuple(_metric(point[0, i], every[:, i], int(n)) for i, n in enumerate(counts))


def obuchowski_rockette(marks: Marks, groups: Sequence[Hashable]) -> ObuchowskiRockette | None:
    """None where a reading is missing, there are not two conditions and readers, or nothing varies."""
    conditions, readers, cases = marks.shape
    names = list(dict.fromkeys(groups))
    if conditions != 2 or readers < 2 or len(names) < 3 or np.isnan(marks).any():
        return None
    place = {name: i for i, name in enumerate(names)}
    of_case = np.array([place[group] for group in groups])
    left_out = (of_case[None, :] != np.arange(len(names))[:, None]).astype(np.float64)
    without = reader_means(marks, left_out).reshape(len(names), -1)
    about = without - without.mean(axis=0)
    covariance = (len(names) - 1) / len(names) * (about.T @ about)
    return from_covariance(reader_means(marks, np.ones((1, cases)))[0], covariance)


def from_covariance(theta: Floats, covariance: Floats) -> ObuchowskiRockette | None:
    """Of figures (2, readers) and the covariance (2 readers, 2 readers) that cases give them."""
    readers = theta.shape[1]
    blocks = covariance.reshape(2, readers, 2, readers)
    others = ~np.eye(readers, dtype=bool)
    cov2 = float(np.mean([blocks[c, :, c, :][others] for c in (0, 1)]))  # one condition, two readers
    cov3 = float(np.mean([blocks[c, :, 1 - c, :][others] for c in (0, 1)]))  # two of both
    by_condition, by_reader, mean = theta.mean(axis=1), theta.mean(axis=0), theta.mean()
    mean_square = readers * float(((by_condition - mean) ** 2).sum())
    rest = theta - by_condition[:, None] - by_reader[None, :] + mean
    interaction = float((rest**2).sum()) / (readers - 1)
    error = interaction + max(readers * (cov2 - cov3), 0.0)
    return _tested(float(by_condition[1] - by_condition[0]), mean_square, interaction, error, readers)


def _tested(
    difference: float, mean_square: float, interaction: float, error: float, readers: int
) -> ObuchowskiRockette | None:
    if error <= 1e-15:
        return None
    degrees = error**2 / (interaction**2 / (readers - 1)) if interaction > 1e-15 else np.inf
    f = mean_square / error
    half = float(stats.t.ppf(0.975, degrees)) * float(np.sqrt(2 * error / readers))
    # Without interaction F has no end to its degrees of freedom: the chi-squared distribution of one.
    p = stats.f.sf(f, 1, degrees) if np.isfinite(degrees) else stats.chi2.sf(f, 1)
    return ObuchowskiRockette(difference, difference - half, difference + half, f, float(degrees), float(p))


def _mean_over_readers(means: Floats, times: Floats) -> Floats:
    """(draws, conditions): over the readers drawn so many times (draws, readers) that have a figure."""
    weights = times[:, None, :] * ~np.isnan(means)
    return divide((np.nan_to_num(means) * weights).sum(axis=2), weights.sum(axis=2))


def _with_difference(means: Floats) -> Floats:
    return np.column_stack([means, means[:, 1] - means[:, 0]]) if means.shape[1] == 2 else means


def _metric(value: float, draws: Floats, n: int) -> Metric:
    if np.isnan(value):
        return Metric(None, n)
    defined = defined_draws(draws)
    if not len(defined):
        return Metric(float(value), n)
    low, high = np.quantile(defined, [0.025, 0.975])
    return Metric(float(value), n, float(low), float(high))
