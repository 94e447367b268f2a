"""Plots as inline SVG: text stays text, and ink takes the colour of the page it stands in."""

from __future__ import annotations

import io
import logging
import re
import textwrap
import zlib
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from markupsafe import Markup, escape

from vrft_aug.evaluation.comparison import Comparison
from vrft_aug.evaluation.metrics.bootstrap import Metric
from vrft_aug.evaluation.metrics.curves import Bin, RiskPoint
from vrft_aug.evaluation.report_data import Report
from vrft_aug.report.training_curves import Series, smoothed

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Told apart by the colour-blind too, and readable on white as on near-black.
COLOURS = ("#3b82c4", "#d9822b", "#2f9e77", "#b85ca6", "#c9484f", "#8a7a3c")
ARM_COLOURS = ("#858b94", "#d9822b", "#3b82c4", "#2f9e77", "#b85ca6", "#c9484f", "#8a7a3c", "#14909c")
PANEL = 3.4  # inches that a panel is drawn wide; pages scale it
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

    return draw_panels([drawing(title, series) for title, series in panels], what)


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

    return draw_panels([drawing(term, by_arm) for term, by_arm in terms.items()], what)


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
            meaning = compared.meanings[name]
            axes.set(title=meaning.title, xlabel=meaning.direction, ylim=(len(arms) - 0.4, -0.6))
            axes.set_yticks(
                range(len(arms)),
                ["\n".join(textwrap.wrap(arm, 16, max_lines=2, placeholder=" …")) for arm in arms],
            )
            axes.tick_params(axis="y", length=0)
            axes.grid(True, axis="x")

        return draw

    return draw_panels([drawing(name) for name in compared.headline], what, height=1.1 + 0.4 * len(arms))


def votes(report: Report) -> Markup:
    """What the votes of the samples are worth: reliability, risk and coverage, pass@k; "" without votes."""
    curves = report.curves
    drawings: list[Draw] = []

    def draw_pass(axes: Axes) -> None:
        for one in curves.pass_at:
            _pillar(axes, one.k, one.rate, COLOURS[2])
        rates = [(one.k, one.rate.value) for one in curves.pass_at if one.rate.value is not None]
        axes.plot(
            [k for k, _ in rates], [rate for _, rate in rates], color=COLOURS[2], linewidth=1, alpha=0.5
        )
        axes.set(title="At least one of k right", xlabel="k samples", ylabel="share of the cases")
        axes.set_ylim(0, 1.05)
        axes.grid(True)

    drawings += _reliability_and_risk(curves.reliability, curves.risk_coverage, "share of the samples")
    if curves.pass_at:
        drawings.append(draw_pass)
    return draw_panels(drawings, "Reliability of votes, risk and coverage, pass at k", height=2.8)


def confidence(report: Report) -> Markup:
    """What the confidence that answers state is worth: reliability, risk and coverage; "" where none does."""
    drawings = _reliability_and_risk(
        report.curves.stated_reliability, report.curves.stated_risk, "confidence stated"
    )
    return draw_panels(drawings, "Reliability of the stated confidence, risk and coverage", height=2.8)


def _reliability_and_risk(bins: Sequence[Bin], points: Sequence[RiskPoint], over: str) -> list[Draw]:
    """Panels of the bins and of the points, where there are any; `over` is what the confidence is."""

    def draw_reliability(axes: Axes) -> None:
        axes.plot([0, 1], [0, 1], color=INK, linewidth=0.8, linestyle=":")
        x, y = [one.confidence for one in bins], [one.accuracy for one in bins]
        axes.plot(x, y, "-", color=COLOURS[0], linewidth=1, alpha=0.5)
        most = max(one.n for one in bins)
        for one in bins:
            size = 4 + 7 * (one.n / most) ** 0.5
            axes.plot([one.confidence], [one.accuracy], "o", color=COLOURS[0], markersize=size)
            axes.annotate(
                f"{one.n}", (one.confidence, one.accuracy), (7, -9), textcoords="offset points", fontsize=7
            )
        axes.set(title="Reliability", xlabel=over, ylabel="share right", xlim=(0, 1.08))
        axes.set_ylim(-0.04, 1.06)
        axes.grid(True)

    def draw_risk(axes: Axes) -> None:
        axes.step([p.coverage for p in points], [p.risk for p in points], where="post", color=COLOURS[1])
        axes.plot([p.coverage for p in points], [p.risk for p in points], "o", color=COLOURS[1], markersize=4)
        highest = max(p.risk for p in points)
        axes.set(title="Answering only when sure", xlabel="share of the cases answered", ylabel="share wrong")
        axes.set(xlim=(0, 1.03), ylim=(0, max(0.1, highest * 1.15)))
        axes.grid(True)

    return [draw for draw, has in ((draw_reliability, bins), (draw_risk, points)) if has]


