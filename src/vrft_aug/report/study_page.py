"""The page of a study and its tables: what each factor does, and where every figure comes from."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vrft_aug.evaluation.factor_effects import CellFigures, Effect, Levels, StudyFigures
from vrft_aug.files import write_text
from vrft_aug.report.effect_plots import effect_forest
from vrft_aug.report.page import write_page
from vrft_aug.report.run_data import read_run
from vrft_aug.run.layout import REPORT_PAGE


@dataclass(frozen=True)
class CellRun:
    """A training of a study, finished or not."""

    levels: Levels
    seed: int
    run: Path
    failed: str = ""  # why it has not finished; "" where it has, or was not tried

    @property
    def seconds(self) -> float:
        """That its stages trained for."""
        return sum(float(stage.get("seconds", 0.0)) for stage in read_run(self.run).stages.values())


def write_study(
    folder: Path,
    title: str,
    question: str,
    figures: StudyFigures | None,
    runs: Sequence[CellRun],
    planned: int,
) -> Path:
    """Write report.html, cells.csv and effects.csv into the folder of a study; gives the page.

    `figures` are None where nothing has finished; `planned` counts the trainings of the whole study,
    of which several cells may share one.
    """
    finished = [run for run in runs if not run.failed]
    seconds = {run.run: run.seconds for run in finished}
    links = {run.run: os.path.relpath(run.run / REPORT_PAGE, folder) for run in finished}
    if figures is not None:
        write_text(folder / "cells.csv", _cells_csv(figures, finished, seconds, links))
        write_text(folder / "effects.csv", _effects_csv(figures))
    context: dict[str, Any] = {
        "title": title,
        "kicker": "VRFT-Aug study",
        "notes": _notes(figures, len(seconds), planned),
        "cautions": [],
        "question": question,
        "figures": figures,
        "sentences": sentences(figures) if figures is not None else [],
        "forest": effect_forest(figures, "Effects with intervals") if figures is not None else "",
        "runs": finished,
        "of_cell": _by_cell(finished),
        "links": {run: link.replace(os.sep, "/") for run, link in links.items()},
        "failed": [run for run in runs if run.failed],
        "hours": sum(seconds.values()) / 3600,
        "by_metric": _by_metric(figures),
    }
    return write_page(folder / REPORT_PAGE, "study.html", context)


def sentences(figures: StudyFigures) -> list[str]:
    """What the study shows and what it does not, in words: effects that stay apart from zero after Holm."""
    tested = [(e, e.test) for e in figures.effects if e.test is not None]
    if not tested:
        return ["The cells that have finished tell no effect yet."]
    clear = [(e, test) for e, test in tested if test.adjusted < 0.05]
    told = [f"{effect_words(e, figures)} (Holm p {test.adjusted:.3f})" for e, test in clear]
    corrected = f"corrected for {len(tested)} tests"
    shows = (
        f"Apart from zero, {corrected}: {'; '.join(told)}."
        if told
        else f"No effect is apart from zero, {corrected}."
    )
    alone = sum(test.p < 0.05 <= test.adjusted for _, test in tested)
    return [shows, f"{alone} more are apart from zero taken alone; some are by chance."] if alone else [shows]


def effect_words(effect: Effect, figures: StudyFigures) -> str:
    """Such as `knowledge: on, Accuracy +0.21 [0.15, 0.27]`."""
    title = figures.meanings[effect.metric].title
    range_ = "" if effect.low is None else f" [{effect.low:.2f}, {effect.high:.2f}]"
    return f"{effect.contrast.name}, {title} {effect.value:+.2f}{range_}"


def _notes(figures: StudyFigures | None, finished: int, planned: int) -> list[str]:
    notes = [f"{finished} of {planned} trainings have finished."] if finished < planned else []
    if figures is not None and all(len(cell.seeds) == 1 for cell in figures.cells):
        notes.append("One training a cell: the luck of training is in no interval.")
    return notes


def _by_cell(runs: Sequence[CellRun]) -> dict[Levels, list[CellRun]]:
    found: dict[Levels, list[CellRun]] = {}
    for run in runs:
        found.setdefault(run.levels, []).append(run)
    return found


def _by_metric(figures: StudyFigures | None) -> dict[str, list[Effect]]:
    if figures is None:
        return {}
    return {name: [e for e in figures.effects if e.metric == name] for name in figures.metrics}


def _cells_csv(
    figures: StudyFigures,
    runs: Sequence[CellRun],
    seconds: Mapping[Path, float],
    links: Mapping[Path, str],
) -> str:
    """A row a training, with its own figures."""
    cells: dict[Levels, CellFigures] = {cell.levels: cell for cell in figures.cells}
    out = io.StringIO()
    table = csv.writer(out, lineterminator="\n")
    table.writerow([*figures.factors, "seed", "seconds", "report", *figures.metrics])
    for run in runs:
        values = [cells[run.levels].of_seed[name][run.seed] for name in figures.metrics]
        table.writerow([*run.levels, run.seed, round(seconds[run.run], 1), links[run.run], *values])
    return out.getvalue()


def _effects_csv(figures: StudyFigures) -> str:
    out = io.StringIO()
    table = csv.writer(out, lineterminator="\n")
    table.writerow(
        ["effect", "kind", "metric", "value", "low", "high", "case_error", "training_error", "seeds",
         "settings", "p", "holm_p"]
    )  # fmt: skip
    for e in figures.effects:
        tests = [e.test.p, e.test.adjusted] if e.test is not None else ["", ""]
        table.writerow(
            [e.contrast.name, e.contrast.kind, e.metric, e.value, e.low, e.high, e.case_error,
             e.training_error, e.seeds, e.contrast.settings, *tests]
        )  # fmt: skip
    return out.getvalue()
