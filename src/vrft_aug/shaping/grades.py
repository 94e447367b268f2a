"""The multi-grade fuzzy reward for ordinal labels (R_MFRS in the paper)."""

from __future__ import annotations

from itertools import pairwise
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from vrft_aug.nouns import Answer, Case, Task


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
    preset: Literal["geometric", "table"] = "geometric",
    base: Annotated[float, Field(ge=0, lt=1)] = 0.25,
    table: Table = (1.0, 0.25, 0.1),
) -> float | None:
    """Part of the reward for a near miss, 0..1, by the distance d in grades; 1 for the grade itself.

    `geometric`: base ** d. `table`: the d-th entry of `table`, 0 beyond its end. The paper gives 0.25 for
    d = 1 but both 0.0625 and 1/10 for d = 2: these are the two presets' defaults. 0 for an unparseable
    answer; None where the case has no grade or the task is not to grade.
    """
    if task.kind != "grade" or case.target.label is None:
        return None
    if not isinstance(answer.value, str):
        return 0.0
    distance = abs(task.labels.index(answer.value) - task.labels.index(case.target.label))
    if preset == "geometric":
        return float(base**distance)
    return table[distance] if distance < len(table) else 0.0
