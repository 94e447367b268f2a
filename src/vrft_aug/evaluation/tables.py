"""Reports side by side as text: for the terminal and for markdown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rich.table import Table
from rich.text import Text

from vrft_aug.evaluation.comparison import ArmMetric, Comparison, compare
from vrft_aug.evaluation.report_data import Report

Arms = Mapping[str, Report | Sequence[Report]]  # an arm is a report, or one for each training seed


def format_table(arms: Arms) -> Table:
    """A row an arm and a column a headline metric, intervals below their values; 80 columns hold it."""
    return arms_table(_compared(arms))


def markdown_table(arms: Arms) -> str:
    """The same table in markdown: value, ± the deviation over seeds if there are several, [95 % interval]."""
    return arms_markdown(_compared(arms))


def how_drawn(compared: Comparison) -> str:
    """How the intervals came about, in one sentence that is said once."""
    seeded = any(len(one.runs) > 1 for by_name in compared.arms.values() for one in by_name.values())
    means = "Means ± sd over training seeds. " if seeded else ""
    return (
        f"{means}In brackets 95 % bootstrap intervals over {compared.units}: {compared.bootstrap} draws with "
        f"seed {compared.seed}, the same for all arms."
    )


def arms_table(compared: Comparison, told: bool = True) -> Table:
    """The arms of a comparison for the terminal; `told`: below it, how its intervals were drawn."""
    titles, rows = _cells(compared)
    caption = Text(how_drawn(compared)) if told else None
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0), caption=caption, caption_justify="left")
    table.add_column("Arm")
    for title in titles:
        table.add_column(Text(title.replace(" ", "\n"), justify="right"), justify="right", no_wrap=True)
    for name, cells in rows.items():  # Text: names are not markup
        lines = [f"{cell.value_text}\n{cell.metric.interval_text}" for cell in cells]
        table.add_row(Text(name), *map(Text, lines))
    return table


def arms_markdown(compared: Comparison) -> str:
    """The arms of a comparison in markdown."""
    titles, rows = _cells(compared)
    return markdown(["Arm", *titles], [[name, *map(str, cells)] for name, cells in rows.items()])


def markdown(titles: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table whose first column is text and whose others are numbers."""
    lines = [titles, ["---"] + ["---:"] * (len(titles) - 1), *([_cell(c) for c in row] for row in rows)]
    return "".join("| " + " | ".join(line) + " |\n" for line in lines)


def metrics_table(report: Report) -> Table:
    """All metrics of one report, a line each, with n."""
    table = Table(box=None, pad_edge=False)
    for title in ("Metric", "Value [95 %]", "n"):
        table.add_column(title, justify="left" if title == "Metric" else "right")
    lines = [(report.meanings[name].title, metric) for name, metric in report.metrics.items()]
    for label, by_name in report.per_class.items():
        lines += [(f"{report.meanings[name].title}, {label}", metric) for name, metric in by_name.items()]
    for threshold in report.curves.thresholds:
        lines += [
            (f"Sensitivity from {threshold.label}", threshold.sensitivity),
            (f"Specificity from {threshold.label}", threshold.specificity),
        ]
        lines += [(f"AUROC from {threshold.label}", threshold.auroc)] if threshold.auroc else []
    lines += [(f"Pass@{point.k}", point.rate) for point in report.curves.pass_at]
    lines += [(f"No answer: {reason}", metric) for reason, metric in report.failures.items() if metric.value]
    for title, metric in lines:
        table.add_row(Text(title), str(metric), str(metric.n))
    return table


def _compared(arms: Arms) -> Comparison:
    return compare({name: [arm] if isinstance(arm, Report) else list(arm) for name, arm in arms.items()})


def _cells(compared: Comparison) -> tuple[list[str], dict[str, list[ArmMetric]]]:
    """The titles of the headline metrics, and by arm their values."""
    titles = [compared.meanings[name].title for name in compared.headline]
    return titles, {
        name: [arm[metric] for metric in compared.headline] for name, arm in compared.arms.items()
    }


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
