"""A study as a YAML file: a recipe, factors with levels, seeds, and which cells to run."""

from __future__ import annotations

import json
from collections.abc import Mapping
from itertools import product
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError, field_validator, model_validator

from vrft_aug.data.settings import Strict
from vrft_aug.errors import UserError, nearest
from vrft_aug.evaluation.factor_effects import Levels
from vrft_aug.recipe.file import recipe_path
from vrft_aug.recipe.named_file import read_named
from vrft_aug.recipe.validation import explain

SHIPPED_STUDIES = Path(__file__).parent / "shipped"
Overrides = dict[str, Any]  # dotted key of the recipe -> value, as on the command line
Arm = Literal["untold", "untrained", "sft", "sft-told", "rft", "rft-with-boxes"]


class Level(Strict):
    """A setting of a factor: overrides of the recipe, stages left out, and `arm`, a baseline made of it."""

    drop: tuple[str, ...] = ()  # names of stages
    # of the recipe as it is then: untold and untrained are the start model without and with knowledge, the
    # others as in `vrft demo`
    arm: Arm | None = None
    set: Overrides = Field(default_factory=dict)


class Study(Strict):
    """A whole study."""

    name: str = Field(pattern=r"^[\w.-]+$")
    question: str = ""  # in words, for the page
    recipe: str  # shipped, or a file beside the study
    set: Overrides = Field(default_factory=dict)  # of all cells
    drop: tuple[str, ...] = ()  # stages of the recipe that no cell has
    seeds: tuple[Annotated[int, Field(ge=0, lt=2**32)], ...] = Field(default=(0,), min_length=1)
    # factor -> level -> what it is; the first level is what the others are held against
    factors: dict[str, dict[str, Level]] = Field(min_length=1)
    # full: every combination; one-at-a-time: the first levels, and each other level with the others at their
    # first; or a list of {factor: level}, where a factor that is left out is at its first
    cells: Literal["full", "one-at-a-time"] | tuple[dict[str, str], ...] = "full"
    metrics: tuple[str, ...] = ()  # that effects are told of; else the task's headline
    also: tuple[str, ...] = ()  # metrics that --markdown tells of those cells which have them
    slurm: dict[str, Any] = Field(default_factory=dict)  # submitit's settings under their own names

    @field_validator("seeds", mode="before")
    @classmethod
    def _a_number_counts_seeds(cls, value: Any) -> Any:
        return tuple(range(value)) if isinstance(value, int) and not isinstance(value, bool) else value

    @field_validator("factors", mode="before")
    @classmethod
    def _bare_overrides(cls, value: Any) -> Any:
        """A level may be its overrides alone, or nothing."""
        if not isinstance(value, dict):
            return value
        return {
            str(factor): {str(level): _level(given) for level, given in levels.items()}
            if isinstance(levels, dict)
            else levels
            for factor, levels in value.items()
        }

    @model_validator(mode="after")
    def _cells_exist(self) -> Study:
        for factor, levels in self.factors.items():
            if len(levels) < 2:
                raise ValueError(f"factor {factor!r} has one level; expected two or more")
        if len(set(self.seeds)) < len(self.seeds):
            raise ValueError(f"seeds must differ, got {list(self.seeds)}")
        for number, cell in enumerate(self.cells if isinstance(self.cells, tuple) else (), start=1):
            for factor, level in cell.items():
                if factor not in self.factors:
                    hint = nearest(factor, self.factors) or f"; it has {', '.join(self.factors)}"
                    raise ValueError(f"cell {number} names factor {factor!r}, which the study lacks{hint}")
                if level not in (levels := self.factors[factor]):
                    hint = nearest(level, levels) or f"; it has {', '.join(levels)}"
                    raise ValueError(f"cell {number}: factor {factor!r} has no level {level!r}{hint}")
        return self

    def levels(self) -> dict[str, tuple[str, ...]]:
        """Factor -> the names of its levels, the first first."""
        return {factor: tuple(levels) for factor, levels in self.factors.items()}

    def chosen(self) -> list[Levels]:
        """The cells to run, each once, in order."""
        levels = self.levels()
        if self.cells == "full":
            return list(product(*levels.values()))
        first = tuple(of_factor[0] for of_factor in levels.values())
        if self.cells == "one-at-a-time":
            others = [
                (*first[:place], level, *first[place + 1 :])
                for place, of_factor in enumerate(levels.values())
                for level in of_factor[1:]
            ]
            return [first, *others]
        named = [
            tuple(cell.get(factor, of_factor[0]) for factor, of_factor in levels.items())
            for cell in self.cells
            if isinstance(cell, dict)
        ]
        return list(dict.fromkeys(named))


def _level(given: Any) -> Any:
    if given is None:
        return {}
    if isinstance(given, dict) and not given.keys() <= {"arm", "drop", "set"}:
        return {"set": given}
    return given


def override_lines(overrides: Mapping[str, Any]) -> list[str]:
    """`key=value` of every override, as the command line would have it."""
    return [f"{key}={json.dumps(value, ensure_ascii=False)}" for key, value in overrides.items()]


def shipped_studies() -> dict[str, Path]:
    """The studies that come with the package, by name."""
    return {path.stem: path for path in sorted(SHIPPED_STUDIES.glob("*.yaml"))}


def load_study(source: str) -> Study:
    """A shipped study by its name, or a YAML file; its recipe is found beside it.

    Raises UserError, one line, for whatever is wrong with it.
    """
    shipped = shipped_studies()
    path, data = read_named(source, shipped, "study", "name, recipe, factors")
    try:
        study = Study.model_validate(data)
    except ValidationError as error:
        raise UserError(f"study {path.name}: {explain(error, data, Study)}") from None
    beside = path.parent / study.recipe
    if source not in shipped and beside.is_file():
        study = study.model_copy(update={"recipe": str(beside.resolve())})
    recipe_path(study.recipe)  # raises where there is none
    return study
