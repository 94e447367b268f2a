"""Every stage is built, with its trainer, optimiser and schedule, before the first one trains.

So whatever TRL, transformers and PEFT refuse only when they are put together is told at the start, and not
after hours of an earlier stage.
"""

from __future__ import annotations

import gc
import tempfile
from dataclasses import replace
from pathlib import Path

import torch
from rich.console import Console

from vrft_aug.errors import UserError
from vrft_aug.plugins import in_a_line
from vrft_aug.policy.adapters import lora_config
from vrft_aug.policy.chat import prompt_length
from vrft_aug.policy.load import Policy, load_policy, model_without_weights
from vrft_aug.policy.out_of_memory import ran_out_of_memory
from vrft_aug.policy.random_numbers import same_random_numbers
from vrft_aug.recipe.model_config import ModelConfig
from vrft_aug.recipe.parallel_config import ONE_EACH, ParallelConfig
from vrft_aug.recipe.rollouts_config import RolloutsConfig
from vrft_aug.recipe.schema import Recipe
from vrft_aug.recipe.stage_config import StageConfig
from vrft_aug.tasks.taskset import TaskSet
from vrft_aug.training.grpo import build_grpo
from vrft_aug.training.job import StageJob
from vrft_aug.training.order import stage_seed
from vrft_aug.training.sft import build_sft
from vrft_aug.training.stopped import memory_error

METHODS = {"sft": build_sft, "grpo": build_grpo}
PACKAGE = Path(__file__).parents[1]


def rehearse_stages(recipe: Recipe, tasksets: list[tuple[TaskSet, ...]], policy: Policy) -> None:
    """Build all stages on one model, in their order, and forget them; random numbers stay where they were.

    The model must not be used afterwards. Raises UserError for settings that a library refuses.
    """
    # Engines that shard take the model apart, and this one is built on again.
    parallel = recipe.parallel if recipe.parallel.strategy in ("auto", "ddp") else ONE_EACH
    with same_random_numbers():
        for index, (stage, parts) in enumerate(zip(recipe.stages, tasksets, strict=True)):
            _rehearse(stage, parts, policy, recipe.model, stage_seed(recipe.seed, index), parallel)


def rehearse_without_model(stage: StageConfig, tasksets: tuple[TaskSet, ...]) -> None:
    """As `rehearse_stages` for one stage, without its model: on the embedded one."""
    tiny = ModelConfig(device="cpu")
    with same_random_numbers():
        _rehearse(stage, tasksets, load_policy(tiny, training=True), tiny, seed=0)


def rehearse_lora(config: ModelConfig) -> None:
    """Put the recipe's new adapter on its model, without weights; UserError where PEFT refuses."""
    from peft import inject_adapter_in_model

    wanted = lora_config(config)
    if wanted is None:
        return
    if wanted.init_lora_weights not in (True, False, "gaussian", "orthogonal"):
        wanted.init_lora_weights = True  # the others look at weights, which are not there
    with same_random_numbers():
        try:
            inject_adapter_in_model(wanted, model_without_weights(config))
        except (ValueError, TypeError, KeyError, ImportError, AttributeError, NotImplementedError) as error:
            raise UserError(f"model.lora does not fit model {config.name!r}: {in_a_line(error)}") from error


def _rehearse(
    stage: StageConfig,
    tasksets: tuple[TaskSet, ...],
    policy: Policy,
    model: ModelConfig,
    seed: int,
    parallel: ParallelConfig = ONE_EACH,
) -> None:
    adapted = hasattr(policy.model, "peft_config")
    with tempfile.TemporaryDirectory(prefix="vrft-rehearsal-") as place:
        folder = Path(place)
        stage = stage.model_copy(update={"rollouts": RolloutsConfig()})  # vLLM starts slowly
        job = StageJob(stage, model, tasksets, folder, folder / "stage", seed, Console(quiet=True), parallel)
        try:
            trainer = METHODS[stage.method](replace(policy, sizes={}), job).trainer
            trainer.create_optimizer_and_scheduler(num_training_steps=stage.steps)
            trainer.get_train_dataloader()
        except UserError:
            raise
        except Exception as error:
            if ran_out_of_memory(error):
                asked = prompt_length(policy, tasksets[0].prompts[0])
                raise memory_error(error, stage, policy.device.type, asked, False, folder) from error
            raise _explained(error, stage, model) from error
        if not adapted and hasattr(trainer.model, "peft_config"):
            trainer.model.unload()  # so that the next stage can put its own on it
        del trainer
        gc.collect()


def _explained(error: Exception, stage: StageConfig, model: ModelConfig) -> Exception:
    """One line where a library refuses the user's settings; else the error as it is, a bug of ours."""
    given = [f"trainer.{key}" for key in stage.trainer] + [f"model.lora.{key}" for key in model.lora or {}]
    trace, deepest = error.__traceback__, ""
    while trace is not None:
        deepest, trace = trace.tb_frame.f_code.co_filename, trace.tb_next
    if (
        not given
        or isinstance(error, MemoryError | torch.OutOfMemoryError)
        or Path(deepest).is_relative_to(PACKAGE)
    ):
        return error
    return UserError(
        f"{stage.place} cannot be built with {', '.join(given)[:200]}: {in_a_line(error)}; "
        "correct or remove one of them"
    )
