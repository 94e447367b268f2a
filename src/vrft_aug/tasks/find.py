"""Cases by their ids, wherever in the splits they are."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from vrft_aug.data.cases import EmptySplit, load_cases
from vrft_aug.data.splits import SPLITS
from vrft_aug.errors import UserError
from vrft_aug.nouns import Case
from vrft_aug.recipe.schema import Recipe
from vrft_aug.tasks.task import make_task


def find_cases(recipe: Recipe, task_name: str, ids: Collection[str]) -> dict[str, Case]:
    """The cases of a task that have these ids; ids that are in no split are left out.

    The split of the evaluation is read first, the others only while ids are missing. Raises UserError where
    the data is absent or wrong.
    """
    config = recipe.tasks[task_name]
    task = make_task(task_name, config)
    wanted, found = set(ids), dict[str, Case]()
    for split in sorted(SPLITS, key=lambda split: split != recipe.evaluation.split):
        if wanted - found.keys():
            try:
                cases = load_cases(config.data, task, recipe.root(), split)
            except EmptySplit:
                continue
            found |= {case.id: case for case in cases if case.id in wanted}
    return found


def first_case(recipe: Recipe, task_name: str) -> Case:
    """The first case of a task in the split of the evaluation, else in the first split that has any."""
    config = recipe.tasks[task_name]
    task = make_task(task_name, config)
    for split in (recipe.evaluation.split, *SPLITS):
        try:
            return load_cases(config.data, task, recipe.root(), split)[0]
        except EmptySplit:
            continue
    raise UserError(f"task {task_name!r} has no cases at all")


def all_cases(recipe: Recipe, task_name: str) -> Iterator[Case]:
    """The cases of a task in every split that has any."""
    config = recipe.tasks[task_name]
    task = make_task(task_name, config)
    for split in SPLITS:
        try:
            yield from load_cases(config.data, task, recipe.root(), split)
        except EmptySplit:
            continue
