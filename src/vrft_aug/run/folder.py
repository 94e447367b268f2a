"""The folder of a run: what lies in it, when it may be written to, and how it starts."""

from __future__ import annotations

import shutil
from collections import Counter
from pathlib import Path

from vrft_aug.errors import UserError
from vrft_aug.recipe.file import save_recipe
from vrft_aug.recipe.schema import Recipe
from vrft_aug.run.layout import (
    ALARMS,
    BASE_EVALUATION,
    CHECKPOINTS,
    EVALUATION,
    LOOK,
    METRICS,
    PARAMETERS,
    REASONS,
    REPORT_PAGE,
    ROLLOUTS,
    RUN_FILE,
    RUN_MODEL,
    RUN_RECIPE,
    SUPERSEDED,
    TENSORBOARD,
)
from vrft_aug.run.logs import read_lines

# The recipe is the last that --overwrite removes: a folder is a run for as long as it has one.
OURS = (
    METRICS,
    ROLLOUTS,
    ALARMS,
    PARAMETERS,
    TENSORBOARD,
    CHECKPOINTS,
    SUPERSEDED,
    EVALUATION,
    BASE_EVALUATION,
    LOOK,
    REASONS,
    REPORT_PAGE,
    RUN_MODEL,
    RUN_FILE,
    RUN_RECIPE,
)


def is_new_run(run: Path, resume: bool, overwrite: bool) -> bool:
    """Whether the run starts anew (True) or goes on (False); nothing is changed yet.

    Raises UserError for a folder that holds something else, and for an existing run with neither `resume` nor
    `overwrite`. What a run that goes on keeps is decided by `resume.plan_resume`.
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
