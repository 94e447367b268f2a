"""From what a model wrote to a report, wherever the model runs; without torch."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from vrft_aug.answer import parse
from vrft_aug.evaluation.blind import blind_baselines
from vrft_aug.evaluation.metrics.case_metrics import named_metrics
from vrft_aug.evaluation.provenance import (
    Provenance,
    hash_cases,
    hash_recipe,
    knowledge_uses,
    package_versions,
)
from vrft_aug.evaluation.report_data import Report, build_report
from vrft_aug.nouns import Answer, Case, Rollout
from vrft_aug.perception.spaces import Frame
from vrft_aug.recipe.schema import Recipe
from vrft_aug.tasks.taskset import TaskSet


@dataclass(frozen=True)
class Written:
    """What a model wrote to the prompts of an evaluation, in their order."""

    greedy: Sequence[Rollout]
    sampled: Sequence[Sequence[Rollout]] | None  # for votes
    frames: Sequence[Frame | None]  # of each case's picture, for a localise task
    unseen: Sequence[Rollout] | None = None  # greedy, the pictures blank; for questions
    untold: Sequence[Rollout] | None = None  # greedy, without the knowledge in the prompts


@dataclass(frozen=True)
class Source:
    """Which model wrote it, and when it began (time.monotonic)."""

    name: str
    hash: str = ""
    started: float = field(default_factory=time.monotonic)


def measure_rollouts(recipe: Recipe, taskset: TaskSet, written: Written, source: Source) -> Report:
    """Parse and measure; raises UserError where no case has what the task asks for."""
    wanted = recipe.evaluation

    def answers(
        rollouts: Sequence[Rollout], frames: Sequence[Frame | None], cases: Sequence[Case]
    ) -> list[Answer]:
        judged = zip(rollouts, frames, cases, strict=True)
        return [parse(rollout, taskset.task, frame, case) for rollout, frame, case in judged]

    sampled = None
    if written.sampled is not None:
        sampled = [
            answers(rollouts, [frame] * len(rollouts), [case] * len(rollouts))
            for rollouts, frame, case in zip(written.sampled, written.frames, taskset.cases, strict=True)
        ]
    blind = blind_baselines(recipe, taskset)
    if written.unseen is not None:
        blind = blind.with_text_only(answers(written.unseen, written.frames, taskset.cases))
    if written.untold is not None:
        blind = blind.with_untold(answers(written.untold, written.frames, taskset.cases))
    return build_report(
        taskset.task,
        taskset.cases,
        answers(written.greedy, written.frames, taskset.cases),
        written.greedy,
        sampled,
        seed=recipe.seed,
        bootstrap=wanted.bootstrap,
        split=wanted.split,
        provenance=provenance(recipe, taskset, source),
        prompts=taskset.prompts,
        bank=taskset.bank,
        metrics=named_metrics(recipe),
        medmnist=recipe.tasks[taskset.task.name].data.reader == "medmnist",
        blind=blind,
    )


def provenance(recipe: Recipe, taskset: TaskSet, source: Source) -> Provenance:
    """What the answers of a model to a task set rest on, with the seconds since it began."""
    return Provenance(
        recipe=hash_recipe(recipe),
        data=hash_cases(taskset.cases),
        model=source.hash,
        model_name=source.name,
        seconds=round(time.monotonic() - source.started, 3),
        versions=package_versions(),
        knowledge=knowledge_uses(recipe),
    )
