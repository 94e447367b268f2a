"""The folder of a run: what lies in it, when it may be written to, and how it starts."""

from __future__ import annotations

import shutil
from collections import Counter
from pathlib import Path
from typing import Any

from vrft_aug.errors import UserError
from vrft_aug.recipe.file import load_recipe, save_recipe
from vrft_aug.recipe.schema import Recipe
from vrft_aug.run.layout import (
    ALARMS,
    CHECKPOINTS,
    EVALUATION,
    METRICS,
    REPORT_PAGE,
    ROLLOUTS,
    RUN_FILE,
    RUN_MODEL,
    RUN_RECIPE,
    TENSORBOARD,
)
from vrft_aug.run.logs import read_lines

# The recipe is the last that --overwrite removes: a folder is a run for as long as it has one.
OURS = (
    METRICS,
    ROLLOUTS,
    ALARMS,
    TENSORBOARD,
    CHECKPOINTS,
    EVALUATION,
    REPORT_PAGE,
    RUN_MODEL,
    RUN_FILE,
    RUN_RECIPE,
)


def is_new_run(recipe: Recipe, run: Path, resume: bool, overwrite: bool) -> bool:
    """Whether the run starts anew (True) or goes on (False); nothing is changed yet.

    Raises UserError for a folder that holds something else, for an existing run with neither `resume` nor
    `overwrite`, and for a resume with another recipe than the run was started with.
    """
    if run.exists() and not run.is_dir():
        raise UserError(f"{run} is a file; expected a folder for the run")
    entries = [path for path in run.iterdir() if not path.name.startswith(".")] if run.is_dir() else []
    if not entries:
        return True
    if not (run / RUN_RECIPE).is_file():
        raise UserError(f"{run} is not empty and holds no run ({RUN_RECIPE}); choose another --output")
    if overwrite:
        return True
    if not resume:
        raise UserError(f"{run} holds a run already; --resume continues it, --overwrite starts anew")
    saved = load_recipe(str(run / RUN_RECIPE)).model_dump(mode="json")
    if difference := first_difference(saved, recipe.model_dump(mode="json")):
        where, old, new = difference
        raise UserError(
            f"{run} was started with {where} = {old!r}, the recipe now says {new!r}; resume with "
            f"{run / RUN_RECIPE}, or choose another --output"
        )
    return False


def start_run(recipe: Recipe, run: Path) -> None:
    """Remove what an earlier run left in the folder, and nothing else that lies there; write the recipe."""
    for name in OURS:
        path = run / name
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
    run.mkdir(parents=True, exist_ok=True)
    save_recipe(recipe, run / RUN_RECIPE)


def stage_summary(run: Path) -> dict[str, dict[str, float]]:
    """Steps, rollouts and seconds of training of every stage, read from the run's logs.

    Rollouts are all that were drawn, also those that dynamic sampling put others in the place of.
    """
    rollouts = Counter(line["stage"] for line in read_lines(run / ROLLOUTS))
    summary: dict[str, dict[str, float]] = {}
    for line in read_lines(run / METRICS):
        stage = summary.setdefault(line["stage"], {"steps": 0, "seconds": 0.0})
        stage["steps"] = line["step"]
        stage["seconds"] = round(stage["seconds"] + line["seconds"], 3)
        rollouts[line["stage"]] += round(line.get("dynamic_sampling/extra_rollouts") or 0)
        stage["rollouts"] = rollouts[line["stage"]]
    return summary


def first_difference(old: Any, new: Any, where: str = "") -> tuple[str, Any, Any] | None:
    """The first place, dotted, where two plain structures differ, with both values; None if nowhere."""
    if isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        old, new = dict(enumerate(old)), dict(enumerate(new))
    if not isinstance(old, dict) or not isinstance(new, dict):
        return None if old == new else (where, old, new)
    for key in dict.fromkeys([*old, *new]):
        found = first_difference(old.get(key), new.get(key), f"{where}.{key}".lstrip("."))
        if found is not None:
            return found
    return None
