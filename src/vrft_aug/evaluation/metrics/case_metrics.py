"""Metrics that a recipe names (`evaluation.metrics`): a number a case, and of these the mean.

Such a metric is a function that names what it wants to be told of a case, as reward terms do, and gives a
number, or None where it does not apply. Its numbers are kept with the rows of a report, so that intervals by
patient and paired comparisons need neither the function nor the package that it came from.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from vrft_aug.errors import UserError, nearest
from vrft_aug.evaluation.meanings import MEANINGS, Meaning
from vrft_aug.nouns import TaskKind
from vrft_aug.plugins import case_number, installed, installed_names, load_function
from vrft_aug.recipe.schema import Recipe

# A further metric is one line here; metrics of other packages register under `vrft_aug.metrics`.
METRICS = {
    **{
        name: f"vrft_aug.evaluation.metrics.open_answers:{name}"
        for name in ("recall", "bleu", "rouge_l", "number", "yes_no")
    },
    "under_graded": "vrft_aug.evaluation.metrics.under_grading:under_graded",
}
# What a metric may name. `samples` are the further answers that were sampled, () where none were; `bank` is
# the task's knowledge or None.
SUPPLIED = ("answer", "case", "task", "prompt", "rollout", "bank", "samples")
Function = TypeVar("Function", bound=Callable[..., float | None])


@dataclass(frozen=True)
class CaseMetric:
    """A metric by its name in the recipe, its function, and how it is read."""

    name: str
    function: Callable[..., float | None]
    meaning: Meaning

    def of(self, supplied: Mapping[str, Any]) -> float | None:
        """Its number for a case, from all that SUPPLIED names; RuntimeError where the function breaks."""
        wanted = {name: supplied[name] for name in inspect.signature(self.function).parameters}
        return case_number(f"metric {self.name!r}", self.function, wanted, supplied["case"].id)


def case_metric(
    title: str,
    note: str = "",
    *,
    better: int = 1,
    share: bool = True,
    kinds: tuple[TaskKind, ...] | None = None,
) -> Callable[[Function], Function]:
    """Say how the function below is read: `@case_metric("Under-graded", "below the true grade", better=-1)`.

    Args:
        title: what tables and pages call it.
        note: what it counts, in half a line.
        better: 1 where higher is better, -1 where lower is, 0 where neither.
        share: whether its numbers lie between 0 and 1.
        kinds: the kinds of task that it judges; None for all.
    """

    def describe(function: Function) -> Function:
        function.vrft_metric = (Meaning(title, note, better, share), kinds)  # type: ignore[attr-defined]
        return function

    return describe


def named_metrics(recipe: Recipe) -> tuple[CaseMetric, ...]:
    """The metrics that the recipe's evaluation names.

    Raises UserError where there is no such metric, where it wants to be told what there is not, where it does
    not judge such a task, and where its name is that of a metric that every report has.
    """
    names, task = recipe.evaluation.metrics, recipe.evaluation.task
    for name in names:
        if names.count(name) > 1:
            raise UserError(f"metric {name!r} stands twice under evaluation.metrics")
    return tuple(_metric(name, task, recipe.tasks[task].kind) for name in names)


def judges(name: str, kind: TaskKind) -> bool:
    """Whether a metric judges tasks of a kind; UserError where there is no such metric."""
    _, kinds = getattr(_function(name), "vrft_metric", (None, None))
    return kinds is None or kind in kinds


def _metric(name: str, task: str, kind: TaskKind) -> CaseMetric:
    function = _function(name)
    first_line = (inspect.getdoc(function) or "").partition("\n")[0]
    title = name.rpartition(":")[2].replace("_", " ").capitalize()
    plain = (Meaning(title, first_line, better=0, share=False), None)
    meaning, kinds = getattr(function, "vrft_metric", plain)
    if kinds is not None and kind not in kinds:
        raise UserError(
            f"metric {name!r} judges {' and '.join(kinds)} tasks; task {task!r} is of kind {kind!r}"
        )
    for wanted in inspect.signature(function).parameters:
        if wanted not in SUPPLIED:
            raise UserError(f"metric {name!r} wants {wanted!r}; a metric is told {', '.join(SUPPLIED)}")
    return CaseMetric(name, function, meaning)


def _function(name: str) -> Callable[..., float | None]:
    if ":" in name:
        return load_function(name)
    if theirs := installed("metrics", name, {**MEANINGS, **METRICS}):
        return theirs
    if name in METRICS:
        return load_function(METRICS[name])
    if name in MEANINGS:
        raise UserError(f"metric {name!r} need not be named: it is reported wherever it applies")
    known = [*METRICS, *installed_names("metrics")]
    raise UserError(
        f"metric {name!r} does not exist; expected {', '.join(known)} or package.module:function"
        f"{nearest(name, known)}"
    )
