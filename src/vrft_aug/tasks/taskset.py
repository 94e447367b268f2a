"""What a stage or an evaluation works on: the task, its cases, and the prompt of each case."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from hashlib import sha256

from vrft_aug.data.cases import load_cases
from vrft_aug.errors import UserError
from vrft_aug.knowledge.bank_schema import KnowledgeBank
from vrft_aug.knowledge.count import Count, injection_count, words
from vrft_aug.knowledge.told import known_bank, told_bank
from vrft_aug.nouns import Case, Prompt, Task
from vrft_aug.perception.spaces import BoxSpace
from vrft_aug.prompt import build_prompt
from vrft_aug.recipe.schema import Recipe
from vrft_aug.recipe.stage_config import StageConfig
from vrft_aug.recipe.task_config import Injection
from vrft_aug.scorer import Scorer
from vrft_aug.shaping.balance import count_labels
from vrft_aug.tasks.task import make_task


@dataclass(frozen=True)
class TaskSet:
    """A task with its cases; `prompts[i]` asks about `cases[i]`."""

    task: Task
    cases: tuple[Case, ...]
    prompts: tuple[Prompt, ...]
    bank: KnowledgeBank | None = None  # what is known of the task, injected or not
    completions: tuple[str, ...] | None = None  # of demonstrations, one a case; None: the targets are taught
    untold: tuple[Prompt, ...] = ()  # without knowledge, where some prompts go without; else none


def load_taskset(
    recipe: Recipe,
    task_name: str,
    split: str,
    injection: Injection,
    space: BoxSpace,
    limit: int | None = None,
) -> TaskSet:
    """Read a split of a task's data and word its prompts; at most `limit` cases, see `draw`."""
    config = recipe.tasks[task_name]
    task, known = make_task(task_name, config), known_bank(recipe, task_name)
    cases = load_cases(config.data, task, recipe.root(), split)
    chosen = draw(cases, limit)
    bank, count = told_bank(recipe, task_name, injection), injection_count(injection, recipe.model)
    prompts = word_prompts(task, chosen, space, injection, bank, count)
    taskset = TaskSet(task=task, cases=chosen, prompts=prompts, bank=known)
    return replace(taskset, untold=without_knowledge(taskset, space)) if injection.dropout else taskset


def evaluation_taskset(recipe: Recipe, space: BoxSpace) -> TaskSet:
    """What the recipe's evaluation is on."""
    wanted = recipe.evaluation
    return load_taskset(recipe, wanted.task, wanted.split, wanted.injection, space, wanted.limit)


def word_prompts(
    task: Task,
    cases: Sequence[Case],
    space: BoxSpace,
    injection: Injection,
    bank: KnowledgeBank | None,
    count: Count = words,
) -> tuple[Prompt, ...]:
    """The prompt of every case."""
    return tuple(build_prompt(task, case, space, injection, bank, count) for case in cases)


def without_knowledge(taskset: TaskSet, space: BoxSpace) -> tuple[Prompt, ...]:
    """The prompts of the same cases with no knowledge in them."""
    return word_prompts(taskset.task, taskset.cases, space, Injection(), None)


def draw(cases: Sequence[Case], limit: int | None) -> tuple[Case, ...]:
    """At most `limit` cases, in their order; all of them for None.

    Which ones depends on their ids alone (a hash), never on a seed: runs that differ in seed are judged on
    the same cases, and the cases of a smaller limit are among those of a larger one.
    """
    if limit is None or limit >= len(cases):
        return tuple(cases)
    chosen = {case.id for case in sorted(cases, key=lambda case: sha256(case.id.encode()).digest())[:limit]}
    return tuple(case for case in cases if case.id in chosen)


def stage_scorer(stage: StageConfig, taskset: TaskSet) -> Scorer:
    """The scorer of a stage's rewards on its training cases; UserError as `Scorer` raises it."""
    counts = count_labels(taskset.task, taskset.cases)
    try:
        return Scorer(taskset.task, stage.rewards, taskset.bank, counts)
    except UserError as error:
        raise type(error)(f"{stage.place}.rewards: {error}") from error.__cause__
