"""The first stage of a recipe, built as training builds it."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console

from vrft_aug.policy.load import load_policy
from vrft_aug.recipe.schema import Recipe
from vrft_aug.tasks.taskset import load_taskset
from vrft_aug.training.grpo import build_grpo
from vrft_aug.training.job import BuiltStage, StageJob


def built(recipe: Recipe, folder: Path) -> BuiltStage:
    """A GRPO stage, with its logs in `folder`."""
    part = recipe.stages[0]
    policy = load_policy(recipe.model, training=True)
    taskset = load_taskset(recipe, part.task, "train", part.injection, policy.space)
    job = StageJob(part, recipe.model, (taskset,), folder, folder / "checkpoints", 1, Console(quiet=True))
    return build_grpo(policy, job)
