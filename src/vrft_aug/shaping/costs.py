"""Rewards from what each mistake costs: missing a severe case may cost more than a false alarm."""

from __future__ import annotations

import math
from itertools import pairwise

from vrft_aug.errors import UserError
from vrft_aug.nouns import ABSTAINED, Answer, Case, Task

# Truth by row, answer by column, in the order of the task's labels; last what abstaining costs, where it may.
Matrix = tuple[tuple[float, ...], ...]


def costs(answer: Answer, case: Case, task: Task, costs: Matrix) -> float | None:
    """1 - cost / greatest cost of the matrix, 0..1; 1 for the true label.

    `costs[truth][answer]` is what a mistake costs, in any unit; `check_costs` says what a sound matrix is.
    Where the task has an abstention, that is the last column: it pays where the chance of being right is low.
    0 for an unparseable answer, which is what the costliest mistake earns; None where the case has no label
    or the task is neither to classify nor to grade.
    """
    if task.kind not in ("classify", "grade") or case.target.label is None:
        return None
    row = costs[task.labels.index(case.target.label)]
    if answer.reason == ABSTAINED:
        cost = row[-1]
    elif isinstance(answer.value, str):
        cost = row[task.labels.index(answer.value)]
    else:
        return 0.0
    return 1 - cost / max(map(max, costs))


def check_costs(task: Task, costs: Matrix) -> None:
    """UserError for a matrix that is not sound.

    It is square with a row and a column for every label, all costs are finite, 0 on the diagonal and above
    0 elsewhere, and for a grade task no cost falls on the way from the diagonal to either end of its row.
    Where the task has an abstention, one more column says what that costs: more than 0, and no more than the
    row's worst mistake.
    """
    size = len(task.labels)
    width = size if task.abstain is None else size + 1
    if len(costs) != size or any(len(row) != width for row in costs):
        shape = f"{len(costs)} rows of {', '.join(str(len(row)) for row in costs) or 'nothing'}"
        raise UserError(
            f"costs has {shape}; expected {size} x {width} for task {task.name!r}: a row for each true "
            f"label, a column for each answer, in the order {', '.join(task.labels)}"
            + ("" if task.abstain is None else f", then what {task.abstain!r} costs")
        )
    for truth, row in zip(task.labels, costs, strict=True):
        own = task.labels.index(truth)
        for answered, cost in zip(task.labels, row[:size], strict=True):
            where = f"costs: answering {answered!r} where {truth!r} is true costs {cost:g}"
            if answered == truth and cost != 0:
                raise UserError(f"{where}; expected 0 on the diagonal, the right answer costs nothing")
            if answered != truth and not (cost > 0 and math.isfinite(cost)):
                raise UserError(
                    f"{where}; expected more than 0, or the mistake would be as good as the truth"
                )
        if task.kind == "grade":
            _check_row(task.labels, own, row[:size])
        if task.abstain is not None and not 0 < row[-1] <= max(row[:size]):
            raise UserError(
                f"costs: abstaining where {truth!r} is true costs {row[-1]:g}; expected more than 0, or it "
                f"would be as good as the truth, and at most {max(row[:size]):g}, the row's worst mistake"
            )


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
