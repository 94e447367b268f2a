"""A small random model, a recipe on drawn pictures, and stages of it: what the checks of training run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from rich.console import Console

from vrft_aug.nouns import Rollout
from vrft_aug.policy.load import Policy, load_policy
from vrft_aug.recipe.model_config import ModelConfig
from vrft_aug.recipe.model_folder import TINY_FOLDER
from vrft_aug.recipe.schema import Recipe
from vrft_aug.tasks.taskset import TaskSet, load_taskset
from vrft_aug.training.job import StageJob, run_trainer
from vrft_aug.training.rehearsal import METHODS

SFT: dict[str, Any] = {
    "name": "answers", "method": "sft", "task": "grade", "steps": 2, "prompts_per_step": 8, "save_steps": 1,
    "trainer": {"learning_rate": 1e-6, "lr_scheduler_type": "constant"},
}  # fmt: skip
GRPO: dict[str, Any] = {
    "name": "rewards", "method": "grpo", "task": "grade", "steps": 3, "prompts_per_step": 2, "generations": 4,
    "max_new_tokens": 12, "save_steps": 1, "rewards": {"vrft_aug.selftest.small_run:varied": 1.0},
    "trainer": {"learning_rate": 1e-3},
}  # fmt: skip
TASK: dict[str, Any] = {
    "kind": "grade", "question": "Grade the picture.",
    "labels": ["none", "mild", "moderate", "severe", "proliferative"],
    "data": {"reader": "procedural", "modality": "fundus", "train": 16, "validation": 4, "test": 4},
}  # fmt: skip


def varied(rollout: Rollout) -> float:
    """A reward that differs between the completions of a random model."""
    return sum(map(ord, rollout.completion)) % 97 / 97


def random_model(folder: Path) -> Path:
    """The embedded model's shape with random weights that are bfloat16 numbers, and an adapter beside it."""
    from peft import LoraConfig, get_peft_model
    from transformers import AutoConfig, AutoModelForImageTextToText

    processor = load_policy(ModelConfig(name="tiny", device="cpu")).processor
    with torch.random.fork_rng():
        torch.manual_seed(3)
        model = AutoModelForImageTextToText.from_config(
            AutoConfig.from_pretrained(TINY_FOLDER), dtype=torch.float32
        )
        model.to(torch.bfloat16).float().save_pretrained(folder)
        processor.save_pretrained(folder)
        adapted = get_peft_model(model, LoraConfig(r=8, target_modules="all-linear"))
        for name, weight in adapted.named_parameters():
            if "lora_B" in name:
                weight.data.normal_(std=0.02)
        adapted.save_pretrained(folder / "adapter", save_embedding_layers=False)
    return folder


def recipe_of(model: Path, device: str, stage: dict[str, Any], **settings: Any) -> Recipe:
    """A recipe of one stage."""
    return Recipe.model_validate(
        {
            "name": "selftest",
            "seed": 1,
            "model": {"name": str(model), "device": device, **settings},
            "tasks": {"grade": TASK},
            "stages": [stage],
            "evaluation": {"task": "grade", "limit": 2},
        }
    )


def cases_of(recipe: Recipe, policy: Policy) -> TaskSet:
    """What its stage trains on."""
    stage = recipe.stages[0]
    return load_taskset(recipe, stage.task, "train", stage.injection, policy.space)


def trained(recipe: Recipe, policy: Policy, folder: Path) -> Any:
    """The stage's model after its steps."""
    stage = recipe.stages[0]
    job = StageJob(
        stage,
        recipe.model,
        (cases_of(recipe, policy),),
        folder,
        folder / "checkpoints",
        1,
        Console(quiet=True),
    )
    return run_trainer(METHODS[stage.method](policy, job), None)
