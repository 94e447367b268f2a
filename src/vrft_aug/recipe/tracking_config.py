"""What loggers get besides numbers: `stages[].tracking` in the recipe."""

from __future__ import annotations

from pydantic import Field

from vrft_aug.data.settings import Strict


class Tracking(Strict):
    """For the loggers of `trainer.report_to`, on the first step and every tenth after it."""

    # rows of a table: completion, answer, truth and every reward term; no ids of cases; 0: no table
    rollouts: int = Field(default=16, ge=0, le=1000)
    # two pictures with the boxes and the answer of a completion: patients' pictures go wherever the logger
    # sends them
    pictures: bool = False
