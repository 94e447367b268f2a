"""Alarms of the look monitor: a policy that stops looking, and one that never does."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any, NamedTuple

PROBES = 2  # that are averaged on either side of a fall
LAST = 3  # probes that have to agree that nothing depends on the picture
LEAST_FALL = 0.1  # of reliance, with ever so many cases
ERRORS = 1.5  # a fall is one from so many times 1 / sqrt(cases) on
KEPT = 0.02  # what accuracy may lose and still be said to hold
ALIKE = 0.95  # of the answers with another's picture
Line = Mapping[str, Any]  # of metrics.jsonl


class _Point(NamedTuple):
    step: int
    right: float
    reliance: float
    blank: float
    unchanged: float | None
    cases: float


def looks_away(lines: Sequence[Line]) -> str | None:
    """Accuracy rises or holds while reliance on the picture falls: against any two probes before."""
    points = _points(lines)
    late = points[-PROBES:]
    starts = range(len(points) - 2 * PROBES + 1)
    if not starts:
        return None
    early = max((points[at : at + PROBES] for at in starts), key=_reliance)
    fall, change = _reliance(early) - _reliance(late), _right(late) - _right(early)
    if fall < max(LEAST_FALL, ERRORS / math.sqrt(late[-1].cases)) or change < -KEPT:
        return None
    moved = f"rose {change:.2f}" if change > KEPT else f"held at {_right(late):.2f}"
    return (
        f"Accuracy {moved} while reliance on the picture fell from {_reliance(early):.2f} to "
        f"{_reliance(late):.2f} since step {early[-1].step}: the policy learns to answer without looking "
        "(vrft look tells more)."
    )


def does_not_look(lines: Sequence[Line]) -> str | None:
    """Nearly all answers stay the same when the picture is that of a case of another label."""
    last = _points(lines)[-LAST:]
    shares = [one.unchanged for one in last if one.unchanged is not None]
    if len(shares) < LAST or min(shares) < ALIKE:
        return None
    return (
        f"With the picture of a case of another label {fmean(shares):.0%} of the answers stay the same "
        f"(accuracy {last[-1].right:.2f}, with blank pictures {last[-1].blank:.2f}): the policy answers "
        "without looking."
    )


def _points(lines: Sequence[Line]) -> list[_Point]:
    needed = ("look/right", "look/blank", "look/reliance", "look_cases")
    return [
        _Point(
            line["step"], line["look/right"], line["look/reliance"], line["look/blank"],
            line.get("look/unchanged"), line["look_cases"],
        )
        for line in lines
        if all(isinstance(line.get(name), int | float) for name in needed)
    ]  # fmt: skip


def _reliance(points: Sequence[_Point]) -> float:
    return fmean(one.reliance for one in points)


def _right(points: Sequence[_Point]) -> float:
    return fmean(one.right for one in points)
