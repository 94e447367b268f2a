"""The page of a run and the page of several arms: one HTML file each, nothing loaded from elsewhere.

All text is escaped (jinja2's autoescape), and the page forbids itself scripts and the network.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from vrft_aug.errors import UserError
from vrft_aug.evaluation.cautions import cautions
from vrft_aug.evaluation.comparison import Comparison, compare
from vrft_aug.evaluation.meanings import headline
from vrft_aug.evaluation.metrics.catalogue import REASONS, drawn_units
from vrft_aug.evaluation.report_data import Report
from vrft_aug.evaluation.slice_table import cell_lines, slice_table
from vrft_aug.files import write_text
from vrft_aug.nouns import ABSTAINED, Case
from vrft_aug.page_templates import page_templates
from vrft_aug.report import plots
from vrft_aug.report.look_section import look_section
from vrft_aug.report.run_data import (
    Run,
    cases_of,
    judged_of,
    knowledge_notes,
    read_run,
    reasons_of,
    reward_warnings,
    rewards_of,
    rollouts_of,
)
from vrft_aug.report.run_facts import card, minutes, provenance, timeline
from vrft_aug.report.samples import extremes, run_samples, shared_samples
from vrft_aug.report.training_curves import (
    Series,
    other_panels,
    stage_panels,
    stages_logged,
    terms_over_rollouts,
)
from vrft_aug.run.layout import REPORT_PAGE

if TYPE_CHECKING:
    from jinja2 import Environment

START, RUN = "start model", "this run"  # of the comparison on the page of a run


def write_report(run: Path, cases: Mapping[str, Case] | None = None) -> Path:
    """Write report.html into a run folder, from the files there, and return its path.

    Pictures come from `cases` (by id), else from the data that the recipe names; the page goes without where
    that is not at hand. Raises UserError where the folder holds no run.
    """
    found = read_run(run)
    report = found.report
    known, missing = (cases, "") if cases is not None else cases_of(found)
    curves = [
        (
            stage,
            plots.learning_curves(stage_panels(found.lines, stage), "step", f"Learning curves of {stage}"),
            plots.learning_curves(other_panels(found.lines, stage), "step", f"Further monitors of {stage}"),
        )
        for stage in stages_logged(found.lines)
    ]
    context: dict[str, Any] = {
        "title": found.recipe.name,
        "kicker": "VRFT-Aug run",
        "notes": knowledge_notes(found.recipe),
        "cautions": [*reward_warnings(found.recipe), *(cautions(report) if report is not None else [])],
        "run": found,
        "report": report,
        "curves": curves,
        "timeline": timeline(found),
        "provenance": provenance(found),
        "card": card(found),
        "samples": [],
        "look": look_section(found, known),
        "reasons": reasons_of(found),
    }
    if report is not None:
        context |= {
            "headline": headline(report.kind, report.metrics),
            "meanings": report.meanings,
            "class_metrics": list(next(iter(report.per_class.values()), {})),
            "judged": judged_of(found),
            "gained": _gained(found.start, report),
            "units": drawn_units(report.rows),
            "sliced": slice_table({report.task: report}),
            "failures": [(reason, metric) for reason, metric in report.failures.items() if metric.value],
            "votes": plots.votes(report),
            "confidence": plots.confidence(report),
            "froc": plots.froc(report),
            "best_and_worst": extremes(report, known),
            "samples": run_samples(report, known),
            "boxed": _boxed(report),
            "no_pictures": missing,
            "modality": found.recipe.tasks[report.task].modality if report.task in found.recipe.tasks else "",
        }
    return write_page(run / REPORT_PAGE, "run.html", context)


def write_comparison(
    path: Path, title: str, arms: Mapping[str, list[Path]], cases: Mapping[str, Case] | None = None
) -> Path:
    """Write a page of arms side by side; each arm is one or more run folders (training seeds).

    Raises UserError where a run has no evaluation, or the arms were evaluated on different cases.
    """
    runs = {arm: [read_run(folder) for folder in folders] for arm, folders in arms.items()}
    reports = {arm: [_report_of(run) for run in of_arm] for arm, of_arm in runs.items()}
    first_run, first = next((run[0], reports[arm][0]) for arm, run in runs.items())
    known, missing = (cases, "") if cases is not None else cases_of(first_run)
    compared = compare(reports)
    recipes = [run.recipe for of_arm in runs.values() for run in of_arm]
    context = {
        "title": title,
        "kicker": "VRFT-Aug comparison",
        "notes": list(dict.fromkeys(note for recipe in recipes for note in knowledge_notes(recipe))),
        "cautions": [
            *dict.fromkeys(warning for recipe in recipes for warning in reward_warnings(recipe)),
            *_cautions(runs, reports),
        ],
        "arms": runs,
        "first": first,
        "most_runs": max(map(len, runs.values())),
        "units": drawn_units(first.rows),
        "compared": compared,
        "meanings": compared.meanings,
        "pairs": len(compared.differences),
        "metric_names": list(dict.fromkeys(name for arm in compared.arms.values() for name in arm)),
        "colours": {arm: plots.arm_colour(list(arms), arm) for arm in arms},
        "forest": plots.forest(compared, "Headline metrics of all arms with intervals"),
        "reasons": _reasons(reports),
        "failures": {arm: _failure_counts(of_arm) for arm, of_arm in reports.items()},
        "confusions": _confusions(reports),
        "curves": plots.arm_curves(_curves(runs), list(arms), "Reward terms of all arms over training"),
        "samples": shared_samples({arm: of_arm[0] for arm, of_arm in reports.items()}, known),
        "boxed": _boxed(first),
        "no_pictures": missing,
        "modality": first_run.recipe.tasks[first.task].modality
        if first.task in first_run.recipe.tasks
        else "",
        "versions": ", ".join(f"{name} {version}" for name, version in first.provenance.versions.items()),
    }
    return write_page(path, "comparison.html", context)


def _gained(start: Report | None, report: Report) -> Comparison | None:
    """The run beside the model that it started from; None where that answered other cases, or none."""
    if start is None or {row.case for row in start.rows} != {row.case for row in report.rows}:
        return None
    return compare({START: [start], RUN: [report]})


def _cautions(runs: Mapping[str, list[Run]], reports: Mapping[str, list[Report]]) -> list[str]:
    """What to know first of every run, by arm and seed."""
    return [
        f"{arm}, seed {run.recipe.seed}: {caution}"
        for arm, of_arm in runs.items()
        for run, report in zip(of_arm, reports[arm], strict=True)
        for caution in cautions(report)
    ]


def write_page(path: Path, template: str, context: Mapping[str, Any]) -> Path:
    """Render a template of this room into a file, whole or not at all, and return its path."""
    write_text(path, _environment().get_template(template).render(context))
    return path


def _environment() -> Environment:
    environment = page_templates("report")
    environment.globals.update(
        rewards_of=rewards_of,
        rollouts_of=rollouts_of,
        minutes=minutes,
        signed=_signed,
        cell_lines=cell_lines,
        place=lambda value: round(100 * min(1.0, max(0.0, value)), 2),
    )
    return environment


def _report_of(run: Run) -> Report:
    if run.report is None:
        raise UserError(f"run {run.folder} has no evaluation; run `vrft evaluate {run.folder}` first")
    return run.report


def _boxed(report: Report) -> bool:
    return any(row.true_boxes or row.boxes for row in report.rows)


def _reasons(reports: Mapping[str, list[Report]]) -> list[str]:
    """Why there may be no answer; abstentions only where there are any."""
    abstained = any(ABSTAINED in one.failures for of_arm in reports.values() for one in of_arm)
    return [reason for reason in REASONS if abstained or reason != ABSTAINED]


def _failure_counts(reports: list[Report]) -> dict[str, int]:
    return {reason: sum(row.reason == reason for one in reports for row in one.rows) for reason in REASONS}


def _confusions(reports: Mapping[str, list[Report]]) -> dict[str, list[list[int]]]:
    matrices = {arm: [one.confusion for one in of_arm if one.confusion] for arm, of_arm in reports.items()}
    return {arm: np.sum(matrix, axis=0).tolist() for arm, matrix in matrices.items() if matrix}


def _curves(runs: Mapping[str, list[Run]]) -> dict[str, dict[str, list[Series]]]:
    """Reward term -> arm -> a series for every seed that logged it."""
    terms: dict[str, dict[str, list[Series]]] = {}
    for arm, of_arm in runs.items():
        for run in of_arm:
            for term, series in terms_over_rollouts(run.lines, run.recipe).items():
                terms.setdefault(term, {}).setdefault(arm, []).append(series)
    return terms


def _signed(value: float | None) -> str:
    """Two digits with a sign, a true minus, and no sign at what rounds to zero."""
    if value is None:
        return "–"
    text = f"{value:+.2f}"
    return "0.00" if float(text) == 0 else text.replace("-", "\N{MINUS SIGN}")
