"""The one scorer of training and evaluation: reward terms, their weights, and the checks on both."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Mapping, Sequence
from copy import copy
from dataclasses import dataclass, replace
from typing import Any, get_type_hints

from pydantic import TypeAdapter, ValidationError

from vrft_aug.answer import parse
from vrft_aug.errors import UserError, nearest, shown
from vrft_aug.imitation.facts import check_consistency, check_grounding, consistency, grounding
from vrft_aug.imitation.recitation import recitation
from vrft_aug.knowledge.bank_schema import KnowledgeBank
from vrft_aug.labels import label_keys
from vrft_aug.nouns import Case, Prompt, Rollout, Score, Task, TaskKind
from vrft_aug.perception.reward import iou, iou_threshold, nearness
from vrft_aug.perception.spaces import Frame
from vrft_aug.plugins import case_number, installed, installed_names, load_function
from vrft_aug.recipe.stage_config import RewardConfig
from vrft_aug.shaping.balance import check_balance, class_weights
from vrft_aug.shaping.confidence import brier, check_confidence, ranked_probability
from vrft_aug.shaping.costs import check_costs, costs
from vrft_aug.shaping.format import format_reward
from vrft_aug.shaping.grades import fuzzy_grade
from vrft_aug.shaping.label import accuracy
from vrft_aug.shaping.label_set import label_set
from vrft_aug.shaping.overlap import bleu, number, recall, rouge_l, yes_no
from vrft_aug.shaping.text import token_f1_reward


@dataclass(frozen=True)
class RewardTerm:
    """A term of ours: its function, the kinds of task that it judges (None: all), and what else must hold.

    `check` is called with what it names of the task, the bank, the counts and the term's settings;
    `reasoning` says that the term judges what stands beside the answer.
    """

    function: Callable[..., Any]
    kinds: tuple[TaskKind, ...] | None = None
    check: Callable[..., None] | None = None
    reasoning: bool = False


LABELLED: tuple[TaskKind, ...] = ("classify", "grade", "multilabel")
# A further term is one line here; terms of other packages register under `vrft_aug.rewards`.
TERMS: dict[str, RewardTerm] = {
    "format": RewardTerm(format_reward),
    "accuracy": RewardTerm(accuracy, (*LABELLED, "choice", "answer")),
    "fuzzy_grade": RewardTerm(fuzzy_grade, ("grade",)),
    "costs": RewardTerm(costs, ("classify", "grade"), check_costs),
    "brier": RewardTerm(brier, (*LABELLED, "choice", "answer"), check_confidence),
    "ranked_probability": RewardTerm(ranked_probability, ("grade",), check_confidence),
    "label_set": RewardTerm(label_set, ("multilabel",)),
    "token_f1": RewardTerm(token_f1_reward, ("answer",)),
    "recall": RewardTerm(recall, ("answer",)),
    "bleu": RewardTerm(bleu, ("answer",)),
    "rouge_l": RewardTerm(rouge_l, ("answer",)),
    "number": RewardTerm(number, ("answer",)),
    "yes_no": RewardTerm(yes_no, ("answer",)),
    "iou": RewardTerm(iou, ("localise",)),
    "iou_threshold": RewardTerm(iou_threshold, ("localise",)),
    "nearness": RewardTerm(nearness, ("localise",)),
    "recitation": RewardTerm(recitation, reasoning=True),
    "consistency": RewardTerm(consistency, LABELLED, check_consistency, reasoning=True),
    "grounding": RewardTerm(grounding, check=check_grounding, reasoning=True),
}
FLAT = 1e-6  # totals that differ by no more are equal up to rounding
# What a term may name; all else is a setting. `bank` is the task's knowledge, `label_counts` those of the
# training split; both None where the recipe has no bank, or no term that is balanced.
SUPPLIED = ("answer", "case", "task", "prompt", "rollout", "bank", "label_counts")


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

    def __init__(
        self,
        task: Task,
        rewards: Mapping[str, RewardConfig],
        bank: KnowledgeBank | None = None,
        label_counts: Mapping[str, int] | None = None,
    ) -> None:
        read = task.labels if task.abstain is None else (*task.labels, task.abstain)
        label_keys(read, () if task.kind == "answer" else task.synonyms)
        self.task = task
        self._given: dict[str, Any] = {"task": task, "bank": bank, "label_counts": label_counts}
        self._terms = tuple(_term(name, config, task) for name, config in rewards.items())
        self._weights: Mapping[str, float] = {term.name: term.weight for term in self._terms}
        for term in self._terms:
            self._check(term)

    def class_weights(self) -> dict[str, dict[str, float]]:
        """The weight of each label, by term, of the terms that are balanced."""
        balances = {term.name: term.settings.get("balance", "none") for term in self._terms}
        return {
            name: dict(class_weights(self.task, balance, self._given["label_counts"]))
            for name, balance in balances.items()
            if balance != "none"
        }

    def can_be_balanced(self) -> list[str]:
        """The terms that could weigh labels by their counts, which are known, and do not yet."""
        return [
            term.name
            for term in self._terms
            if "balance" in inspect.signature(term.function).parameters
            and term.name in TERMS
            and self.task.kind in LABELLED
            and not (term.name == "accuracy" and self.task.kind == "multilabel")
            and term.settings.get("balance", "none") == "none"
            and self._given["label_counts"] is not None
        ]

    def _check(self, term: _Term) -> None:
        if "balance" in term.settings:
            check_balance(self.task, term.settings["balance"])
            if term.name == "accuracy" and self.task.kind == "multilabel":
                raise UserError("accuracy of whole sets of labels has no balance; give it to label_set")
        if term.name in TERMS and (check := TERMS[term.name].check):
            known = {**self._given, **term.settings}
            check(**{name: known[name] for name in inspect.signature(check).parameters if name in known})

    @property
    def settings(self) -> Mapping[str, Mapping[str, Any]]:
        """The settings of every term, converted to what its function asks for."""
        return {term.name: term.settings for term in self._terms}

    def adjusted(self, name: str, settings: Mapping[str, Any]) -> Scorer:
        """A scorer with other settings for one term, of the types that its function asks for."""
        other = copy(self)
        other._terms = tuple(
            replace(term, settings={**term.settings, **settings}) if term.name == name else term
            for term in self._terms
        )
        return other

    def score(self, case: Case, prompt: Prompt, rollout: Rollout, frame: Frame | None) -> Score:
        """Parse the completion and judge it by every term; the total is 0 where no term applies.

        `frame` is the picture that boxes lie in, for a localise task. Raises RuntimeError, from the cause
        and naming term and case, where a reward function fails or returns something else than a finite
        number or None.
        """
        answer = parse(rollout, self.task, frame, case)
        supplied = {"answer": answer, "case": case, "prompt": prompt, "rollout": rollout, **self._given}
        terms = {
            term.name: case_number(
                f"reward {term.name!r}",
                term.function,
                {**{name: supplied[name] for name in term.wants}, **term.settings},
                case.id,
            )
            for term in self._terms
        }
        weights = self._weights
        total = math.fsum(weights[name] * value for name, value in terms.items() if value is not None)
        return Score(total=total, terms=terms, answer=answer, weights=weights)


def counts_labels(name: str, reward: RewardConfig) -> bool:
    """Whether a term is given the label counts of the training split: it is balanced, or the user's own."""
    return name not in TERMS or reward.settings.get("balance", "none") != "none"


