"""What a check finds: a number beside its limit, in words that need no code to be read."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

Device = Literal["auto", "cpu", "cuda", "mps"]


@dataclass(frozen=True)
class Machine:
    """Where the checks run.

    Args:
        device: what a recipe calls it; never auto.
        folder: an empty one, for what they write.
    """

    device: Device
    folder: Path

    def room(self, name: str) -> Path:
        """A folder of a check's own."""
        made = self.folder / name
        made.mkdir(parents=True, exist_ok=True)
        return made


@dataclass(frozen=True)
class Finding:
    """One number.

    Args:
        name: short, for programs.
        told: what it is, for people.
        value: NaN where it could not be had, which is a failure.
        limit: what it must not go beyond.
        at_most: whether the limit is an upper one.
        note: what went wrong, or what the number rests on.
        figures: what else was measured or counted, for programs.
    """

    name: str
    told: str
    value: float
    limit: float
    at_most: bool = True
    note: str = ""
    figures: Mapping[str, float] = field(default_factory=dict)

    @property
    def passed(self) -> bool:
        """Whether the number keeps its limit."""
        if math.isnan(self.value):
            return False
        return self.value <= self.limit if self.at_most else self.value >= self.limit

    def line(self) -> str:
        """A line for a terminal."""
        sign = "at most" if self.at_most else "at least"
        value = "no number" if math.isnan(self.value) else f"{self.value:.3g}"
        note = f" ({self.note})" if self.note else ""
        return f"{'ok  ' if self.passed else 'FAIL'} {self.told}: {value}, {sign} {self.limit:g}{note}"


def failure(name: str, error: Exception) -> Finding:
    """A check that could not be run: the kind of error and its first words, without names of folders."""
    words = " ".join(str(error).split())[:400]
    words = re.sub(r"\S*[/\\]\S*", "…", words)[:160]
    return Finding(name, f"the check `{name}` runs", math.nan, 0.0, note=f"{type(error).__name__}: {words}")
