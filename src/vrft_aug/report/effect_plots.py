"""The effects of a study as a forest plot: a panel a metric, a row an effect."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING

from markupsafe import Markup

from vrft_aug.evaluation.factor_effects import Effect, StudyFigures
from vrft_aug.report.plots import COLOURS, INK, Draw, draw_panels

if TYPE_CHECKING:
    from matplotlib.axes import Axes

ROW = 0.34  # inches


def effect_forest(figures: StudyFigures, what: str) -> Markup:
    """Dots and lines: effect and 95 % interval; interactions in another colour, below."""

    def drawing(metric: str, effects: Sequence[Effect]) -> Draw:
        def draw(axes: Axes) -> None:
            axes.axvline(0, color=INK, linewidth=0.8, linestyle=":")
            for place, effect in enumerate(effects):
                if effect.value is None:
                    continue
                colour = COLOURS[0] if effect.contrast.kind == "main" else COLOURS[1]
                if effect.low is not None and effect.high is not None:
                    axes.plot([effect.low, effect.high], [place, place], color=colour, linewidth=2, alpha=0.6)
                axes.plot([effect.value], [place], "o", color=colour, markersize=5)
            names = [textwrap.wrap(e.contrast.name, 28, max_lines=2, placeholder=" …") for e in effects]
            axes.set_yticks(range(len(effects)), ["\n".join(lines) for lines in names])
            axes.set(title=figures.meanings[metric].title, xlabel="change", ylim=(len(effects) - 0.4, -0.6))
            axes.tick_params(axis="y", length=0)
            axes.grid(True, axis="x")

        return draw

    by_metric = {m: [e for e in figures.effects if e.metric == m] for m in figures.metrics}
    rows = max((len(effects) for effects in by_metric.values()), default=0)
    return draw_panels([drawing(*item) for item in by_metric.items()], what, height=0.9 + ROW * rows)
