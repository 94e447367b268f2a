"""What the look monitor of a stage asks: a fixed set of cases with their other pictures."""

from __future__ import annotations

from dataclasses import dataclass

from vrft_aug.data.cases import EmptySplit
from vrft_aug.errors import UserError
from vrft_aug.perception.spaces import BoxSpace
from vrft_aug.recipe.schema import Recipe
from vrft_aug.recipe.stage_config import StageConfig
from vrft_aug.tasks.look_views import LookSet, View, look_set

SPLITS = ("validation", "train")  # the first that has cases


@dataclass(frozen=True)
class Probe:
    """The cases that are asked, and how."""

    look: LookSet
    every: int  # steps
    batch_size: int  # completions generated at once, that of the evaluation


def look_probe(recipe: Recipe, stage: StageConfig, space: BoxSpace) -> Probe | None:
    """The probe of a stage's own task; None where the recipe asks for none.

    Raises UserError where the task has no pictures, or masks are asked for and no boxes are known.
    """
    wanted = stage.look
    if not wanted.every:
        return None
    views: tuple[View, ...] = ("blank", "another", *(("lesion",) if wanted.masks else ()))
    for split in SPLITS:
        try:
            look = look_set(recipe, stage.task, split, stage.injection, space, wanted.cases, views)
        except EmptySplit:
            continue
        except UserError as error:
            raise type(error)(f"{stage.place}.look: {error}") from error
        return Probe(look, wanted.every, recipe.evaluation.batch_size)
    raise UserError(f"{stage.place}.look: task {stage.task!r} has no cases to ask in {' or '.join(SPLITS)}")
