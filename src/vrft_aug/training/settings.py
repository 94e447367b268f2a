"""From a stage of the recipe to TRL's settings: our defaults, then the user's, then what the recipe fixes."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from vrft_aug.errors import UserError, nearest
from vrft_aug.policy.load import Policy
from vrft_aug.recipe.schema import OWNED_BY_RECIPE, StageConfig
from vrft_aug.training.loggers import logger_defaults

if TYPE_CHECKING:
    from trl import GRPOConfig, SFTConfig

# Settings that the logs and the exact resume rest on, in addition to those that the recipe owns.
FIXED = {
    **OWNED_BY_RECIPE,
    "save_steps": "stages[].save_steps",
    "save_strategy": "nothing (always by steps)",
    "save_only_model": "nothing (checkpoints are complete, so that they can be resumed)",
    "logging_steps": "nothing (every step is logged)",
    "logging_strategy": "nothing (every step is logged)",
    "num_train_epochs": "stages[].steps",
    "shuffle_dataset": "seed (cases are shuffled before training)",
    "train_sampling_strategy": "seed (cases are shuffled before training)",
    "disable_tqdm": "nothing (one progress bar shows the run)",
    "use_cpu": "model.device",
    "restore_callback_states_from_checkpoint": "nothing (a resumed run restores what it needs)",
}
LARGE_MODEL = 100_000_000  # parameters from which memory matters more than time


def sft_settings(stage: StageConfig, policy: Policy, folder: Path, seed: int) -> SFTConfig:
    """trl.SFTConfig of a stage: one optimiser step is `prompts_per_step` cases.

    Raises UserError for settings that TRL does not know or that do not fit each other.
    """
    from trl import SFTConfig

    accumulation = _accumulation(stage, stage.prompts_per_step, "prompts_per_step")
    fixed = {
        "per_device_train_batch_size": stage.prompts_per_step // accumulation,
        "train_sampling_strategy": "sequential",
    }
    # Nothing is truncated by default: prompts that are too long are refused before training.
    settings: SFTConfig = _build(
        SFTConfig, stage, policy, {"max_length": None}, _common(stage, policy, folder, seed) | fixed
    )
    return settings


def grpo_settings(stage: StageConfig, policy: Policy, folder: Path, seed: int) -> GRPOConfig:
    """trl.GRPOConfig of a stage: one optimiser step is `prompts_per_step` x `generations` completions.

    Without `gradient_accumulation_steps` in the recipe a step is one forward and backward pass. Raises
    UserError as `sft_settings` does.
    """
    from trl import GRPOConfig

    rollouts = stage.prompts_per_step * stage.generations
    accumulation = _accumulation(stage, rollouts, "prompts_per_step x generations")
    fixed = {
        "per_device_train_batch_size": rollouts // accumulation,
        "num_generations": stage.generations,
        "max_completion_length": stage.max_new_tokens,
        "shuffle_dataset": False,
    }
    settings: GRPOConfig = _build(GRPOConfig, stage, policy, {}, _common(stage, policy, folder, seed) | fixed)
    # A checkpoint inside a round would lose the completions that the rest of the round trains on.
    steps, _, _ = generation_round(stage, settings)
    settings.save_steps = -(-stage.save_steps // steps) * steps
    return settings


def generation_round(stage: StageConfig, settings: GRPOConfig) -> tuple[int, int, int]:
    """How generation and optimiser steps interlock: (steps a round, prompts a round, rounds a stage).

    A round is one call of generation and the optimiser steps made of it; (1, prompts_per_step, steps)
    unless the recipe sets num_iterations or steps_per_generation. Raises UserError where the steps of the
    stage are no whole number of rounds.
    """
    accumulation = settings.gradient_accumulation_steps
    micro_batches = settings.steps_per_generation * settings.num_iterations
    rounds, rest = divmod(stage.steps * accumulation, micro_batches)
    if rest or max(micro_batches, accumulation) % min(micro_batches, accumulation):
        raise UserError(
            f"{stage.place}: {stage.steps} steps of {accumulation} micro-batches are no whole number "
            f"of generation rounds of {micro_batches} (steps_per_generation x num_iterations); change one"
        )
    prompts = settings.generation_batch_size // settings.num_generations
    return max(1, micro_batches // accumulation), prompts, rounds


def _accumulation(stage: StageConfig, batch: int, what: str) -> int:
    steps = stage.trainer.get("gradient_accumulation_steps", 1)
    if not isinstance(steps, int) or steps < 1 or batch % steps:
        raise UserError(
            f"{stage.place}.trainer.gradient_accumulation_steps is {steps!r}; "
            f"expected a divisor of {what} ({batch})"
        )
    return steps


def _common(stage: StageConfig, policy: Policy, folder: Path, seed: int) -> dict[str, Any]:
    return {
        "output_dir": str(folder),
        "seed": seed,
        "max_steps": stage.steps,
        "save_strategy": "steps",
        "save_steps": stage.save_steps,
        "logging_strategy": "steps",
        "logging_steps": 1,
        "remove_unused_columns": False,
        "disable_tqdm": True,
        "use_cpu": policy.device.type == "cpu",
    }


def _build(
    config_class: Any, stage: StageConfig, policy: Policy, defaults: dict[str, Any], fixed: dict[str, Any]
) -> Any:
    """The config object: general defaults < `defaults` < the user's `trainer` < `fixed`."""
    general = {
        "report_to": "none",
        "save_total_limit": 2,
        "bf16": policy.dtype == torch.bfloat16,
        "gradient_checkpointing": policy.model.num_parameters() > LARGE_MODEL,
        "dataloader_pin_memory": policy.device.type == "cuda",
        "logging_nan_inf_filter": False,  # a NaN is shown, not smoothed away
        **logger_defaults(stage, Path(fixed["output_dir"])),
    }
    known = {f.name: f.default for f in fields(config_class) if f.init}
    for key, value in stage.trainer.items():
        _check(config_class.__name__, stage, known, key, value)
    try:
        return config_class(**(general | defaults | stage.trainer | fixed))
    except (TypeError, ValueError) as error:
        raise UserError(f"{stage.place}.trainer: {' '.join(str(error).split())}") from None


def _check(config_name: str, stage: StageConfig, known: dict[str, Any], key: str, value: Any) -> None:
    """TRL knows the setting, it is the user's to set, and a number is where a number belongs."""
    if key in FIXED:
        raise UserError(f"{stage.place}.trainer.{key} is set by {FIXED[key]}")
    if key not in known:
        raise UserError(
            f"{stage.place}.trainer: trl.{config_name} has no setting {key!r}{nearest(key, known)}"
        )
    numeric = isinstance(known[key], int | float) and not isinstance(known[key], bool)
    if numeric and isinstance(value, str):
        raise UserError(f"{stage.place}.trainer.{key} is {value!r}; expected a number like {known[key]}")
