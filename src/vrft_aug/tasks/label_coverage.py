"""Whether every label of a task is there to be learned: who never names one that no case has is always
right."""

from __future__ import annotations

from collections.abc import Iterable

from vrft_aug.errors import UserError
from vrft_aug.nouns import Case, Task
from vrft_aug.recipe.schema import Recipe
from vrft_aug.tasks.find import all_cases


def refuse_unused_labels(recipe: Recipe, task: Task, train: Iterable[Case]) -> None:
    """Raise UserError where no case of the task's whole data has one of its labels, unless that is accepted.

    The other splits are read only where `train`, the training cases, lacks a label.
    """
    if recipe.tasks[task.name].data.unused_labels == "accept" or task.kind == "answer":
        return
    missing = set(task.labels) - _seen(train)
    missing = missing and missing - _seen(all_cases(recipe, task.name))
    for label in task.labels:
        if label in missing:
            what = "box" if task.kind == "localise" else "case"
            raise UserError(
                f"label {label!r} of task {task.name!r} has no {what} in any split of its data: a model is "
                f"paid for never "
                "naming it. Mend the names of the labels, drop it, or set data.unused_labels: accept"
            )


def _seen(cases: Iterable[Case]) -> set[str]:
    seen: set[str] = set()
    for case in cases:
        target = case.target
        seen |= {box.label for box in target.boxes or () if box.label is not None}
        seen |= target.labels or frozenset()
        if target.label is not None:
            seen.add(target.label)
    return seen
