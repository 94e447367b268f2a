"""The demo: the method and its baselines on two modalities of drawn pictures, on a CPU in minutes."""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path

from rich.console import Console

from vrft_aug.errors import UserError
from vrft_aug.evaluation.cautions import cautions
from vrft_aug.evaluation.comparison import Comparison, compare
from vrft_aug.evaluation.provenance import hash_folder
from vrft_aug.evaluation.report_data import load_report
from vrft_aug.evaluation.tables import arms_table
from vrft_aug.experiments.demo_arms import ARMS, MODALITIES, OURS, Modality
from vrft_aug.experiments.demo_words import demo_markdown
from vrft_aug.experiments.study.cells import Cell
from vrft_aug.experiments.study.local_cells import run_local
from vrft_aug.files import write_text
from vrft_aug.recipe.file import load_recipe
from vrft_aug.recipe.model_folder import TINY_FOLDER
from vrft_aug.report.demo_page import Shown, write_demo
from vrft_aug.report.page import write_comparison
from vrft_aug.run.layout import EVALUATION, REPORT_PAGE, RUN_RECIPE

WORK = "work"  # recipes and logs of the arms


def run_demo(
    output: Path,
    seeds: int = 1,
    overwrite: bool = False,
    markdown: Path | None = None,
    jobs: int | None = None,
) -> Path:
    """Train and evaluate every arm, print the tables, and write the comparison to `output/report.html`.

    `jobs` arms run at a time (default: two where there are two cores). Arms that an earlier, interrupted demo
    finished are kept unless `overwrite`. `markdown` also writes the tables there, as docs/measured/demo.md.
    Returns the page. Raises UserError where `output` holds other runs, and where an arm fails.
    """
    console = Console()
    cells = demo_cells(output, seeds)
    if overwrite:
        for cell in cells:
            shutil.rmtree(cell.run, ignore_errors=True)
    check_same(cells)
    _run(cells, output / WORK, jobs or min(2, os.cpu_count() or 1), console)
    shown = [_compared(modality, output, seeds) for modality in MODALITIES]
    for one in shown:
        console.print(f"\n[bold]{one.title}[/]")
        console.print(arms_table(one.compared))
        console.print("\n".join([*one.sentences, *one.cautions]), soft_wrap=True, markup=False)
    page = write_demo(output / REPORT_PAGE, shown, {arm.name: arm.parts for arm in ARMS})
    if markdown is not None:
        write_text(markdown, demo_markdown(shown, seeds))
    console.print(f"\nReport: {page}")
    return page


def demo_cells(output: Path, seeds: int) -> list[Cell]:
    """All trainings of the demo, by seed; an arm that trains nothing is there for one seed."""
    return [
        Cell((modality.name, arm.name), seed, arm.recipe(modality, seed), run, f"{modality.name}, {arm.name}")
        for seed in range(seeds)
        for modality in MODALITIES
        for arm in ARMS
        if arm.trained or seed == 0
        for run in [_folder(output, modality, arm.name, seed)]
    ]


def check_same(cells: list[Cell]) -> None:
    """UserError where a folder holds a run of another recipe or start model, as of an earlier version."""
    for cell in cells:
        if not (cell.run / RUN_RECIPE).is_file():
            continue
        same = load_recipe(str(cell.run / RUN_RECIPE)) == cell.recipe
        if same and cell.finished and not cell.recipe.stages:  # it was judged as it is
            same = load_report(cell.run / EVALUATION).provenance.model == hash_folder(TINY_FOLDER)
        if not same:
            raise UserError(
                f"{cell.run} holds a run of another recipe or start model than this demo's; give another "
                "--output to keep it, or --overwrite to run the demo anew"
            )


def _run(cells: list[Cell], work: Path, jobs: int, console: Console) -> None:
    left = [cell for cell in cells if not cell.finished]
    if kept := len(cells) - len(left):
        console.print(f"{kept} of {len(cells)} runs are done and kept")
    if not left:
        return
    at_a_time = "one after the other" if jobs == 1 else f"{jobs} at a time"
    console.print(f"{len(left)} runs, {at_a_time}; logs are in {work}")
    failed: dict[str, str] = {}
    started = time.monotonic()

    def tell(cell: Cell, reason: str) -> None:
        minutes, seconds = divmod(round(time.monotonic() - started), 60)
        console.print(f"{minutes:2d}:{seconds:02d} {cell.called}: {reason or cell.run}", highlight=False)
        if reason:
            failed[cell.called] = reason

    work.mkdir(parents=True, exist_ok=True)
    run_local(left, work, jobs, tell)
    if failed:
        name, reason = next(iter(failed.items()))
        raise UserError(f"{len(failed)} of the demo's runs failed, the first: {name}: {reason}")


def _compared(modality: Modality, output: Path, seeds: int) -> Shown:
    runs = {
        arm.name: [_folder(output, modality, arm.name, seed) for seed in range(seeds if arm.trained else 1)]
        for arm in ARMS
    }
    reports = {name: [load_report(run / EVALUATION) for run in folders] for name, folders in runs.items()}
    recipe = load_recipe(modality.recipe)
    task = recipe.tasks[recipe.evaluation.task]
    title = f"{(task.modality or modality.name).capitalize()}: {task.question}"
    page = write_comparison(output / f"{modality.name}.html", f"VRFT-Aug demo, {modality.name}", runs)
    compared: Comparison = compare(reports)
    cases = len(next(iter(reports.values()))[0].rows)
    told = [
        f"{name}, seed {seed}: {caution}"
        for name, of_arm in reports.items()
        for seed, report in enumerate(of_arm)
        for caution in cautions(report)
    ]
    return Shown(modality.name, title, compared, OURS, modality.metric, cases, page, told)


def _folder(output: Path, modality: Modality, arm: str, seed: int) -> Path:
    return output / f"{modality.name}-{arm.lower().replace(' ', '-')}-{seed}"
