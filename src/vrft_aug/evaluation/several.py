"""Several evaluations of one model in one call: a report for every recipe, or for several of its tasks."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cache

from vrft_aug.data.cases import load_cases
from vrft_aug.errors import UserError, nearest
from vrft_aug.evaluation.evaluate import evaluate, judged_model
from vrft_aug.evaluation.metrics.case_metrics import judges, named_metrics
from vrft_aug.evaluation.predict import task_injection
from vrft_aug.evaluation.report_data import Report
from vrft_aug.policy.load import Policy, load_policy
from vrft_aug.policy.together import in_each, join
from vrft_aug.recipe.model_config import ModelConfig
from vrft_aug.recipe.schema import Recipe
from vrft_aug.tasks.task import make_task


def evaluations(recipes: Sequence[Recipe], tasks: Sequence[str] = ()) -> dict[str, Recipe]:
    """What is judged, by name: every recipe as it says, or on those of the `tasks` that it has.

    Another task than the recipe's evaluation has the knowledge in its prompts that it was trained with, and
    the named metrics that judge such a task. Raises UserError for a task that no recipe has, for a recipe
    that has none of them, and for two evaluations that are the same.
    """
    known = [task for recipe in recipes for task in recipe.tasks]
    for task in tasks:
        if task not in known:
            names = ", ".join(dict.fromkeys(known))
            raise UserError(f"no recipe has a task {task!r}{nearest(task, known)}; expected {names}")
    found: dict[str, Recipe] = {}
    for recipe in recipes:
        asked = [task for task in tasks if task in recipe.tasks] if tasks else [recipe.evaluation.task]
        if not asked:
            raise UserError(
                f"recipe {recipe.name!r} has none of the tasks {', '.join(tasks)}; it has "
                f"{', '.join(recipe.tasks)}"
            )
        for task in asked:
            name = f"{recipe.name}/{task}" if len(asked) > 1 else recipe.name
            if name in found:
                raise UserError(f"evaluation {name!r} is asked for twice; give each recipe a name of its own")
            found[name] = on_task(recipe, task)
    return found


def on_task(recipe: Recipe, task: str) -> Recipe:
    """The recipe with another of its tasks evaluated."""
    if task == recipe.evaluation.task:
        return recipe
    kind = recipe.tasks[task].kind
    changed = {
        "task": task,
        "injection": task_injection(recipe, task),
        "metrics": tuple(name for name in recipe.evaluation.metrics if judges(name, kind)),
    }
    return recipe.model_copy(update={"evaluation": recipe.evaluation.model_copy(update=changed)})


def evaluate_several(source: str, wanted: Mapping[str, Recipe]) -> dict[str, Report]:
    """Judge a run, a model folder or a hub name by every recipe; the model is loaded once where it can be.

    The data of all is read before the model answers anything. Raises UserError where data is absent or wrong.
    """
    load = cache(_load)
    models = {name: judged_model(source, recipe) for name, recipe in wanted.items()}
    join(next(iter(models.values())))
    return judge_each(wanted, lambda name: evaluate(load(models[name].model_dump_json()), wanted[name]))


def judge_each(wanted: Mapping[str, Recipe], judge: Callable[[str], Report]) -> dict[str, Report]:
    """Judge all by name, once all that they ask for has been read without fault."""
    for recipe in wanted.values():
        named_metrics(recipe)
        task = recipe.evaluation.task
        config = recipe.tasks[task]
        load_cases(config.data, make_task(task, config), recipe.root(), recipe.evaluation.split)
    return {name: judge(name) for name in wanted}


def _load(config: str) -> Policy:
    return in_each(lambda: load_policy(ModelConfig.model_validate_json(config)))
