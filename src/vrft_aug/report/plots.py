"""Plots as inline SVG: text stays text, and ink takes the colour of the page it stands in."""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from markupsafe import Markup, escape

from vrft_aug.evaluation.bootstrap import Metric
from vrft_aug.evaluation.comparison import Comparison
from vrft_aug.evaluation.metrics import majority
from vrft_aug.evaluation.report_data import Report
from vrft_aug.evaluation.rows import vote_key
from vrft_aug.evaluation.statistics import MEANINGS
from vrft_aug.report.curves import Series, smoothed

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Told apart by the colour-blind too, and readable on white as on near-black.
COLOURS = ("#3b82c4", "#d9822b", "#2f9e77", "#b85ca6", "#c9484f", "#8a7a3c")
ARM_COLOURS = ("#858b94", "#d9822b", "#3b82c4", "#2f9e77", "#b85ca6", "#c9484f")
INK = "#010203"  # stands for `currentColor`, which matplotlib does not know
STYLE = {
    "svg.fonttype": "none",
    "svg.hashsalt": "vrft",
    "text.parse_math": False,  # labels are the user's and may hold a $
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 10,
    "axes.titlelocation": "left",
    "axes.linewidth": 0.6,
    "grid.linewidth": 0.4,
    "grid.alpha": 0.25,
    "legend.frameon": False,
    "legend.fontsize": 8,
    **dict.fromkeys(("text.color", "axes.labelcolor", "axes.edgecolor", "xtick.color", "ytick.color"), INK),
    **dict.fromkeys(("grid.color", "legend.labelcolor"), INK),
}
Draw = Callable[["Axes"], None]


def learning_curves(panels: Sequence[tuple[str, Sequence[Series]]], over: str, what: str) -> Markup:
    """One panel a title; the logged values faint, their running mean bold."""

    def drawing(title: str, series: Sequence[Series]) -> Draw:
        def draw(axes: Axes) -> None:
            for i, one in enumerate(series):
                colour = COLOURS[i % len(COLOURS)]
                axes.plot(one.x, one.y, color=colour, alpha=0.25, linewidth=0.8)
                axes.plot(one.x, smoothed(one.y), color=colour, linewidth=1.8, label=_short(one.name))
            axes.set(title=title, xlabel=over)
            axes.grid(True)
            if any(one.name for one in series):
                axes.legend(loc="best")

        return draw

    return _figure([drawing(title, series) for title, series in panels], what)


def arm_curves(terms: Mapping[str, Mapping[str, Sequence[Series]]], arms: Sequence[str], what: str) -> Markup:
    """A panel a reward term (term -> arm -> a series a seed): seeds thin, their mean bold."""

    def drawing(term: str, by_arm: Mapping[str, Sequence[Series]]) -> Draw:
        def draw(axes: Axes) -> None:
            for arm, seeds in by_arm.items():
                colour = arm_colour(arms, arm)
                for one in seeds if len(seeds) > 1 else ():
                    axes.plot(one.x, smoothed(one.y), color=colour, alpha=0.3, linewidth=0.8)
                length = min(len(one.y) for one in seeds)
                mean = np.mean([smoothed(one.y)[:length] for one in seeds], axis=0)
                axes.plot(seeds[0].x[:length], mean, color=colour, linewidth=1.8, label=_short(arm))
            axes.set(
                title="Total reward" if term == "reward" else _short(f"Term {term}"),
                xlabel="completions sampled",
            )
            axes.grid(True)
            axes.legend(loc="best")

        return draw

    return _figure([drawing(term, by_arm) for term, by_arm in terms.items()], what)


