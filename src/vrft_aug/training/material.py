"""What a stage or an evaluation works on: the task, its cases, and the prompt of each case."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

from vrft_aug.data.load import load_cases, make_task
from vrft_aug.knowledge.bank import KnowledgeBank, load_bank
from vrft_aug.knowledge.count import Count, injection_count, words
from vrft_aug.nouns import Case, Prompt, Task
from vrft_aug.perception.spaces import BoxSpace
from vrft_aug.prompt import build_prompt
from vrft_aug.recipe import Injection, Recipe, StageConfig
from vrft_aug.scorer import Scorer
from vrft_aug.shaping.balance import count_labels


@dataclass(frozen=True)
class Material:
    """A task with its cases; `prompts[i]` asks about `cases[i]`."""

    task: Task
    cases: tuple[Case, ...]
    prompts: tuple[Prompt, ...]
    bank: KnowledgeBank | None = None  # what is known of the task, injected or not


def load_material(
    recipe: Recipe,
    task_name: str,
    split: str,
    injection: Injection,
    space: BoxSpace,
    limit: int | None = None,
) -> Material:
    """Read a split of a task's data and word its prompts; `limit` cases are drawn by the recipe's seed."""
    config = recipe.tasks[task_name]
    task = make_task(task_name, config)
    cases = load_cases(config, task, recipe.root(), split)
    chosen = draw(cases, limit, recipe.seed)
    bank, count = task_bank(recipe, task_name, injection), injection_count(injection, recipe.model)
    prompts = word_prompts(task, chosen, space, injection, bank, count)
    known = load_bank(config.knowledge) if config.knowledge is not None else None
    return Material(task=task, cases=chosen, prompts=prompts, bank=known)


def evaluation_material(recipe: Recipe, space: BoxSpace) -> Material:
    """What the recipe's evaluation is on."""
    wanted = recipe.evaluation
    return load_material(recipe, wanted.task, wanted.split, wanted.injection, space, wanted.limit)


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


def task_bank(recipe: Recipe, task_name: str, injection: Injection) -> KnowledgeBank | None:
    """The knowledge bank of a task, None where nothing of it is injected."""
    knowledge = recipe.tasks[task_name].knowledge
    return load_bank(knowledge) if knowledge is not None and injection.style != "none" else None


def draw(cases: Sequence[Case], limit: int | None, seed: int) -> tuple[Case, ...]:
    """At most `limit` cases, drawn by seed and left in their order; all of them for None."""
    if limit is None or limit >= len(cases):
        return tuple(cases)
    return tuple(cases[i] for i in sorted(random.Random(seed).sample(range(len(cases)), limit)))


def stage_scorer(stage: StageConfig, material: Material) -> Scorer:
    """The scorer of a stage's rewards on its training material; UserError as `Scorer` raises it."""
    return Scorer(material.task, stage.rewards, material.bank, count_labels(material.task, material.cases))
