"""The recipe that a run was trained by."""

from __future__ import annotations

from pathlib import Path

from vrft_aug.errors import UserError
from vrft_aug.recipe.file import load_recipe
from vrft_aug.recipe.schema import Recipe
from vrft_aug.run.layout import RUN_RECIPE


def own_recipe(source: str) -> Recipe:
    """The recipe of a run; UserError for what is no run."""
    file = Path(source).expanduser() / RUN_RECIPE
    if not file.is_file():
        raise UserError(
            f"{source} is not a run folder; a model needs a recipe that says what to evaluate it on"
        )
    return load_recipe(str(file))
