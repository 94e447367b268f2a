"""Rows of made-up votes, and the value of a statistic over them."""

import numpy as np

from vrft_aug.evaluation.metrics.bootstrap import Statistic
from vrft_aug.evaluation.metrics.case_rows import Row

LABELS = ("none", "mild", "severe")


def value(statistic: Statistic, n: int) -> float:
    return float(statistic.of(np.ones((1, n)))[0])


def row(truth: str, sampled: dict[str, int], samples: int, number: int = 0) -> Row:
    return Row(
        case=str(number), patient=None, truth=truth, answer=None, reason="missing", reasoning="",
        completion="", tokens=None, formatted=False, votes=sampled, samples=samples,
    )  # fmt: skip


def random_rows(seed: int, n: int = 80, samples: int = 8) -> list[Row]:
    """Votes that lean to the truth; some samples have no answer, one case has none at all."""
    rng = np.random.default_rng(seed)
    rows = []
    for i in range(n):
        truth = int(rng.integers(3))
        chances = np.full(4, 0.2)
        chances[truth] += 0.2
        counts = rng.multinomial(samples, chances)
        given = {label: int(c) for label, c in zip(LABELS, counts[:3], strict=True) if c} if i else {}
        rows.append(row(LABELS[truth], given, samples, i))
    return rows
