"""One stage of a run, from where it stands to the model that it ends with."""

from __future__ import annotations

import gc
from pathlib import Path

from rich.console import Console

from vrft_aug.policy.chat import prompt_length
from vrft_aug.policy.load import load_policy, written_model
from vrft_aug.policy.out_of_memory import ran_out_of_memory
from vrft_aug.recipe.schema import Recipe
from vrft_aug.run.layout import ALARMS, METRICS, ROLLOUTS, stage_model
from vrft_aug.run.logs import cut_back
from vrft_aug.tasks.taskset import TaskSet
from vrft_aug.training.checkpoints import keep_only, last_checkpoint, publish_model
from vrft_aug.training.job import StageJob, run_trainer
from vrft_aug.training.order import stage_seed
from vrft_aug.training.rehearsal import METHODS
from vrft_aug.training.stopped import memory_error


def train_stage(
    recipe: Recipe, index: int, tasksets: tuple[TaskSet, ...], output: Path, console: Console
) -> None:
    """Train one stage from where it stands: done, at a checkpoint, or not begun."""
    stage = recipe.stages[index]
    target = stage_model(output, stage.name)
    folder = target.parent
    if target.is_dir():
        keep_only(folder, target.name)
        return
    checkpoint, step = last_checkpoint(folder) or (None, 0)
    done = [earlier.name for earlier in recipe.stages[:index]]
    for name in (METRICS, ROLLOUTS, ALARMS):
        cut_back(output / name, done, stage.name, step)
    start = recipe.model if not done else written_model(recipe.model, stage_model(output, done[-1]), True)
    policy = load_policy(start, training=True)
    job = StageJob(
        stage=stage,
        model=start,
        tasksets=tasksets,
        run=output,
        folder=folder,
        seed=stage_seed(recipe.seed, index),
        console=console,
    )
    built = METHODS[stage.method](policy, job)
    try:
        model = run_trainer(built, checkpoint)
    except (RuntimeError, MemoryError) as error:
        if not ran_out_of_memory(error):
            raise
        device, checkpointing = policy.device.type, bool(built.trainer.args.gradient_checkpointing)
        asked = prompt_length(policy, tasksets[0].prompts[0])
        raise memory_error(error, stage, device, asked, checkpointing, folder) from error
    merge = publish_model(model, policy.processor, target, start, last=index == len(recipe.stages) - 1)
    if merge is not None:
        console.print(f"{stage.name}: {merge}", highlight=False, soft_wrap=True)
    keep_only(folder, target.name)
    del model, policy, job, built
    gc.collect()  # trainers hold themselves in cycles, and the next stage loads a model of its own
