"""A number with its interval: the percentile bootstrap, drawn by patient.

Every metric is written as a `Statistic`, a function of how often each case was drawn. The point estimate is
the statistic of every case drawn once; a replicate draws the groups (patients; a case without a patient id is
a group of its own) with replacement, as many as there are, and takes all cases of each. Because all
statistics of a report see the same draws, differences between reports on the same cases are paired.

A replicate in which a statistic is undefined (no case of the class was drawn, say) is left out; where less
than half of the replicates are defined, or there are fewer than two groups, there is no interval. Known
limit: where all cases agree (accuracy exactly 0 or 1) the interval has no width, whatever n is.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]
Key = TypeVar("Key", bound=Hashable)
CHUNK = 4_000_000  # weights held at a time: 32 MB


@dataclass(frozen=True)
class Metric:
    """An estimate with its 95 % interval."""

    value: float | None  # None: undefined, such as the sensitivity of a class without cases
    n: int  # the cases (or boxes, or answers) that the value rests on
    low: float | None = None  # None: no interval
    high: float | None = None

    @property
    def value_text(self) -> str:
        """Such as `0.81`, or an en dash where undefined."""
        return "–" if self.value is None else f"{self.value:.{self._digits}f}"

    @property
    def interval_text(self) -> str:
        """Such as `[0.77, 0.85]`, "" where there is none."""
        if self.low is None or self.high is None:
            return ""
        return f"[{self.low:.{self._digits}f}, {self.high:.{self._digits}f}]"

    @property
    def _digits(self) -> int:
        return 2 if self.value is None or abs(self.value) < 10 else 1

    def __str__(self) -> str:
        """Such as `0.81 [0.77, 0.85]`."""
        return f"{self.value_text} {self.interval_text}".rstrip()


@dataclass(frozen=True)
class Statistic:
    """`of` maps weights (replicates, cases) to values (replicates,), nan where undefined; `n` is Metric's.

    Without `resampled` there is no interval: the value depends on how many different cases are drawn.
    """

    of: Callable[[Floats], Floats]
    n: int
    resampled: bool = True


def ratio(numerator: ArrayLike, denominator: ArrayLike | None = None) -> Statistic:
    """Sum over sum, each over cases (n,); the mean of `numerator` where no denominator is given.

    Covers means, rates, sensitivities; n of the statistic is the sum of the denominator.
    """
    above = np.asarray(numerator, dtype=np.float64)
    below = np.ones_like(above) if denominator is None else np.asarray(denominator, dtype=np.float64)
    return Statistic(lambda weights: divide(weights @ above, weights @ below), round(float(below.sum())))


def divide(above: Floats, below: Floats) -> Floats:
    """Element by element, nan where the denominator is 0."""
    return np.divide(above, below, out=np.full_like(above, np.nan), where=below != 0)


def mean_of_defined(values: Floats) -> Floats:
    """Mean over the last axis of what is not nan; nan where nothing is."""
    defined = ~np.isnan(values)
    return divide(np.where(defined, values, 0.0).sum(axis=-1), defined.sum(axis=-1).astype(np.float64))


def measure(
    statistics: Mapping[Key, Statistic], groups: Sequence[Hashable], *, replicates: int, seed: int
) -> dict[Key, Metric]:
    """Every statistic's value and percentile interval, all from the same draws of the groups (n,)."""
    draws = resample(statistics, groups, replicates=replicates, seed=seed)
    return {key: summary(statistic, len(groups), draws[key]) for key, statistic in statistics.items()}


def resample(
    statistics: Mapping[Key, Statistic], groups: Sequence[Hashable], *, replicates: int, seed: int
) -> dict[Key, Floats]:
    """Every statistic in all replicates (replicates,), nan where undefined; empty without an interval."""
    draws: dict[Key, list[Floats]] = {key: [] for key in statistics}
    for weights in case_weights(groups, replicates, seed):
        for key, statistic in statistics.items():
            if statistic.resampled:
                draws[key].append(statistic.of(weights))
    return {key: np.concatenate(parts) if parts else np.empty(0) for key, parts in draws.items()}


def summary(statistic: Statistic, cases: int, draws: Floats) -> Metric:
    """The statistic of all cases once, with the percentile interval of its draws."""
    value = float(statistic.of(np.ones((1, cases)))[0])
    if np.isnan(value):
        return Metric(None, statistic.n)
    defined = defined_draws(draws)
    if len(defined) == 0:
        return Metric(value, statistic.n)
    low, high = np.quantile(defined, [0.025, 0.975])
    return Metric(value, statistic.n, float(low), float(high))


def defined_draws(draws: Floats) -> Floats:
    """The draws that are not nan; none where less than half are."""
    defined = draws[~np.isnan(draws)]
    return defined if 2 * len(defined) >= len(draws) else defined[:0]


def case_weights(groups: Sequence[Hashable], replicates: int, seed: int) -> Iterator[Floats]:
    """Weights (some replicates, n), in chunks; nothing where there are fewer than two groups."""
    number = {group: i for i, group in enumerate(dict.fromkeys(groups))}
    group_of_case = np.array([number[group] for group in groups], dtype=np.intp)
    count = len(number)
    if count < 2:
        return
    rng = np.random.default_rng(seed)
    rows = max(1, CHUNK // len(groups))
    for start in range(0, replicates, rows):
        size = min(rows, replicates - start)
        drawn = rng.integers(count, size=(size, count)) + np.arange(size)[:, None] * count
        times = np.bincount(drawn.ravel(), minlength=size * count).reshape(size, count)
        yield times[:, group_of_case].astype(np.float64)
