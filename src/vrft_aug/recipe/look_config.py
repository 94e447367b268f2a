"""The look monitor of a stage: `stages[].look` in the recipe."""

from __future__ import annotations

from pydantic import Field

from vrft_aug.data.settings import Strict


class LookProbe(Strict):
    """Whether the policy still looks while it trains: the same few cases asked with other pictures."""

    # after the first step, every so many, and after the last, cases of the stage's task are asked greedily
    # with their true picture, a blank one and that of another case; 0: never
    every: int = Field(default=0, ge=0, le=1_000_000)
    # so many, always the same, of the validation split; of the training split where there is none. The fewer,
    # the larger a fall of reliance has to be before the alarm rings: 1.5 / sqrt(cases)
    cases: int = Field(default=32, ge=4, le=10_000)
    masks: bool = False  # also ask with the lesions masked, and with as much elsewhere; boxes must be known