def _function(name: str) -> Callable[..., Any]:
    """The function of a term: ours, that of an installed package, or one that the recipe names by module."""
    if ":" in name:
        return load_function(name)
    if theirs := installed("rewards", name, TERMS):
        return theirs
    if name in TERMS:
        return TERMS[name].function
    known = [*TERMS, *installed_names("rewards")]
    raise UserError(
        f"reward {name!r} does not exist; expected {', '.join(known)} or package.module:function"
        f"{nearest(name, known)}"
    )


def _term(name: str, config: RewardConfig, task: Task) -> _Term:
    function, ours = _function(name), TERMS.get(name)
    if ours is not None and ours.kinds is not None and task.kind not in ours.kinds:
        judged = " and ".join(ours.kinds)
        raise UserError(f"reward {name!r} judges {judged} tasks; task {task.name!r} is of kind {task.kind!r}")
    if ours is not None and ours.reasoning and task.reasoning == "none":
        raise UserError(
            f"reward {name!r} judges the reasoning, but tasks.{task.name}.reasoning is none; set it to "
            "before or after, or leave the reward out"
        )
    if not math.isfinite(config.weight) or (ours and config.weight < 0):
        hint = " (use delta: -1 to penalise)" if name == "recitation" else ""
        raise UserError(f"reward {name!r} has weight {config.weight}; expected a number from 0 up{hint}")
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
            # Of a setting with several forms, what is wrong with the form that was given.
            first = min(error.errors(), key=lambda one: one["type"].endswith("_type"))
            reason = " ".join(first["msg"].split())
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


def is_flat(totals: Sequence[float]) -> bool:
    """Whether all completions of a group earn the same, up to rounding: such a group teaches nothing."""
    return max(totals) - min(totals) <= FLAT
