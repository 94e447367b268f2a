"""Metrics of the reasoning: how long it is and how much it varies."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from vrft_aug.evaluation.bootstrap import Floats, Statistic
from vrft_aug.evaluation.rows import Row
from vrft_aug.shaping.text import words


def distinct(rows: Sequence[Row], n: int) -> Statistic:
    """Distinct-n (Li et al., 2016): different word n-grams over all word n-grams of all reasonings; 0 to 1.

    Undefined without any n-gram. It falls with the number of reasonings, so it has no bootstrap interval,
    and is comparable between runs on the same cases alone.
    """
    grams = [gram for row in rows for gram in _grams(words(row.reasoning), n)]
    value = len(set(grams)) / len(grams) if grams else np.nan

    def of(weights: Floats) -> Floats:
        return np.full(len(weights), value)

    return Statistic(of, len(grams), resampled=False)


def _grams(tokens: Sequence[str], n: int) -> list[tuple[str, ...]]:
    return [tuple(tokens[i : i + n]) for i in range(len(tokens) - n + 1)]
