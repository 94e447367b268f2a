"""The page of the demo: for each modality what won, by how much, and what did not, with its table."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from vrft_aug.evaluation.comparison import Comparison
from vrft_aug.evaluation.metrics.bootstrap import Metric
from vrft_aug.report import plots
from vrft_aug.report.page import write_page


@dataclass(frozen=True)
class Shown:
    """One modality of the demo: its arms side by side, and the page with all about them."""

    name: str
    title: str
    compared: Comparison
    ours: str  # the arm that the others are held against
    metric: str  # that the sentences speak of
    cases: int
    page: Path
    cautions: Sequence[str]  # of single runs, such as that nearly all their answers are one and the same

    @property
    def sentences(self) -> list[str]:
        """Two sentences: what our arm is above, and what it is not."""
        return won_and_not(self.compared, self.ours, self.metric)


def won_and_not(compared: Comparison, ours: str, metric: str) -> list[str]:
    """What an arm is above, and what it is below or not apart from, by the interval of the difference."""
    title = compared.meanings[metric].title
    title = title[0].lower() + title[1:]
    better = compared.meanings[metric].better or 1
    above, below, near = [], [], []
    for arm in compared.arms:
        if arm == ours:
            continue
        gain = _difference(compared, ours, arm, metric)
        words = f"{arm} by {_signed(gain)}"
        if gain.low is None or gain.high is None or gain.low <= 0 <= gain.high:
            near.append(f"{arm} ({_signed(gain)})")
        elif better * gain.low > 0:
            above.append(words)
        else:
            below.append(words)
    value = compared.arms[ours][metric]
    won = (
        f"{ours} reaches a {title} of {value} and is better than {_and(above)}."
        if above
        else (f"{ours} reaches a {title} of {value} and is better than no other arm.")
    )
    lost = [f"worse than {_and(below)}"] if below else []
    lost += [f"not apart from {_and(near)}"] if near else []
    return [won, f"It is {', and '.join(lost)}." if lost else "No other arm comes near it."]


def write_demo(path: Path, shown: Sequence[Shown], parts: Mapping[str, str]) -> Path:
    """Write the page; `parts` says of each arm what it is made of."""
    arms = list(parts)
    return write_page(
        path,
        "demo.html",
        {
            "title": "VRFT-Aug demo",
            "kicker": "VRFT-Aug",
            "notes": [],
            "cautions": [],
            "shown": shown,
            "parts_of": parts,
            "seeds": max(
                len(a.runs) for one in shown for by in one.compared.arms.values() for a in by.values()
            ),
            "colours": {arm: plots.arm_colour(arms, arm) for arm in arms},
            "links": {one.name: os.path.relpath(one.page, path.parent).replace(os.sep, "/") for one in shown},
            "forests": {
                one.name: plots.forest(one.compared, f"Headline metrics, {one.name}") for one in shown
            },
        },
    )


def _difference(compared: Comparison, of: str, minus: str, metric: str) -> Metric:
    return compared.differences[of, minus][metric]


def _signed(gain: Metric) -> str:
    range_ = "" if gain.low is None or gain.high is None else f" [{gain.low:+.2f}, {gain.high:+.2f}]"
    return ("undefined" if gain.value is None else f"{gain.value:+.2f}") + range_


def _and(words: Sequence[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"
