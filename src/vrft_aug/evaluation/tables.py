"""Reports side by side as text: for the terminal and for markdown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rich.table import Table
from rich.text import Text

from vrft_aug.evaluation.comparison import compare
from vrft_aug.evaluation.report_data import Report
from vrft_aug.evaluation.statistics import HEADLINES, MEANINGS

Arms = Mapping[str, Report | Sequence[Report]]  # an arm is a report, or one for each training seed


def format_table(arms: Arms) -> Table:
    """A line an arm and a column a headline metric, to be printed with rich."""
    header, lines = _cells(arms)
    table = Table(box=None, pad_edge=False)
    for i, title in enumerate(header):
        table.add_column(Text(title), justify="left" if i == 0 else "right")
    for line in lines:
        table.add_row(*map(Text, line))  # Text: names are not markup
    return table


def markdown_table(arms: Arms) -> str:
    """The same table in markdown."""
    header, lines = _cells(arms)
    rows = [header, ["---"] + ["---:"] * (len(header) - 1), *lines]
    return (
        "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in rows) + "\n"
    )


def metrics_table(report: Report) -> Table:
    """All metrics of one report, a line each, with n."""
    table = Table(box=None, pad_edge=False)
    for title in ("Metric", "Value [95 %]", "n"):
        table.add_column(title, justify="left" if title == "Metric" else "right")
    lines = [(MEANINGS[name].title, metric) for name, metric in report.metrics.items()]
    for label, by_name in report.per_class.items():
        lines += [(f"{MEANINGS[name].title}, {label}", metric) for name, metric in by_name.items()]
    lines += [(f"No answer: {reason}", metric) for reason, metric in report.failures.items() if metric.value]
    for title, metric in lines:
        table.add_row(Text(title), str(metric), str(metric.n))
    return table


def _cells(arms: Arms) -> tuple[list[str], list[list[str]]]:
    runs = {name: [arm] if isinstance(arm, Report) else list(arm) for name, arm in arms.items()}
    first = next(iter(runs.values()))[0]
    headline = HEADLINES[first.kind]
    titles = [MEANINGS[name].title for name in headline]
    count = max(len(arm) for arm in runs.values())
    suffix = " [95 %]" + (" ± sd" if count > 1 else "")
    compared = compare(runs).arms
    lines = [[name, *(str(compared[name][metric]) for metric in headline)] for name in runs]
    return ["Arm" + suffix, *titles], lines
