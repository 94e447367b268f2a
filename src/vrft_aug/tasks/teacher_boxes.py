"""The boxes that a stage's teacher sees drawn on its pictures: `teacher.boxes`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from vrft_aug.errors import UserError
from vrft_aug.nouns import Box
from vrft_aug.recipe.schema import Recipe
from vrft_aug.recipe.stage_config import StageConfig
from vrft_aug.tasks.lesion_boxes import known_boxes
from vrft_aug.tasks.taskset import TaskSet

Shown = tuple[Mapping[str, tuple[Box, ...]], ...]  # of every part of a stage: case id -> boxes, one or more


def teacher_boxes(recipe: Recipe, stage: StageConfig, tasksets: Sequence[TaskSet]) -> Shown:
    """The boxes of each part's training cases, in pixels of the first picture; () where none are asked for.

    They are those that `vrft look` masks. Of localise tasks they are the answer, so that none are shown.
    Raises UserError where none are known of any case.
    """
    if not (stage.teacher.weight and stage.teacher.boxes):
        return ()
    place = f"{stage.place}.teacher.boxes"
    shown = tuple(_of_part(recipe, taskset) for taskset in tasksets)
    if any(shown):
        return shown
    names = ", ".join(repr(taskset.task.name) for taskset in tasksets)
    if all(taskset.task.kind == "localise" for taskset in tasksets):
        raise UserError(
            f"{place} would show the teacher the answers of {names} (localise); leave it out, or pull another"
            " task"
        )
    cases = sum(len(taskset.cases) for taskset in tasksets)
    raise UserError(
        f"{place}: no boxes are known of the {cases} training cases of {names}; give data.boxes to the task, "
        "or have a localise task with the same pictures in the recipe"
    )


def boxes_note(stage: StageConfig, tasksets: Sequence[TaskSet], shown: Shown) -> str:
    """How many cases the teacher is shown boxes of, in a sentence."""
    cases = sum(len(taskset.cases) for taskset in tasksets)
    return f"teacher: boxes are drawn for {sum(map(len, shown)):,} of {cases:,} training cases"


def _of_part(recipe: Recipe, taskset: TaskSet) -> dict[str, tuple[Box, ...]]:
    if taskset.task.kind == "localise":
        return {}
    seen = [case for case in taskset.cases if case.images]
    known = known_boxes(recipe, taskset.task.name, "train", seen)
    return {case: boxes for case, boxes in known.items() if boxes}
