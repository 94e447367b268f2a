"""Reports of several evaluations by their names: one JSON file of all, and what is to be said of them."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path

from pydantic import TypeAdapter

from vrft_aug.errors import UserError
from vrft_aug.evaluation.cautions import cautions
from vrft_aug.evaluation.report_data import Report
from vrft_aug.files import write_text

KEY = "evaluations"  # of the JSON file


def save_reports(reports: Mapping[str, Report], path: Path) -> None:
    """Write all reports into one JSON file, whole or not at all."""
    write_text(path, _json().dump_json({KEY: dict(reports)}, indent=1).decode() + "\n")


def load_reports(path: Path) -> dict[str, Report]:
    """Read what `save_reports` wrote, UserError where it is something else."""
    try:
        return _json().validate_json(path.read_bytes())[KEY]
    except (OSError, ValueError, KeyError):
        raise UserError(
            f"{path} cannot be read; expected what `vrft evaluate` of several recipes writes"
        ) from None


def all_cautions(reports: Mapping[str, Report]) -> list[str]:
    """The cautions on every report, with its name where there are several."""
    lead = {name: f"{name}: " if len(reports) > 1 else "" for name in reports}
    return [f"{lead[name]}{said}" for name, report in reports.items() for said in cautions(report)]


@cache
def _json() -> TypeAdapter[dict[str, dict[str, Report]]]:
    return TypeAdapter(dict[str, dict[str, Report]])
