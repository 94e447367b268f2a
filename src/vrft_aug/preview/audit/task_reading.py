"""The tasks of a recipe with all their cases, rows that cannot be used counted and left out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from vrft_aug.data.cases import EmptySplit, load_cases
from vrft_aug.data.notes import collecting
from vrft_aug.data.row_faults import RowFault, faulty_rows
from vrft_aug.data.splits import SPLITS
from vrft_aug.errors import UserError
from vrft_aug.nouns import Case, Task
from vrft_aug.recipe.schema import Recipe
from vrft_aug.tasks.task import make_task


@dataclass(frozen=True)
class ReadTask:
    """A task with its cases of several splits."""

    task: Task
    cases: Mapping[str, Sequence[Case]]  # by split
    accept: frozenset[str] = frozenset()
    faults: tuple[RowFault, ...] = ()
    notes: tuple[str, ...] = ()


def read_tasks(recipe: Recipe) -> list[ReadTask]:
    """Every task of a recipe with all of its splits; rows that cannot be used are kept as faults."""
    found = []
    for name, config in recipe.tasks.items():
        task = make_task(name, config)
        cases: dict[str, Sequence[Case]] = {}
        with collecting() as notes, faulty_rows() as faults:
            for split in SPLITS:
                try:
                    cases[split] = load_cases(config.data, task, recipe.root(), split)
                except EmptySplit:
                    continue
        if not cases and not faults:
            raise UserError(f"task {name!r} has no cases at all")
        texts = tuple(note.text for note in notes)
        found.append(ReadTask(task, cases, accepted(recipe, name), tuple(faults), texts))
    return found


def accepted(recipe: Recipe, task: str) -> frozenset[str]:
    """The findings that a task's data settings accept, under any of their names."""
    data: Any = recipe.tasks[task].data
    shared = {"patients-across-splits"} if getattr(data, "shared_patients", "") == "accept" else set()
    return frozenset(data.accept) | shared
