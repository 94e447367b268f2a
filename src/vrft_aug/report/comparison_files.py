"""A comparison as files: the tables in Markdown, CSV and JSON, and a plot with intervals as SVG and PNG."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vrft_aug.evaluation.comparison import Comparison
from vrft_aug.evaluation.comparison_tables import comparison_csv, comparison_json, comparison_markdown
from vrft_aug.evaluation.metrics.bootstrap import Metric
from vrft_aug.files import write_bytes, write_text
from vrft_aug.report.plots import INK, STYLE, arm_colour

if TYPE_CHECKING:
    from matplotlib.axes import Axes

DARK = "#22262b"  # ink on white paper


def write_comparison_files(compared: Comparison, folder: Path) -> list[Path]:
    """Write comparison.md, .csv, .json, .svg and .png into a folder; returns their paths."""
    written = {
        "md": comparison_markdown(compared),
        "csv": comparison_csv(compared),
        "json": json.dumps(comparison_json(compared), indent=1, ensure_ascii=False) + "\n",
    }
    for suffix, text in written.items():
        write_text(folder / f"comparison.{suffix}", text)
    for kind in ("svg", "png"):
        write_bytes(folder / f"comparison.{kind}", plot(compared, kind))
    return [folder / f"comparison.{suffix}" for suffix in (*written, "svg", "png")]


def plot(compared: Comparison, kind: str) -> bytes:
    """A column a headline metric: above the arms, below the differences, each with its 95 % interval."""
    logging.getLogger("matplotlib").setLevel(logging.ERROR)  # it talks where HOME cannot be written to
    import matplotlib
    from matplotlib.figure import Figure

    arms, pairs = list(compared.arms), list(compared.differences)
    style = {key: DARK if value == INK else value for key, value in STYLE.items()}
    heights = [len(arms) + 1.5, *([len(pairs) + 1.5] if pairs else [])]
    with matplotlib.rc_context(style):
        figure = Figure(figsize=(2 + 2.6 * len(compared.headline), 0.32 * sum(heights)), layout="constrained")
        grid: Any = figure.subplots(
            len(heights), len(compared.headline), squeeze=False, sharey="row", height_ratios=heights
        )
        for axes, name in zip(grid[0], compared.headline, strict=True):
            shown = [compared.arms[arm][name].metric for arm in arms]
            _whiskers(axes, arms, shown, [arm_colour(arms, arm) for arm in arms])
            meaning = compared.meanings[name]
            direction = f" ({meaning.direction})" if meaning.direction else ""
            axes.set_title(meaning.title + direction, fontsize=8)
        if pairs:
            for axes, name in zip(grid[1], compared.headline, strict=True):
                names = [f"{of} − {minus}" for of, minus in pairs]
                shown = [compared.differences[pair][name] for pair in pairs]
                _whiskers(axes, names, shown, [arm_colour(arms, of) for of, _ in pairs])
                axes.axvline(0, color=DARK, linewidth=0.8, linestyle=":")
        figure.supxlabel("95 % bootstrap intervals over cases", fontsize=8)
        buffer = io.BytesIO()
        metadata = {"Date": None, "Creator": None} if kind == "svg" else {"Software": None}
        figure.savefig(buffer, format=kind, dpi=150, facecolor="white", metadata=metadata)
    return buffer.getvalue()


def _whiskers(axes: Axes, names: Sequence[str], metrics: Sequence[Metric], colours: Sequence[str]) -> None:
    for place, (metric, colour) in enumerate(zip(metrics, colours, strict=True)):
        if metric.low is not None and metric.high is not None:
            ends = [metric.low, metric.high]
            axes.plot(ends, [place] * 2, color=colour, linewidth=2.2, solid_capstyle="round")
        if metric.value is not None:
            axes.plot([metric.value], [place], "o", markersize=5, color=colour)
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.set_yticks(range(len(names)), [name if len(name) <= 40 else name[:39] + "…" for name in names])
    axes.tick_params(axis="y", length=0)
    axes.grid(True, axis="x")
