"""Settings of a stage that look at pictures, on cases that have none."""

from __future__ import annotations

from vrft_aug.errors import UserError
from vrft_aug.recipe.stage_config import StageConfig
from vrft_aug.tasks.taskset import TaskSet


def refuse_without_pictures(part: StageConfig, taskset: TaskSet) -> None:
    """Raise UserError where a setting of the stage changes pictures and a prompt has none."""
    if not part.looks:
        return
    for case, prompt in zip(taskset.cases, taskset.prompts, strict=True):
        if not prompt.images:
            raise UserError(
                f"{part.place}: {part.looks} changes the picture of every prompt, but case {case.id} of task "
                f"{taskset.task.name!r} has none; leave such cases out, or {part.looks} off"
            )
