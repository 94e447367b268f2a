"""One stage of a run, from where it stands to the model that it ends with."""

from __future__ import annotations

import gc
from functools import partial
from pathlib import Path

from rich.console import Console

from vrft_aug.policy.chat import prompt_length
from vrft_aug.policy.load import load_policy, written_model
from vrft_aug.policy.out_of_memory import ran_out_of_memory
from vrft_aug.policy.together import in_each, once_for_all
from vrft_aug.processes import is_main
from vrft_aug.recipe.schema import Recipe
from vrft_aug.run.layout import ALARMS, METRICS, ROLLOUTS, stage_model
from vrft_aug.run.logs import cut_back
from vrft_aug.tasks.look_probe import look_probe
from vrft_aug.tasks.taskset import TaskSet
from vrft_aug.tasks.teacher_boxes import teacher_boxes
from vrft_aug.training.checkpoints import keep_only, last_checkpoint, publish_model
from vrft_aug.training.job import StageJob, run_trainer
from vrft_aug.training.order import stage_seed
from vrft_aug.training.rehearsal import METHODS
from vrft_aug.training.stopped import memory_error


def train_stage(
    recipe: Recipe, index: int, tasksets: tuple[TaskSet, ...], output: Path, console: Console
) -> None:
    """Train one stage from where it stands: done, at a checkpoint, or not begun.

    To be called by all processes of the run; the main process alone changes files, but for its checkpoints.
    """
    stage = recipe.stages[index]
    target = stage_model(output, stage.name)
    folder = target.parent
    done = [earlier.name for earlier in recipe.stages[:index]]
    standing = once_for_all(partial(_where_it_stands, output, done, stage.name))
    if standing is None:
        return
    checkpoint, _ = standing
    start = recipe.model if not done else written_model(recipe.model, stage_model(output, done[-1]), True)
    policy = in_each(partial(load_policy, start, training=True))
    job = StageJob(
        stage=stage,
        model=start,
        tasksets=tasksets,
        run=output,
        folder=folder,
        seed=stage_seed(recipe.seed, index),
        console=console,
        parallel=recipe.parallel,
        probe=look_probe(recipe, stage, policy.space),
        shown=teacher_boxes(recipe, stage, tasksets),
    )
    built = METHODS[stage.method](policy, job)
    try:
        model = run_trainer(built, checkpoint, start)
    except (RuntimeError, MemoryError) as error:
        if not ran_out_of_memory(error):
            raise
        device, checkpointing = policy.device.type, bool(built.trainer.args.gradient_checkpointing)
        asked = prompt_length(policy, tasksets[0].prompts[0])
        raise memory_error(error, stage, device, asked, checkpointing, folder) from error
    publish = partial(publish_model, model, policy.processor, target, start, index == len(recipe.stages) - 1)
    merge = once_for_all(publish)
    if merge is not None:
        console.print(f"{stage.name}: {merge}", highlight=False, soft_wrap=True)
    if is_main():
        keep_only(folder, target.name)
    del model, policy, job, built, publish
    gc.collect()  # trainers hold themselves in cycles, and the next stage loads a model of its own


def _where_it_stands(output: Path, done: list[str], name: str) -> tuple[Path | None, int] | None:
    """The checkpoint that a stage goes on from and its step, (None, 0) for its start; None where it is done.

    What an interrupted run has left beyond that is removed.
    """
    target = stage_model(output, name)
    if target.is_dir():
        keep_only(target.parent, target.name)
        return None
    checkpoint, step = last_checkpoint(target.parent) or (None, 0)
    for log in (METRICS, ROLLOUTS, ALARMS):
        cut_back(output / log, done, name, step)
    return checkpoint, step