def forest(compared: Comparison, what: str) -> Markup:
    """A panel a headline metric: every arm's mean with its interval, and its single runs as rings."""
    arms = list(compared.arms)

    def drawing(name: str) -> Draw:
        def draw(axes: Axes) -> None:
            for place, arm in enumerate(arms):
                shown = compared.arms[arm].get(name)
                if shown is None or shown.metric.value is None:
                    continue
                _whisker(axes, place, shown.metric, arm_colour(arms, arm))
                if len(shown.runs) > 1:
                    runs = [run for run in shown.runs if run is not None]
                    axes.plot(
                        runs, [place + 0.25] * len(runs), "o", markersize=3.5, fillstyle="none", color=INK
                    )
            direction = {1: "higher is better", -1: "lower is better", 0: ""}[MEANINGS[name].better]
            axes.set(title=MEANINGS[name].title, xlabel=direction, ylim=(len(arms) - 0.4, -0.6))
            axes.set_yticks(range(len(arms)), [_short(arm) for arm in arms])
            axes.tick_params(axis="y", length=0)
            axes.grid(True, axis="x")

        return draw

    return _figure([drawing(name) for name in compared.headline], what, height=1.1 + 0.36 * len(arms))


def reliability(report: Report) -> Markup:
    """How often a majority of samples is right, by the share of samples that it has; "" without votes."""
    shares, right = [], []
    for row in report.rows:
        winner = majority(row.votes, report.labels)
        if winner is not None:
            shares.append(row.votes[winner] / row.samples)
            right.append(winner == vote_key(report.kind, row.truth or ""))
    if not shares:
        return Markup("")
    bins = np.digitize(shares, np.linspace(0, 1, 6)[1:-1], right=True)

    def draw(axes: Axes) -> None:
        axes.plot([0, 1], [0, 1], color=INK, linewidth=0.8, linestyle=":")
        for place in np.unique(bins):
            inside = bins == place
            x, y = np.mean(np.array(shares)[inside]), np.mean(np.array(right)[inside])
            axes.plot([x], [y], "o", color=COLOURS[0], markersize=6)
            axes.annotate(
                f"n = {inside.sum()}", (x, y), xytext=(7, -3), textcoords="offset points", fontsize=8
            )
        axes.set(xlabel="share of the samples", ylabel="share right", xlim=(0, 1.25), ylim=(-0.05, 1.05))
        axes.grid(True)

    return _figure([draw], "Share of votes against share right", height=2.8)


def arm_colour(arms: Sequence[str], arm: str) -> str:
    """The colour of an arm on the whole page."""
    return ARM_COLOURS[list(arms).index(arm) % len(ARM_COLOURS)]


def _whisker(axes: Axes, place: float, metric: Metric, colour: str) -> None:
    if metric.low is not None and metric.high is not None:
        axes.plot([metric.low, metric.high], [place] * 2, color=colour, linewidth=2.2, solid_capstyle="round")
    if metric.value is not None:
        axes.plot([metric.value], [place], "o", markersize=6, color=colour)


def _figure(drawings: Sequence[Draw], what: str, height: float = 2.5, columns: int = 3) -> Markup:
    """Panels side by side as an SVG that says to a screen reader what it shows; "" without panels."""
    if not drawings:
        return Markup("")
    import matplotlib
    from matplotlib.figure import Figure

    columns = min(columns, len(drawings))
    rows = -(-len(drawings) // columns)
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(3.4 * columns, height * rows), layout="constrained")
        grid: Any = figure.subplots(rows, columns, squeeze=False)
        for axes, draw in zip(grid.flat, drawings, strict=False):
            draw(axes)
        for axes in list(grid.flat)[len(drawings) :]:
            axes.set_axis_off()
        buffer = io.StringIO()
        figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    return _inline(buffer.getvalue(), what)


def _short(name: str) -> str:
    return name if len(name) <= 32 else name[:31] + "…"


def _inline(svg: str, what: str) -> Markup:
    """The `<svg>` alone, without metadata and unused ids, its ink following the page."""
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    used = set(re.findall(r"#(\w+)", svg))
    svg = re.sub(r' id="(\w+)"', lambda found: found[0] if found[1] in used else "", svg)
    svg = svg.replace(INK, "currentColor")
    box = re.search(r'viewBox="0 0 ([\d.]+) ([\d.]+)"', svg)
    assert box is not None, "matplotlib writes a viewBox"
    opening = (
        f'<svg viewBox="{box[0][9:-1]}" role="img" aria-label="{escape(what)}" '
        f'style="max-width:{float(box[1]) * 1.3:.0f}px">'
    )
    return Markup(re.sub(r"<svg[^>]*>", lambda _: opening, svg, count=1))  # matplotlib has escaped all text
