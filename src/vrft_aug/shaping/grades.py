"""The multi-grade fuzzy reward for ordinal labels (R_MFRS in the paper)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from itertools import pairwise
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from vrft_aug.nouns import Answer, Case, Task
from vrft_aug.shaping.balance import Balance, class_weight


def _never_rises(table: tuple[float, ...]) -> tuple[float, ...]:
    if any(nearer < further for nearer, further in pairwise(table)):
        raise ValueError(f"a wider miss must not earn more than a nearer one, got {table}")
    return table


Share = Annotated[float, Field(ge=0, le=1)]
Table = Annotated[tuple[Share, ...], Field(min_length=1), AfterValidator(_never_rises)]


def fuzzy_grade(
    answer: Answer,
    case: Case,
    task: Task,
    label_counts: Mapping[str, int] | None = None,
    preset: Literal["geometric", "table", "linear", "gaussian"] = "geometric",
    base: Annotated[float, Field(ge=0, lt=1)] = 0.25,
    table: Table = (1.0, 0.25, 0.1),
    sigma: Annotated[float, Field(gt=0)] = 0.6,
    balance: Balance = "none",
) -> float | None:
    """Part of the reward for a near miss, 0..1, by the distance d in grades; 1 for the grade itself.

    | preset | value |
    |---|---|
    | `geometric` | base ** d |
    | `table` | the d-th entry of `table`, 0 beyond its end |
    | `linear` | 1 - d / (grades - 1) |
    | `gaussian` | exp(-d**2 / (2 sigma**2)); with the default sigma also 0.25 for d = 1 |

    The paper gives 0.25 for d = 1 but both 0.0625 and 1/10 for d = 2: these are the defaults of the first
    two. Where misses to either side differ in cost, see `costs`. Times the weight of the true grade with
    `balance`. 0 for an unparseable answer; None where the case has no grade or the task is not to grade.
    """
    if task.kind != "grade" or case.target.label is None:
        return None
    if not isinstance(answer.value, str):
        return 0.0
    distance = abs(task.labels.index(answer.value) - task.labels.index(case.target.label))
    match preset:
        case "geometric":
            share = base**distance
        case "table":
            share = table[distance] if distance < len(table) else 0.0
        case "linear":
            share = 1 - distance / (len(task.labels) - 1)
        case "gaussian":
            share = math.exp(-(distance**2) / (2 * sigma**2))
    return float(share) * class_weight(case.target.label, task, balance, label_counts)
