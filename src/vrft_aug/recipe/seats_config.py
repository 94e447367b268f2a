"""Demonstrations that take a seat among a policy's own completions."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from vrft_aug.data.settings import Strict


class Seats(Strict):
    """Where a group's completions all earn the same, one that earns more takes the place of the last."""

    # a JSONL file of traces beside the recipe, as sft reads them; null: the group's last completion itself,
    # its answer corrected
    demonstrations: str | None = None
    # what the gradient of a seat's token is multiplied by, p being its probability: LUFFY's shaped ratio
    # gamma p / (p + gamma)**2; p, the ratio to a teacher that is sure; or 1, as if the policy had drawn it
    weight: Literal["shaped", "ratio", "one"] = "shaped"
    gamma: float = Field(default=0.1, gt=0, le=1)  # of the shaped weight, which is greatest where p is gamma
