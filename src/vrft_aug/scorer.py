"""The one scorer of training and evaluation: reward terms, their weights, and the checks on both."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from numbers import Real
from typing import Any, get_type_hints

from pydantic import TypeAdapter, ValidationError

from vrft_aug.answer import parse
from vrft_aug.errors import UserError, nearest, shown
from vrft_aug.imitation.recitation import recitation
from vrft_aug.labels import label_keys
from vrft_aug.nouns import Case, Prompt, Rollout, Score, Task
from vrft_aug.perception.reward import iou
from vrft_aug.perception.spaces import Frame
from vrft_aug.plugins import load_function
from vrft_aug.recipe import RewardConfig
from vrft_aug.shaping.format import strict_format
from vrft_aug.shaping.grades import fuzzy_grade
from vrft_aug.shaping.label import accuracy

TERMS: dict[str, Callable[..., Any]] = {
    "format": strict_format,
    "accuracy": accuracy,
    "fuzzy_grade": fuzzy_grade,
    "iou": iou,
    "recitation": recitation,
}
# The kinds of task that a term judges, where it does not judge all.
KINDS: dict[str, tuple[str, ...]] = {
    "accuracy": ("classify", "grade", "answer"),
    "fuzzy_grade": ("grade",),
    "iou": ("localise",),
}
SUPPLIED = ("answer", "case", "task", "prompt", "rollout")  # what a term may name; all else is a setting


@dataclass(frozen=True)
class _Term:
    name: str
    function: Callable[..., Any]
    weight: float
    wants: tuple[str, ...]
    settings: Mapping[str, Any]


class Scorer:
    """Scores rollouts of one task by the terms of a recipe.

    Raises UserError where a term does not exist or does not judge such a task, where a setting is none of
    its function's or of the wrong type, where a weight is not finite (or negative, for a term of ours:
    what the terms give to unreadable answers is the least only if more of them is better), and where two
    labels of the task cannot be told apart.
    """

    def __init__(self, task: Task, rewards: Mapping[str, RewardConfig]) -> None:
        label_keys(task.labels)
        self.task = task
        self._terms = tuple(_term(name, config, task) for name, config in rewards.items())

    def score(self, case: Case, prompt: Prompt, rollout: Rollout, frame: Frame | None) -> Score:
        """Parse the completion and judge it by every term; the total is 0 where no term applies.

        `frame` is the picture that boxes lie in, for a localise task. Raises RuntimeError, from the cause
        and naming term and case, where a reward function fails or returns something else than a finite
        number or None.
        """
        answer = parse(rollout, self.task, frame)
        supplied = dict(zip(SUPPLIED, (answer, case, self.task, prompt, rollout), strict=True))
        terms = {term.name: _judge(term, supplied, case) for term in self._terms}
        weights = {term.name: term.weight for term in self._terms}
        total = math.fsum(weights[name] * value for name, value in terms.items() if value is not None)
        return Score(total=total, terms=terms, answer=answer, weights=weights)


def _judge(term: _Term, supplied: Mapping[str, Any], case: Case) -> float | None:
    try:
        value = term.function(**{name: supplied[name] for name in term.wants}, **term.settings)
    except Exception as error:
        what = f"{type(error).__name__}: {error}"
        raise RuntimeError(f"reward {term.name!r} failed on case {case.id!r}: {what}") from error
    if value is None:
        return None
    if not isinstance(value, Real) or not math.isfinite(value):
        raise RuntimeError(
            f"reward {term.name!r} returned {value!r} for case {case.id!r}; expected a finite number or None"
        )
    return float(value)


def _term(name: str, config: RewardConfig, task: Task) -> _Term:
    if name not in TERMS and ":" not in name:
        known = f"{', '.join(TERMS)} or package.module:function"
        raise UserError(f"reward {name!r} does not exist; expected {known}{nearest(name, TERMS)}")
    if task.kind not in KINDS.get(name, (task.kind,)):
        judged = " and ".join(KINDS[name])
        raise UserError(f"reward {name!r} judges {judged} tasks; task {task.name!r} is of kind {task.kind!r}")
    if not math.isfinite(config.weight) or (name in TERMS and config.weight < 0):
        hint = " (use delta: -1 to penalise)" if name == "recitation" else ""
        raise UserError(f"reward {name!r} has weight {config.weight}; expected a number from 0 up{hint}")
    function = TERMS[name] if name in TERMS else load_function(name)
    parameters = inspect.signature(function).parameters
    settings = _settings(name, function, config.settings)
    return _Term(name, function, config.weight, tuple(p for p in SUPPLIED if p in parameters), settings)


def _settings(name: str, function: Callable[..., Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """The settings, converted to what the function's annotations ask for."""
    parameters = inspect.signature(function).parameters.values()
    by_name = {p.name: p for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)}
    known = [p for p in by_name if p not in SUPPLIED]
    takes_any = any(p.kind is p.VAR_KEYWORD for p in parameters)
    hints = _hints(function)
    settings = {}
    for key, value in given.items():
        if key in SUPPLIED or (key not in known and not takes_any):
            expected = nearest(key, known) or f"; it has {', '.join(known) or 'none'}"
            raise UserError(f"reward {name!r} has no setting {key!r}{expected}")
        try:
            settings[key] = TypeAdapter(hints.get(key, Any)).validate_python(value)
        except ValidationError as error:
            reason = " ".join(error.errors()[0]["msg"].split())
            raise UserError(f"reward {name!r}: setting {key!r} is {shown(value)}; {reason}") from None
    for key in known:
        if by_name[key].default is inspect.Parameter.empty and key not in settings:
            raise UserError(f"reward {name!r} needs the setting {key!r}, which the recipe does not give")
    return settings


def _hints(function: Callable[..., Any]) -> dict[str, Any]:
    try:
        return get_type_hints(function, include_extras=True)
    except NameError:  # annotations of a user's function that are imported for type checkers alone
        return {}
