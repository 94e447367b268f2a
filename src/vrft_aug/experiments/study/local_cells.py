"""Cells as processes of this machine, some at a time; one that fails is told and the others go on."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from vrft_aug.experiments.study.cells import Cell
from vrft_aug.recipe.file import save_recipe

Tell = Callable[[Cell, str], None]  # a cell, and what became of it: "" for finished, else the reason
ONE_CELL = (sys.executable, "-m", "vrft_aug.experiments.study.one_cell")
PAUSE = 0.2  # seconds between two looks


def run_local(cells: Sequence[Cell], work: Path, jobs: int, tell: Tell) -> None:
    """Run the cells, at most `jobs` at a time with an equal share of the cores, and `tell` how each ended.

    Recipes and logs lie in `work`. When this process ends, however it ends, its cells end too; a later call
    goes on with them.
    """
    waiting, running = list(cells), list[tuple[Cell, subprocess.Popen[bytes]]]()
    threads = str(max(1, (os.cpu_count() or 1) // jobs))
    try:
        while waiting or running:
            while waiting and len(running) < jobs:
                cell = waiting.pop(0)
                running.append((cell, _start(cell, work, threads)))
            for cell, process in list(running):
                if process.poll() is not None:
                    running.remove((cell, process))
                    tell(cell, "" if cell.finished else reason(log_of(cell, work), process.returncode))
            time.sleep(PAUSE)
    finally:
        for _, process in running:
            process.terminate()
        for _, process in running:
            process.wait()


def recipe_of(cell: Cell, work: Path) -> Path:
    """The file with a cell's resolved recipe, called as its run is, written anew."""
    path = work / f"{cell.run.name}.yaml"
    path.parent.mkdir(parents=True, exist_ok=True)
    save_recipe(cell.recipe, path)
    return path


def log_of(cell: Cell, work: Path) -> Path:
    """Where what the process of a cell says is kept."""
    return work / f"{cell.run.name}.log"


def reason(log: Path, code: int) -> str:
    """Why a process ended: its last line, or the signal that ended it."""
    lines = log.read_text(encoding="utf-8", errors="replace").split("\n") if log.is_file() else []
    last = next((line.strip() for line in reversed(lines) if line.strip()), "")
    if code < 0:
        return f"ended by signal {-code}"
    return last.removeprefix("error: ")[:300] or f"ended with code {code}"


def _start(cell: Cell, work: Path, threads: str) -> subprocess.Popen[bytes]:
    command = [*ONE_CELL, str(recipe_of(cell, work)), str(cell.run)]
    environment = {"OMP_NUM_THREADS": threads, **os.environ, "VRFT_STUDY_PROCESS": str(os.getpid())}
    with log_of(cell, work).open("wb") as log:
        return subprocess.Popen(
            command, stdout=log, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, env=environment
        )
