"""A comparison in the forms that people and programs read: text, Markdown, CSV, JSON."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from rich.console import Group
from rich.table import Table
from rich.text import Text

from vrft_aug.evaluation.comparison import Comparison
from vrft_aug.evaluation.metrics.bootstrap import Metric
from vrft_aug.evaluation.significance import Significance
from vrft_aug.evaluation.tables import arms_markdown, arms_table, how_drawn, markdown

COLUMNS = ("what", "of", "minus", "metric", "value", "low", "high", "n", "deviation", "runs", "p", "p_holm")
DIFFERENCE = ("Difference", "Metric", "Value [95 %]", "p", "p (Holm)")
MCNEMAR = ("McNemar", "Right in first alone", "In second alone", "p", "p (Holm)")


def comparison_text(compared: Comparison) -> Group:
    """For the terminal: arms, differences, McNemar tests, notes."""
    parts: list[Table | Text] = [arms_table(compared, told=False), Text()]
    parts += [_table(DIFFERENCE, _differences(compared)), Text()] if compared.differences else []
    parts += [_table(MCNEMAR, _mcnemar(compared)), Text()] if compared.mcnemar else []
    return Group(*parts, *map(Text, _notes(compared)))


def comparison_markdown(compared: Comparison) -> str:
    """The same in Markdown."""
    parts = [arms_markdown(compared)]
    parts += [markdown(DIFFERENCE, _differences(compared))] if compared.differences else []
    parts += [markdown(MCNEMAR, _mcnemar(compared))] if compared.mcnemar else []
    return "\n".join([*parts, "\n\n".join(_notes(compared)) + "\n"])


def comparison_csv(compared: Comparison) -> str:
    """One line a figure: every metric of every arm, every difference, every McNemar test; see COLUMNS."""
    lines: list[dict[str, Any]] = []
    for arm, by_name in compared.arms.items():
        lines += [
            {"what": "arm", "of": arm, "metric": name, **asdict(one.metric), "deviation": one.deviation,
             "runs": len(one.runs)}
            for name, one in by_name.items()
        ]  # fmt: skip
    for (of, minus), differences in compared.differences.items():
        for name, metric in differences.items():
            tested = _tested(compared.tests[of, minus].get(name))
            lines.append(
                {"what": "difference", "of": of, "minus": minus, "metric": name, **asdict(metric), **tested}
            )
    for (of, minus), found in compared.mcnemar.items():
        n = found.only_of + found.only_minus
        value = found.only_of - found.only_minus
        pair = {"what": "mcnemar", "of": of, "minus": minus, "metric": "accuracy", "value": value, "n": n}
        lines.append({**pair, **_tested(found.test)})
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(lines)
    return buffer.getvalue()


def comparison_json(compared: Comparison) -> dict[str, Any]:
    """The same as an object that `json` writes."""
    return {
        "arms": {arm: {n: asdict(m) for n, m in by_name.items()} for arm, by_name in compared.arms.items()},
        "differences": [
            {"of": of, "minus": minus, "metric": name, **asdict(metric),
             **_tested(compared.tests[of, minus].get(name))}
            for (of, minus), by_name in compared.differences.items()
            for name, metric in by_name.items()
        ],
        "mcnemar": [
            {"of": of, "minus": minus, "only_of": one.only_of, "only_minus": one.only_minus,
             **_tested(one.test)}
            for (of, minus), one in compared.mcnemar.items()
        ],
        "headline": list(compared.headline),
        "bootstrap": compared.bootstrap,
        "units": compared.units,
        "seed": compared.seed,
        "notes": list(compared.notes),
    }  # fmt: skip


def _differences(compared: Comparison) -> list[list[str]]:
    title = {name: meaning.title for name, meaning in compared.meanings.items()}
    return [
        [f"{of} − {minus}", title[name], signed(metric), *_p(compared.tests[of, minus].get(name))]
        for (of, minus), by_name in compared.differences.items()
        for name, metric in by_name.items()
    ]


def _mcnemar(compared: Comparison) -> list[list[str]]:
    return [
        [f"{of} − {minus}", str(one.only_of), str(one.only_minus), *_p(one.test)]
        for (of, minus), one in compared.mcnemar.items()
    ]


def signed(metric: Metric) -> str:
    """A difference with its interval, such as `+0.05 [-0.01, +0.11]`; an en dash where undefined."""
    if metric.value is None:
        return "–"
    if metric.low is None or metric.high is None:
        return f"{metric.value:+.3f}"
    return f"{metric.value:+.3f} [{metric.low:+.3f}, {metric.high:+.3f}]"


def _p(test: Significance | None) -> list[str]:
    return ["–", "–"] if test is None else [f"{test.p:.2g}", f"{test.adjusted:.2g}"]


def _tested(test: Significance | None) -> dict[str, float | None]:
    return {"p": None, "p_holm": None} if test is None else {"p": test.p, "p_holm": test.adjusted}


def _notes(compared: Comparison) -> list[str]:
    how = how_drawn(compared)
    if compared.differences:
        how += " Differences are paired by case; p is two-sided, Holm corrects it for all lines of its table."
    return [how, *compared.notes]


def _table(titles: Sequence[str], rows: Sequence[Sequence[str]]) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0))
    for place, title in enumerate(titles):
        table.add_column(Text(title), justify="left" if place == 0 else "right", no_wrap=place > 0)
    for row in rows:
        table.add_row(*map(Text, row))  # Text: names are not markup
    return table
