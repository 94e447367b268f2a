"""A threshold that rises with success: easy hits first, tight ones later.

In the manner of MedLoc-R1 (Yang et al., CVPR 2026, arXiv 2603.28120), which tightens the IoU criterion as a
sliding window of performance allows; the rule below is our own and simpler. The settings are part of the
recipe; the state belongs to the training loop and goes into its checkpoints, while the rewards that use the
threshold stay pure functions of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, model_validator


class Tightening(BaseModel):
    """Where a threshold starts and ends, and what makes it rise; a reward may declare such a setting.

    Args:
        start: the threshold at first, above 0 and at most 1.
        end: the highest that it becomes, not below `start`.
        step: by how much it rises at a time.
        window: generation rounds that are looked back upon.
        success: mean reward in the window from which it rises.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    start: float = Field(default=0.25, gt=0, le=1)
    end: float = Field(default=0.75, gt=0, le=1)
    step: float = Field(default=0.05, gt=0, le=1)
    window: int = Field(default=8, ge=1)
    success: float = Field(default=0.5, gt=0, le=1)

    @model_validator(mode="after")
    def _rises(self) -> Tightening:
        if self.end < self.start:
            raise ValueError(f"end is {self.end}, below start {self.start}; a tightening only rises")
        return self


@dataclass(frozen=True)
class TighteningState:
    """How far a tightening has come; plain numbers, so that JSON keeps it exactly."""

    threshold: float
    recent: tuple[float, ...] = ()  # mean reward of the rounds since the threshold rose, at most the window

    def after(self, reward: float, settings: Tightening) -> TighteningState:
        """The state after a round of that mean reward: risen by a step, and the window empty, if it may.

        The window must be full, so that a lucky round moves nothing, and the newest round must have
        succeeded too, so that an old success does not tighten what is failing now.
        """
        recent = (*self.recent, reward)[-settings.window :]
        full = len(recent) == settings.window
        if full and sum(recent) / len(recent) >= settings.success <= reward and self.threshold < settings.end:
            # Rounded, for 0.25 + 0.05 + ... should be 0.4 and not 0.39999999999999997.
            return TighteningState(min(settings.end, round(self.threshold + settings.step, 9)))
        return TighteningState(self.threshold, recent)


def start_of(settings: Tightening) -> TighteningState:
    """The state before the first round."""
    return TighteningState(settings.start)


def state_from(saved: dict[str, Any]) -> TighteningState:
    """A state as `dataclasses.asdict` made it, also by way of JSON."""
    recent: Sequence[float] = saved["recent"]
    return TighteningState(float(saved["threshold"]), tuple(recent))