def froc(report: Report) -> Markup:
    """True boxes found against false boxes a picture; "" where boxes have no more than one confidence."""
    points = report.curves.froc
    if len(points) < 2:
        return Markup("")

    def draw(axes: Axes) -> None:
        axes.plot(
            [p.false_per_image for p in points], [p.sensitivity for p in points], "o-",
            color=COLOURS[0], markersize=3, linewidth=1.4,
        )  # fmt: skip
        axes.set(title="FROC", xlabel="false boxes a picture", ylabel="true boxes found")
        axes.set(xlim=(0, None), ylim=(-0.03, 1.05))
        axes.grid(True)

    return draw_panels([draw], "True boxes found against false boxes a picture", height=2.8)


def _pillar(axes: Axes, x: float, metric: Metric, colour: str) -> None:
    if metric.low is not None and metric.high is not None:
        axes.plot([x, x], [metric.low, metric.high], color=colour, linewidth=2.2, solid_capstyle="round")
    if metric.value is not None:
        axes.plot([x], [metric.value], "o", markersize=5, color=colour)


def arm_colour(arms: Sequence[str], arm: str) -> str:
    """The colour of an arm on the whole page."""
    return ARM_COLOURS[list(arms).index(arm) % len(ARM_COLOURS)]


def _whisker(axes: Axes, place: float, metric: Metric, colour: str) -> None:
    if metric.low is not None and metric.high is not None:
        axes.plot([metric.low, metric.high], [place] * 2, color=colour, linewidth=2.2, solid_capstyle="round")
    if metric.value is not None:
        axes.plot([metric.value], [place], "o", markersize=6, color=colour)


def draw_panels(drawings: Sequence[Draw], what: str, height: float = 2.5) -> Markup:
    """Panels, an SVG each that says to a screen reader what it shows; "" without panels.

    A page puts as many side by side as there is room for.
    """
    if not drawings:
        return Markup("")
    logging.getLogger("matplotlib").setLevel(logging.ERROR)  # it talks where HOME cannot be written to
    import matplotlib
    from matplotlib.figure import Figure

    panels: list[Markup] = []
    with matplotlib.rc_context(STYLE):
        for draw in drawings:
            figure = Figure(figsize=(PANEL, height), layout="constrained")
            axes = figure.subplots()
            draw(axes)
            buffer = io.StringIO()
            figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
            title = axes.get_title(loc="left")
            panels.append(_inline(buffer.getvalue(), f"{what}: {title}" if title else what, len(panels)))
    return Markup('<div class="panels">') + Markup("").join(panels) + Markup("</div>")


def _short(name: str) -> str:
    return name if len(name) <= 32 else name[:31] + "…"


def _inline(svg: str, what: str, number: int) -> Markup:
    """The `<svg>` alone, without metadata and unused ids, its ink following the page.

    The ids that are left, of clips and markers, are the figure's own: `number` and `what` keep those of
    several figures on a page apart.
    """
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    used = set(re.findall(r"#(\w+)", svg))
    svg = re.sub(r' id="(\w+)"', lambda found: found[0] if found[1] in used else "", svg)
    own = f"{zlib.crc32(what.encode()):08x}{number}"
    svg = re.sub(r'( id="|"#|\(#)(m|p)(\w+)', rf"\g<1>\g<2>{own}\g<3>", svg)
    svg = svg.replace(INK, "currentColor")
    box = re.search(r'viewBox="0 0 ([\d.]+) ([\d.]+)"', svg)
    assert box is not None, "matplotlib writes a viewBox"
    opening = f'<svg viewBox="{box[0][9:-1]}" role="img" aria-label="{escape(what)}">'
    return Markup(re.sub(r"<svg[^>]*>", lambda _: opening, svg, count=1))  # matplotlib has escaped all text
