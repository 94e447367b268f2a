"""A study from its file to its page: what has finished is kept, what is left is run, all of it is shown."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from vrft_aug.errors import UserError
from vrft_aug.evaluation.factor_effects import Levels, study_figures
from vrft_aug.evaluation.report_data import Report, load_report
from vrft_aug.experiments.baselines import rollouts
from vrft_aug.experiments.study.cells import Cell, study_cells
from vrft_aug.experiments.study.local_cells import run_local
from vrft_aug.experiments.study.slurm_cells import run_slurm
from vrft_aug.experiments.study.study_file import Study
from vrft_aug.files import write_text
from vrft_aug.report.measured_study import Measured, measured_page
from vrft_aug.report.run_data import read_run
from vrft_aug.report.study_page import CellRun, write_study
from vrft_aug.run.layout import EVALUATION
from vrft_aug.run.lock import run_locked

CELLS = "cells.json"  # in the folder of a study: cell -> the hash of its recipe, as it was last run
WORK = "work"  # recipes and logs of the cells
Say = Callable[[str], None]


@dataclass(frozen=True)
class Places:
    """Where a study lies, and where its runs do, which other studies may share."""

    study: Path
    runs: Path


def run_study(study: Study, places: Places, jobs: int, slurm: bool, anew: bool, say: Say) -> list[CellRun]:
    """Run what is left of a study, write its page after every cell that ends, and give those that failed.

    Raises UserError, before anything runs, for a cell that cannot be, and where the recipe of a finished cell
    has changed since (unless `anew`).
    """
    cells = study_cells(study, places.runs)
    check_unchanged(cells, places.study, anew)
    with run_locked(places.study, "vrft study"):
        write_text(places.study / CELLS, json.dumps(_hashes(cells), indent=1) + "\n")
        failed: dict[Path, str] = {}
        left = {cell.run: cell for cell in cells if not cell.finished}
        say(f"{study.name}: {_counted(cells)}")
        done = 0

        def tell(cell: Cell, reason: str) -> None:
            nonlocal done
            done += 1
            say(f"{done}/{len(left)} {cell.called}: {f'FAILED: {reason}' if reason else cell.run}")
            if reason:
                failed[cell.run] = reason
            write_study_page(study, cells, failed, places)

        work = places.study / WORK
        work.mkdir(parents=True, exist_ok=True)
        if slurm:
            run_slurm(list(left.values()), work, jobs, tell, study.slurm)
        else:
            run_local(list(left.values()), work, jobs, tell)
        if not left:  # else the last cell that ended has written it
            write_study_page(study, cells, failed, places)
    return [
        CellRun(cell.levels, cell.seed, cell.run, failed[cell.run]) for cell in cells if cell.run in failed
    ]


def write_study_page(study: Study, cells: Sequence[Cell], failed: dict[Path, str], places: Places) -> Path:
    """The page and the tables of what has finished so far."""
    runs = _reports(cells)
    shown = []
    for cell in cells:
        if cell.finished:
            shown.append(CellRun(cell.levels, cell.seed, cell.run))
        elif cell.run in failed:
            shown.append(CellRun(cell.levels, cell.seed, cell.run, failed[cell.run]))
    figures = study_figures(study.levels(), runs, study.metrics) if runs else None
    return write_study(
        places.study, study.name, study.question, figures, shown, len({cell.run for cell in cells})
    )


def write_measured(study: Study, source: str, places: Places, output: Path) -> None:
    """A page in Markdown of what has finished, which says where nothing has; nothing is run.

    `source` is what the command line calls the study. Raises UserError for a cell that cannot be.
    """
    cells = study_cells(study, places.runs)
    check_unchanged(cells, places.study, anew=False)
    runs, finished = _reports(cells), {cell.run for cell in cells if cell.finished}
    seconds = sum(CellRun((), 0, run).seconds for run in finished)
    told = Measured(
        source=source,
        page=output.as_posix(),
        question=study.question,
        recipe=Path(study.recipe).name,  # of a file not where it lies here
        seeds=len(study.seeds),
        planned=len({cell.run for cell in cells}),
        finished=len(finished),
        seconds=seconds,
        figures=study_figures(study.levels(), runs, study.metrics) if runs else None,
        also=study.also,
        reports=runs,
    )
    write_text(output, measured_page(told))


def _reports(cells: Sequence[Cell]) -> dict[Levels, dict[int, Report]]:
    """The evaluations of the cells that have finished."""
    runs: dict[Levels, dict[int, Report]] = {}
    for cell in cells:
        if cell.finished:
            runs.setdefault(cell.levels, {})[cell.seed] = load_report(cell.run / EVALUATION)
    return runs


def check_unchanged(cells: Sequence[Cell], folder: Path, anew: bool) -> None:
    """UserError where a finished cell of the folder had another recipe; with `anew` the new one counts."""
    path = folder / CELLS
    if anew or not path.is_file():
        return
    try:
        before = json.loads(path.read_text(encoding="utf-8"))
    except ValueError:
        raise UserError(f"{path} is not valid JSON; remove it, or give another --output") from None
    for cell in cells:
        then = before.get(_key(cell), cell.run.name)
        if then != cell.run.name and replace(cell, run=cell.run.parent / then).finished:
            raise UserError(
                f"cell {cell.called} was finished with another recipe ({then}, now {cell.run.name}); give "
                "another --output to keep that study, or --overwrite to run the changed cells in this one"
            )


def dry_run(study: Study, places: Places) -> list[str]:
    """What would be run, and for how long as far as finished cells tell; nothing is written."""
    cells = study_cells(study, places.runs)
    check_unchanged(cells, places.study, anew=False)
    factors = ", ".join(f"{factor} ({', '.join(levels)})" for factor, levels in study.levels().items())
    lines = [f"{study.name}: {study.question}" if study.question else study.name, f"factors: {factors}"]
    for cell in cells:
        state = "finished" if cell.finished else "to run"
        lines.append(f"  {cell.called}: {rollouts(cell.recipe):,} completions, {state}, {cell.run}")
    return [*lines, _counted(cells), _hours(cells)]


def _counted(cells: Sequence[Cell]) -> str:
    """Trainings, not cells: two cells may ask for the same one."""
    runs = {cell.run: cell.finished for cell in cells}
    done = sum(runs.values())
    return f"{len(runs)} trainings, {done} finished, {len(runs) - done} to run"


def _hours(cells: Sequence[Cell]) -> str:
    """From the seconds a completion that finished cells took; those of training alone."""
    left = {cell.run: cell for cell in cells if not cell.finished}.values()
    trained = {cell.run: cell for cell in cells if cell.finished and cell.recipe.stages}
    counted = sum(rollouts(cell.recipe) for cell in trained.values())
    stages = [stage for run in trained for stage in read_run(run).stages.values()]
    seconds = sum(float(stage.get("seconds", 0.0)) for stage in stages)
    if not left:
        return "nothing is left to run"
    if not counted or not seconds:
        return "hours: none of its cells has finished yet; `vrft plan RECIPE` estimates one of them"
    hours = seconds / counted * sum(rollouts(cell.recipe) for cell in left) / 3600
    return f"about {hours:.1f} hours of training, at the pace of the cells that have finished"


def _hashes(cells: Sequence[Cell]) -> dict[str, str]:
    return {_key(cell): cell.run.name for cell in cells}


def _key(cell: Cell) -> str:
    return json.dumps([*cell.levels, cell.seed])
