"""A finished run, opened for one of its tasks."""

from __future__ import annotations

from pathlib import Path

from vrft_aug.errors import UserError, nearest
from vrft_aug.nouns import Task
from vrft_aug.recipe.file import load_recipe
from vrft_aug.recipe.schema import Recipe
from vrft_aug.run.layout import RUN_MODEL, RUN_RECIPE
from vrft_aug.tasks.task import make_task


def open_run(run: Path, task: str | None = None) -> tuple[Recipe, Task]:
    """The recipe of a finished run and one of its tasks, default: the one it is evaluated on.

    Raises UserError for a folder that is no finished run, and for a task that it does not have.
    """
    if not (run / RUN_RECIPE).is_file() or not (run / RUN_MODEL).is_dir():
        raise UserError(
            f"{run} is no finished run ({RUN_RECIPE} and {RUN_MODEL}/); expected what `vrft train` wrote"
        )
    recipe = load_recipe(str(run / RUN_RECIPE))
    name = task or recipe.evaluation.task
    if name not in recipe.tasks:
        raise UserError(
            f"run {run} has no task {name!r}{nearest(name, recipe.tasks)}; it has {', '.join(recipe.tasks)}"
        )
    return recipe, make_task(name, recipe.tasks[name])
