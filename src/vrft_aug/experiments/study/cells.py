"""The cells of a study: for each and every seed a recipe, checked before anything runs, and a run folder.

A run lies under the hash of its recipe, without its name, and of its start model, so studies that ask for the
same training share it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path

from vrft_aug.errors import UserError, nearest
from vrft_aug.evaluation.factor_effects import Levels
from vrft_aug.evaluation.provenance import hash_folder
from vrft_aug.experiments.baselines import rft, rft_with_boxes, sft, untold, untrained
from vrft_aug.experiments.study.study_file import Arm, Study, override_lines
from vrft_aug.preview.run_checks import check_settings
from vrft_aug.recipe.file import load_recipe
from vrft_aug.recipe.model_folder import model_folder
from vrft_aug.recipe.schema import Recipe
from vrft_aug.run.layout import EVALUATION, REPORT_PAGE

DERIVED: Mapping[Arm, Callable[[Recipe], Recipe]] = {
    "untold": untold,
    "untrained": untrained,
    "sft": sft,
    "sft-told": partial(sft, told=True),
    "rft": rft,
    "rft-with-boxes": rft_with_boxes,
}
NAME = "cell"  # of all recipes of cells: the run is called by its hash
BASELINE = "evaluation.base=false"  # cells are held against each other; a start model is an arm


@dataclass(frozen=True)
class Cell:
    """One training of a study."""

    levels: Levels
    seed: int
    recipe: Recipe
    run: Path
    name: str  # the levels with their factors

    @property
    def called(self) -> str:
        """Such as `knowledge on, training sft, seed 0`."""
        return f"{self.name}, " + (f"seed {self.seed}" if self.recipe.stages else "not trained")

    @property
    def finished(self) -> bool:
        """Whether its run has ended with an evaluation and a page."""
        return (self.run / EVALUATION).is_file() and (self.run / REPORT_PAGE).is_file()


def study_cells(study: Study, runs: Path) -> list[Cell]:
    """All cells by seed, then in the study's order; a cell that trains nothing is there for one seed.

    Raises UserError naming the cell whose recipe cannot be, with the reason.
    """
    cells: list[Cell] = []
    for seed in study.seeds:
        for levels in study.chosen():
            recipe = _recipe(study, levels, seed)
            if not recipe.stages:
                if seed != study.seeds[0]:
                    continue
                recipe = recipe.model_copy(update={"seed": 0})  # greedy answers: the seed draws intervals
            cell = Cell(levels, seed, recipe, runs / training_hash(recipe), _name(study, levels))
            try:
                check_settings(recipe, cell.run)
            except UserError as error:
                raise UserError(f"study {study.name}, cell {cell.called}: {error}") from None
            cells.append(cell)
    return cells


def training_hash(recipe: Recipe) -> str:
    """12 hexadecimal digits of what a recipe says and of the files of its start model, where they are here.

    What the recipe leaves at its default does not count: a setting that a later version adds changes no hash,
    and finished runs stay what they are. Another model under the same name makes other runs.
    """
    said = json.dumps(recipe.model_dump(mode="json", exclude_defaults=True), sort_keys=True)
    folder = model_folder(recipe.model)
    model = "" if folder is None else _hash_once(folder)
    return hashlib.sha256((said + model).encode()).hexdigest()[:12]


@cache
def _hash_once(folder: Path) -> str:
    return hash_folder(folder)


def _recipe(study: Study, levels: Levels, seed: int) -> Recipe:
    chosen = [study.factors[factor][level] for factor, level in zip(study.factors, levels, strict=True)]
    overrides = [BASELINE, *override_lines(study.set)]
    for level in chosen:
        overrides += override_lines(level.set)
    try:
        recipe = load_recipe(study.recipe, [*overrides, f"seed={seed}", f"name={NAME}"])
        for dropped in (study.drop, *(level.drop for level in chosen)):
            recipe = _without(recipe, dropped)
        for level in chosen:
            if level.arm is not None:
                recipe = DERIVED[level.arm](recipe)
    except UserError as error:
        raise UserError(f"study {study.name}, cell {_name(study, levels)}: {error}") from None
    return recipe


def _without(recipe: Recipe, stages: Sequence[str]) -> Recipe:
    names = [stage.name for stage in recipe.stages]
    for dropped in stages:
        if dropped not in names:
            hint = nearest(dropped, names) or f"; it has {', '.join(names)}"
            raise UserError(f"the recipe has no stage {dropped!r} to drop{hint}")
    kept = tuple(stage for stage in recipe.stages if stage.name not in stages)
    return recipe.model_copy(update={"stages": kept})


def _name(study: Study, levels: Levels) -> str:
    return ", ".join(f"{factor} {level}" for factor, level in zip(study.factors, levels, strict=True))
