"""Where a run is to be written: can it be, and is there room for it?"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from vrft_aug.errors import UserError
from vrft_aug.recipe.schema import Recipe

KEPT = 2  # checkpoints of a stage, unless trainer.save_total_limit says otherwise
LORA_SHARE = 0.02  # of a model's parameters, of an adapter of usual rank
CHANGE_PLACE = "choose another folder with --output"


def check_place(run: Path) -> None:
    """Raise UserError where a run could not be written to the folder; nothing is made."""
    try:
        nearest = next(place for place in (run, *run.absolute().parents) if place.exists())
    except OSError as error:  # a name that is too long
        raise UserError(f"{run} cannot be made: {error.strerror or error}; {CHANGE_PLACE}") from None
    if not nearest.is_dir():
        raise UserError(f"{nearest} is a file, so {run} cannot be a folder for the run; {CHANGE_PLACE}")
    if not os.access(nearest, os.W_OK | os.X_OK):
        raise UserError(f"{nearest} cannot be written to, so {run} cannot hold the run; {CHANGE_PLACE}")


def check_room(recipe: Recipe, run: Path, parameters: int) -> int:
    """The bytes that a new run of a model of so many parameters takes at its fullest, at the least.

    Raises UserError where the disk has less left.
    """
    needed = run_bytes(recipe, parameters)
    place = next(place for place in (run, *run.absolute().parents) if place.exists())
    free = shutil.disk_usage(place).free
    if needed > free:
        raise UserError(
            f"the run needs about {in_words(needed)} in {run} (checkpoints with the optimiser's state, and "
            f"each stage's model), but {place} has {in_words(free)} left; {CHANGE_PLACE}, free some space, "
            "or set trainer.save_total_limit: 1 or model.lora"
        )
    return needed


def run_bytes(recipe: Recipe, parameters: int) -> int:
    """Of all models that the stages end with and of the checkpoints of one stage, the largest."""
    weight = 2 if recipe.model.lora is not None and recipe.model.dtype == "bfloat16" else 4
    if recipe.model.lora is not None or recipe.model.adapter is not None:
        trained = round(LORA_SHARE * parameters)
        checkpoint, model = 12 * trained, 4 * trained
        ending = model * len(recipe.stages) + (weight * parameters if recipe.model.merge else 0)
    else:
        checkpoint = (weight + 8) * parameters
        ending = weight * parameters * len(recipe.stages)
    most = 0
    for stage in recipe.stages:
        limit = stage.trainer.get("save_total_limit") or KEPT
        saved = -(-stage.steps // stage.save_steps)
        most = max(most, min(limit + 1, saved) if isinstance(limit, int) else saved)
    return ending + most * checkpoint


def in_words(size: int) -> str:
    """`3.1 GB`, `12 MB`."""
    return f"{size / 1e9:,.1f} GB" if size >= 1e9 else f"{max(1, round(size / 1e6)):,} MB"
