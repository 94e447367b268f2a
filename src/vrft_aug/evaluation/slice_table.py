"""Results by what the data says of the questions, of one evaluation or of several beside each other."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from rich.table import Table
from rich.text import Text

from vrft_aug.evaluation.metrics.question_slices import ALL, Slice
from vrft_aug.evaluation.report_data import Report


@dataclass(frozen=True)
class SliceTable:
    """A column for every form of question of every evaluation, a row for all and for each facet's value."""

    columns: tuple[str, ...]
    rows: tuple[tuple[str, tuple[Slice | None, ...]], ...]  # such as "language: en" -> its slices, by column


def slice_table(reports: Mapping[str, Report]) -> SliceTable | None:
    """The table of evaluations by their names; None where the data of none says anything of its questions.

    Rows that several evaluations share (a language, a modality) stand there once.
    """
    columns: dict[tuple[str, str], str] = {}
    cells: dict[tuple[str, str], dict[tuple[str, str], Slice]] = {}
    for name, report in reports.items():
        for one in report.slices:
            form = "choice" if report.kind == "choice" else one.form
            columns.setdefault((name, form), f"{name}: {form}" if len(reports) > 1 else form)
            cells.setdefault((one.facet, one.value), {})[name, form] = one
    if not cells:
        return None
    rows = sorted(cells.items(), key=lambda item: list(_facets(reports)).index(item[0][0]))
    return SliceTable(
        tuple(columns.values()),
        tuple(
            (f"{facet}: {value}" if facet else ALL, tuple(found.get(column) for column in columns))
            for (facet, value), found in rows
        ),
    )


def _facets(reports: Mapping[str, Report]) -> dict[str, None]:
    return dict.fromkeys(one.facet for report in reports.values() for one in report.slices)


def cell_lines(one: Slice | None) -> list[str]:
    """What a cell says: accuracy with its interval, token F1 of open answers, blind baselines, n."""
    if one is None:
        return ["–"]
    lines = [str(one.metrics["accuracy"])]
    if (shared := one.metrics.get("token_f1")) is not None and one.form != "closed":
        lines.append(f"F1 {shared.value_text}")
    blind = [
        f"{what} {one.metrics[name].value_text}"
        for name, what in (("frequent_accuracy", "frequent"), ("text_only_accuracy", "blank"))
        if name in one.metrics
    ]
    return [*lines, *blind, f"n {one.cases}"]


def terminal_table(table: SliceTable) -> Table:
    """For the terminal."""
    note = "Accuracy [95 %], blind baselines: frequent training answer, blank picture"
    shown = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), caption=Text(note), caption_justify="left")
    shown.add_column("Questions")
    for column in table.columns:
        shown.add_column(Text(column, justify="right"), justify="right")
    for name, found in table.rows:
        shown.add_row(Text(name), *(Text("\n".join(cell_lines(one))) for one in found))
    return shown
