"""Tests of differences between two arms on the same cases, and their correction for many comparisons."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from vrft_aug.evaluation.metrics.bootstrap import Floats, defined_draws

Key = TypeVar("Key", bound=Hashable)


@dataclass(frozen=True)
class Significance:
    """A two-sided p-value, and the same corrected by Holm for all comparisons of its table."""

    p: float
    adjusted: float


@dataclass(frozen=True)
class McNemar:
    """Cases that only one of two arms answers right, and the exact test of their balance."""

    only_of: int  # right in the first arm of the difference alone
    only_minus: int  # right in the second alone
    test: Significance


def bootstrap_p(draws: Floats) -> float | None:
    """Two-sided p of a difference from its paired bootstrap draws; None where it has no interval.

    Twice the share of the draws on the rarer side of zero (zeros count on both), each count one larger, so
    that p is never 0: with B draws at least 2 / (B + 1). It is below 0.05 where the 95 % interval leaves out
    0, up to rounding.
    """
    defined = defined_draws(draws)
    if len(defined) == 0:
        return None
    rarer = min(int((defined <= 0).sum()), int((defined >= 0).sum()))
    return min(1.0, 2 * (rarer + 1) / (len(defined) + 1))


def mcnemar_p(first: NDArray[np.bool_], second: NDArray[np.bool_]) -> float:
    """Exact two-sided McNemar test of being right, both (n,): a binomial test of the discordant cases.

    1 where there is no such case. Takes cases for independent: not for several cases of one patient.
    """
    from scipy.stats import binomtest

    only_first, only_second = int((first & ~second).sum()), int((second & ~first).sum())
    discordant = only_first + only_second
    return float(binomtest(only_first, discordant).pvalue) if discordant else 1.0


def holm(p_values: Mapping[Key, float]) -> dict[Key, Significance]:
    """Holm's step-down correction: bounds the chance of any false alarm among all of them (Holm, 1979)."""
    ranked = sorted(p_values, key=lambda key: p_values[key])
    tests: dict[Key, Significance] = {}
    reached = 0.0
    for place, key in enumerate(ranked):
        reached = max(reached, min(1.0, (len(ranked) - place) * p_values[key]))
        tests[key] = Significance(p_values[key], reached)
    return {key: tests[key] for key in p_values}


def independent(groups: Sequence[Hashable]) -> bool:
    """Whether every case is a group (patient) of its own."""
    return len(set(groups)) == len(groups)
