"""`vrft look`: a model asked with other pictures, the answers kept in the run, its page written anew."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from functools import partial
from pathlib import Path

from vrft_aug.errors import UserError, nearest
from vrft_aug.evaluation.evaluate import judged_model
from vrft_aug.evaluation.look.look_report import Look, save_look
from vrft_aug.evaluation.look.looking import look_at
from vrft_aug.evaluation.look.remote_look import look_remote, remote_space
from vrft_aug.evaluation.several import on_task
from vrft_aug.perception.spaces import BoxSpace
from vrft_aug.policy.ask_all import CONCURRENCY
from vrft_aug.policy.endpoint import Endpoint
from vrft_aug.policy.load import load_policy
from vrft_aug.policy.together import in_each, join
from vrft_aug.processes import processes
from vrft_aug.recipe.schema import Recipe
from vrft_aug.report.page import write_report
from vrft_aug.run.layout import LOOK
from vrft_aug.run.lock import run_locked
from vrft_aug.run.own_recipe import own_recipe
from vrft_aug.tasks.look_views import VIEWS, LookSet, View, look_set


def look_path(
    source: str,
    recipe: Recipe | None = None,
    *,
    task: str | None = None,
    views: Sequence[str] | None = None,
    limit: int | None = None,
    output: Path | None = None,
) -> Look:
    """Look at a run, a model folder or a hub name; the result is written to `output` if given.

    A run is asked by its own recipe, and then look.json and the page in it are renewed, unless another recipe
    or task is given. Anything else needs a recipe. Raises UserError where there is none, where the run has no
    model yet, and, before anything is loaded, where the task has no pictures or not the views asked for.
    """
    own = recipe is None
    recipe = recipe or own_recipe(source)
    own = own and task in (None, recipe.evaluation.task)
    recipe = _on_known_task(recipe, task)
    chosen = _views(views)
    wanted = _wanted(recipe, BoxSpace("processed"), limit, chosen)
    config, run = judged_model(source, recipe), Path(source).expanduser()
    join(config)
    with run_locked(run, "vrft look") if own else nullcontext():
        policy = in_each(partial(load_policy, config))
        if wanted.taskset.task.kind == "localise":  # whose prompts say which pixels the model speaks
            wanted = _wanted(recipe, policy.space, limit, chosen)
        look = look_at(policy, recipe, wanted)
        if not processes().main:
            return look
        for path in ([run / LOOK] if own else []) + ([output] if output is not None else []):
            save_look(look, path)
        if own:
            write_report(run)
    return look


def look_endpoint(
    endpoint: Endpoint,
    recipe: Recipe,
    *,
    task: str | None = None,
    views: Sequence[str] | None = None,
    limit: int | None = None,
    concurrency: int = CONCURRENCY,
    output: Path | None = None,
) -> Look:
    """Look at a model behind a server; raises UserError as `look_path`, and where the server fails."""
    recipe = _on_known_task(recipe, task)
    wanted = _wanted(recipe, remote_space(endpoint, recipe), limit, _views(views))
    look = look_remote(endpoint, recipe, wanted, concurrency)
    if output is not None:
        save_look(look, output)
    return look


def _on_known_task(recipe: Recipe, task: str | None) -> Recipe:
    if task is not None and task not in recipe.tasks:
        raise UserError(
            f"recipe {recipe.name!r} has no task {task!r}{nearest(task, recipe.tasks)}; it has "
            f"{', '.join(recipe.tasks)}"
        )
    return on_task(recipe, task or recipe.evaluation.task)


def _wanted(recipe: Recipe, space: BoxSpace, limit: int | None, views: Sequence[View] | None) -> LookSet:
    judged = recipe.evaluation
    return look_set(recipe, judged.task, judged.split, judged.injection, space, limit or judged.limit, views)


def _views(named: Sequence[str] | None) -> tuple[View, ...] | None:
    if not named:
        return None
    for name in named:
        if name not in VIEWS:
            raise UserError(
                f"there is no view {name!r}{nearest(name, VIEWS)}; expected {', '.join(VIEWS[1:])}"
            )
    return tuple(view for view in VIEWS if view in named)
