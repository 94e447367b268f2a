"""Evaluations as others may read them: every figure with its interval, and no case."""

from __future__ import annotations

from dataclasses import replace

from vrft_aug.evaluation.look.look_report import Look
from vrft_aug.evaluation.provenance import Provenance
from vrft_aug.evaluation.report_data import Report
from vrft_aug.export.private import Private

FEWEST = 10  # cases of a subgroup that is told: in fewer, single patients may be known


def public_report(report: Report, model: str, private: Private) -> Report:
    """The report without its cases; `model` is what others know it by."""
    return replace(
        report,
        rows=(),
        slices=tuple(one for one in report.slices if one.cases >= FEWEST),
        notes=tuple(private.silent(report.notes)),
        provenance=_public(report.provenance, model),
    )


def public_look(look: Look, model: str, private: Private) -> Look:
    """The look without its cases and their other pictures."""
    return replace(
        look,
        rows={},
        made=(),
        notes=tuple(private.silent(look.notes)),
        provenance=_public(look.provenance, model),
    )


def _public(provenance: Provenance, model: str) -> Provenance:
    return replace(provenance, model_name=model)
