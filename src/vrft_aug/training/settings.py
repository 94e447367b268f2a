"""From a stage of the recipe to TRL's settings: our defaults, then the user's, then what the recipe fixes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from vrft_aug.errors import UserError
from vrft_aug.policy.load import Policy
from vrft_aug.processes import process_count
from vrft_aug.recipe.parallel_config import ONE_EACH, ParallelConfig
from vrft_aug.recipe.stage_config import StageConfig
from vrft_aug.training.monitoring.loggers import logger_defaults
from vrft_aug.training.processes.sharding import ready_to_shard, strategy_settings
from vrft_aug.training.rollouts.rollout_settings import engine_settings
from vrft_aug.training.rollouts.vllm_rollouts import sampling_arguments
from vrft_aug.training.stage_settings import accumulation, check_trainer

if TYPE_CHECKING:
    from trl import GRPOConfig, SFTConfig

LARGE_MODEL = 100_000_000  # parameters from which memory matters more than time


def sft_settings(
    stage: StageConfig, policy: Policy, folder: Path, seed: int, parallel: ParallelConfig = ONE_EACH
) -> SFTConfig:
    """trl.SFTConfig of a stage: one optimiser step is `prompts_per_step` cases.

    Raises UserError for settings that TRL does not know or that do not fit each other.
    """
    from trl import SFTConfig

    steps = accumulation(stage)
    fixed = {
        "per_device_train_batch_size": stage.prompts_per_step // steps // process_count(),
        "train_sampling_strategy": "sequential",
    }
    # Nothing is truncated by default: prompts that are too long are refused before training.
    settings: SFTConfig = _build(
        SFTConfig,
        stage,
        policy,
        {"max_length": None},
        _common(stage, policy, folder, seed) | strategy_settings(parallel, policy.model) | fixed,
    )
    ready_to_shard(settings)
    return settings


def grpo_settings(
    stage: StageConfig, policy: Policy, folder: Path, seed: int, parallel: ParallelConfig = ONE_EACH
) -> GRPOConfig:
    """trl.GRPOConfig of a stage: one optimiser step is `prompts_per_step` x `generations` completions.

    Without `gradient_accumulation_steps` in the recipe a step is one forward and backward pass. Raises
    UserError as `sft_settings` does.
    """
    from trl import GRPOConfig

    rollouts = stage.prompts_per_step * stage.generations
    fixed = {
        "per_device_train_batch_size": rollouts // accumulation(stage) // process_count(),
        "num_generations": stage.generations,
        "max_completion_length": stage.max_new_tokens,
        "shuffle_dataset": False,
        **engine_settings(stage),
    }
    if stage.rollouts.engine == "vllm":
        fixed["generation_kwargs"] = sampling_arguments(policy, stage.trainer.get("generation_kwargs") or {})
    settings: GRPOConfig = _build(
        GRPOConfig,
        stage,
        policy,
        {},
        _common(stage, policy, folder, seed) | strategy_settings(parallel, policy.model) | fixed,
    )
    # A checkpoint inside a round would lose the completions that the rest of the round trains on.
    steps, _, _ = generation_round(stage, settings)
    settings.save_steps = -(-stage.save_steps // steps) * steps
    ready_to_shard(settings)
    return settings


def generation_round(stage: StageConfig, settings: GRPOConfig) -> tuple[int, int, int]:
    """How generation and optimiser steps interlock: (steps a round, prompts a round, rounds a stage).

    A round is one call of generation and the optimiser steps made of it; (1, prompts_per_step, steps)
    unless the recipe sets num_iterations or steps_per_generation. Raises UserError where the steps of the
    stage are no whole number of rounds.
    """
    parts = settings.gradient_accumulation_steps
    micro_batches = settings.steps_per_generation * settings.num_iterations
    rounds, rest = divmod(stage.steps * parts, micro_batches)
    if rest or max(micro_batches, parts) % min(micro_batches, parts):
        raise UserError(
            f"{stage.place}: {stage.steps} steps of {parts} micro-batches are no whole number "
            f"of generation rounds of {micro_batches} (steps_per_generation x num_iterations); change one"
        )
    prompts = settings.generation_batch_size // settings.num_generations
    return max(1, micro_batches // parts), prompts, rounds


def _common(stage: StageConfig, policy: Policy, folder: Path, seed: int) -> dict[str, Any]:
    return {
        "output_dir": str(folder),
        "seed": seed,
        "max_steps": stage.steps,
        "save_strategy": "steps",
        "save_steps": stage.save_steps,
        "save_total_limit": None,  # see checkpoint_mark.py
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
        "bf16": policy.dtype == torch.bfloat16,
        "gradient_checkpointing": policy.model.num_parameters() > LARGE_MODEL,
        "dataloader_pin_memory": policy.device.type == "cuda",
        "logging_nan_inf_filter": False,  # a NaN is shown, not smoothed away
        **logger_defaults(stage, Path(fixed["output_dir"])),
    }
    check_trainer(stage)
    try:
        return config_class(**(general | defaults | stage.trainer | fixed))
    except (TypeError, ValueError) as error:
        raise UserError(f"{stage.place}.trainer: {' '.join(str(error).split())}") from None
