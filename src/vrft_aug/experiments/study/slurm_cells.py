"""Cells as jobs of a Slurm cluster, by the library submitit; its settings pass through."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from vrft_aug.errors import UserError
from vrft_aug.experiments.arm_run import run_arm
from vrft_aug.experiments.study.cells import Cell
from vrft_aug.experiments.study.local_cells import Tell, recipe_of
from vrft_aug.experiments.study.one_cell import WHO
from vrft_aug.recipe.file import load_recipe

PAUSE = 5.0  # seconds between two looks


def run_slurm(
    cells: Sequence[Cell],
    work: Path,
    jobs: int,
    tell: Tell,
    settings: Mapping[str, Any],
    cluster: str = "slurm",
    pause: float = PAUSE,
) -> None:
    """Submit the cells, at most `jobs` at a time, and `tell` how each ended; logs lie in `work`.

    `settings` are submitit's (timeout_min, slurm_partition, gpus_per_node, ...). Raises UserError where
    submitit is not installed, or refuses a setting.
    """
    try:
        import submitit
    except ImportError:
        raise UserError("Slurm needs the library submitit: pip install 'vrft-aug[slurm]'") from None
    executor = submitit.AutoExecutor(folder=work / "jobs", cluster=cluster)
    try:
        executor.update_parameters(name="vrft-study", **settings)
    except (NameError, TypeError, ValueError) as error:
        raise UserError(f"slurm of the study: submitit refuses it: {' '.join(str(error).split())}") from None
    waiting, running = list(cells), list[tuple[Cell, Any]]()
    while waiting or running:
        while waiting and len(running) < jobs:
            cell = waiting.pop(0)
            running.append((cell, executor.submit(run_file, recipe_of(cell, work), cell.run.absolute())))
        for cell, job in list(running):
            if job.done():
                running.remove((cell, job))
                tell(cell, "" if cell.finished else _reason(job))
        if running:
            time.sleep(pause)


def run_file(recipe: Path, run: Path) -> None:
    """What a job calls."""
    run_arm(load_recipe(str(recipe)), run, WHO)


def _reason(job: Any) -> str:
    """Why a job has left no finished run: the last line of its error, or of its log."""
    error = job.exception()
    lines = [line.strip() for line in str(error or "").split("\n") if line.strip()]
    return (lines[-1] if lines else "the job ended without a finished run")[:300]
