"""The page of one model's evaluations by several recipes, or on several tasks of one."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from vrft_aug.evaluation.meanings import headline
from vrft_aug.evaluation.metrics.catalogue import drawn_units
from vrft_aug.evaluation.report_data import Report
from vrft_aug.evaluation.report_sets import all_cautions
from vrft_aug.evaluation.slice_table import slice_table
from vrft_aug.report.page import write_page


def write_evaluations(path: Path, model: str, reports: Mapping[str, Report]) -> Path:
    """Write one page on all evaluations, by their names, and return its path."""
    context = {
        "title": model,
        "kicker": "VRFT-Aug evaluation",
        "notes": [],
        "cautions": all_cautions(reports),
        "reports": reports,
        "sliced": slice_table(reports),
        "headline": headline,
        "units": drawn_units,
    }
    return write_page(path, "evaluations.html", context)
