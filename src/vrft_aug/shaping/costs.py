"""Rewards from what each mistake costs: missing a severe case may cost more than a false alarm."""

from __future__ import annotations

import math
from itertools import pairwise

from vrft_aug.errors import UserError
from vrft_aug.nouns import Answer, Case, Task

Matrix = tuple[tuple[float, ...], ...]  # truth by row, answer by column, in the order of the task's labels


def costs(answer: Answer, case: Case, task: Task, costs: Matrix) -> float | None:
    """1 - cost / greatest cost of the matrix, 0..1; 1 for the true label.

    `costs[truth][answer]` is what a mistake costs, in any unit; `check_costs` says what a sound matrix is.
    0 for an unparseable answer, which is what the costliest mistake earns; None where the case has no label
    or the task is neither to classify nor to grade.
    """
    if task.kind not in ("classify", "grade") or case.target.label is None:
        return None
    if not isinstance(answer.value, str):
        return 0.0
    cost = costs[task.labels.index(case.target.label)][task.labels.index(answer.value)]
    return 1 - cost / max(map(max, costs))


def check_costs(task: Task, costs: Matrix) -> None:
    """UserError for a matrix that is not sound.

    It is square with a row and a column for every label, all costs are finite, 0 on the diagonal and above
    0 elsewhere, and for a grade task no cost falls on the way from the diagonal to either end of its row.
    """
    size = len(task.labels)
    if len(costs) != size or any(len(row) != size for row in costs):
        shape = f"{len(costs)} rows of {', '.join(str(len(row)) for row in costs) or 'nothing'}"
        raise UserError(
            f"costs has {shape}; expected {size} x {size} for task {task.name!r}: a row for each true label, "
            f"a column for each answer, in the order {', '.join(task.labels)}"
        )
    for truth, row in zip(task.labels, costs, strict=True):
        own = task.labels.index(truth)
        for answered, cost in zip(task.labels, row, strict=True):
            where = f"costs: answering {answered!r} where {truth!r} is true costs {cost:g}"
            if answered == truth and cost != 0:
                raise UserError(f"{where}; expected 0 on the diagonal, the right answer costs nothing")
            if answered != truth and not (cost > 0 and math.isfinite(cost)):
                raise UserError(
                    f"{where}; expected more than 0, or the mistake would be as good as the truth"
                )
        if task.kind == "grade":
            _check_row(task.labels, own, row)


def _check_row(labels: tuple[str, ...], own: int, row: tuple[float, ...]) -> None:
    """From the diagonal outwards no cost falls."""
    for outwards in (range(own, len(labels)), range(own, -1, -1)):
        for near, far in pairwise(outwards):
            if row[far] < row[near]:
                given = f"where {labels[own]!r} is true, answering {labels[far]!r} costs {row[far]:g}"
                raise UserError(
                    f"costs: {given}, less than the nearer {labels[near]!r} ({row[near]:g}); expected "
                    "costs that do not fall with distance"
                )
