"""Learning curves: from the lines of metrics.jsonl to series, over steps or over rollouts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vrft_aug.recipe.schema import Recipe

Floats = NDArray[np.float64]
TERM = "rewards/"
FAILURE = "failures/"
TASK = "tasks/"
THRESHOLD = "thresholds/"
LOOKING = "look/"
# What a panel shows: its title, and the logged names that belong in it (a trailing slash: all below it).
PANELS = (
    ("Reward", ("reward",)),
    ("Reward terms", (TERM,)),
    ("Total reward by task", (TASK,)),
    ("Tightening thresholds", (THRESHOLD,)),
    ("Loss", ("loss",)),
    ("Right, by picture", ("look/right", "look/blank", "look/another")),
    ("Looking", ("look/reliance", "look/unchanged", "look/lesion_reliance")),
    ("Groups without variance", ("monitor/flat_groups",)),  # TRL's own share misses some by rounding
    ("Groups without variance as drawn", ("dynamic_sampling/flat_groups",)),
    ("Completions drawn in their place", ("dynamic_sampling/extra_rollouts",)),
    ("No answer, by reason", (FAILURE,)),
    ("Tokens per completion", ("completions/mean_length",)),
)
NO_MONITORS = ("stage", "step", "seconds")
IN_A_PANEL = 5  # curves that can be told apart
GRPO_ONLY_WITHOUT = ("loss",)  # GRPO's loss says nothing about learning; it is shown for SFT alone


@dataclass(frozen=True)
class Series:
    """One curve: y over x, both (points,)."""

    name: str  # "" where it is alone in its panel, which names it
    x: Floats
    y: Floats


def stage_panels(lines: Sequence[Mapping[str, Any]], stage: str) -> list[tuple[str, list[Series]]]:
    """The panels of a stage that have anything to show, over steps."""
    of_stage = _of_stage(lines, stage)
    is_grpo = any("reward" in line for line in of_stage)
    panels = []
    for title, names in PANELS:
        series = [
            _series(of_stage, name, "step")
            for name in _logged_names(of_stage)
            if _belongs(name, names) and not (is_grpo and name in GRPO_ONLY_WITHOUT)
        ]
        if title == "No answer, by reason":
            series = [one for one in series if one.y.any()]
        series = [one for one in series if len(one.y)]
        if series:
            panels.append((title, series))
    return panels


def other_panels(lines: Sequence[Mapping[str, Any]], stage: str) -> list[tuple[str, list[Series]]]:
    """Panels of everything else that a stage logged, by the names it was logged under.

    Names with the same prefix share a panel where all their values lie between 0 and 1; others have their
    own. What never changes is left out.
    """
    of_stage = _of_stage(lines, stage)
    is_grpo = any("reward" in line for line in of_stage)
    hidden = GRPO_ONLY_WITHOUT if is_grpo else ()
    shown = [name for _, names in PANELS for name in names if name not in hidden]
    panels: dict[str, list[Series]] = {}
    for name in _logged_names(of_stage):
        if name in NO_MONITORS or _belongs(name, shown):
            continue
        series = _series(of_stage, name, "step")
        if len(series.y) < 2 or series.y.min() == series.y.max():
            continue
        prefix, _, last = name.partition("/")
        if last and series.y.min() >= 0 and series.y.max() <= 1:
            panels.setdefault(prefix, []).append(Series(last, series.x, series.y))
        else:
            panels[name] = [Series("", series.x, series.y)]
    return [
        (title if start == 0 else f"{title}, more", series[start : start + IN_A_PANEL])
        for title, series in panels.items()
        for start in range(0, len(series), IN_A_PANEL)
    ]


def stages_logged(lines: Sequence[Mapping[str, Any]]) -> list[str]:
    """The stages in the order in which they were trained."""
    return list(dict.fromkeys(str(line["stage"]) for line in lines if "stage" in line))


def terms_over_rollouts(lines: Sequence[Mapping[str, Any]], recipe: Recipe) -> dict[str, Series]:
    """The total reward and every reward term of a run, over completions sampled so far in all stages."""
    points: list[dict[str, Any]] = []
    before = 0
    for stage in recipe.stages:
        of_stage = _of_stage(lines, stage.name)
        if stage.method != "grpo" or not of_stage:
            continue
        per_step = stage.prompts_per_step * stage.generations
        points += [{**line, "rollouts": before + line["step"] * per_step} for line in of_stage]
        before = points[-1]["rollouts"]
    names = [name for name in _logged_names(points) if name == "reward" or name.startswith(TERM)]
    series = {name.removeprefix(TERM): _series(points, name, "rollouts") for name in names}
    return {name: one for name, one in series.items() if len(one.y)}


def smoothed(y: Floats) -> Floats:
    """Running mean over a fifteenth of the points on either side, shorter at the ends."""
    reach = len(y) // 15
    sums = np.concatenate([[0.0], np.cumsum(y)])
    places = np.arange(len(y))
    first, last = np.maximum(places - reach, 0), np.minimum(places + reach + 1, len(y))
    means: Floats = (sums[last] - sums[first]) / (last - first)
    return means


def _of_stage(lines: Sequence[Mapping[str, Any]], stage: str) -> list[Mapping[str, Any]]:
    """The lines of a stage by step; of a step logged twice the later line."""
    by_step = {line["step"]: line for line in lines if line.get("stage") == stage and "step" in line}
    return [by_step[step] for step in sorted(by_step)]


def _logged_names(lines: Sequence[Mapping[str, Any]]) -> list[str]:
    return list(dict.fromkeys(name for line in lines for name in line))


def _belongs(name: str, wanted: Sequence[str]) -> bool:
    return any(name.startswith(one) if one.endswith("/") else name == one for one in wanted)


def _series(lines: Sequence[Mapping[str, Any]], name: str, over: str) -> Series:
    """Leaves out the points that were not logged, or not as a number."""
    points = [(line[over], line[name]) for line in lines if isinstance(line.get(name), int | float)]
    values = np.array(points, dtype=np.float64).reshape(-1, 2)
    grouped = [prefix for prefix in (TERM, FAILURE, TASK, THRESHOLD, LOOKING) if name.startswith(prefix)]
    return Series(name.removeprefix(grouped[0]) if grouped else "", values[:, 0], values[:, 1])
