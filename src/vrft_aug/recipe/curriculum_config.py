"""Which cases a stage trains on and in which order, by how often they are answered right."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, field_validator, model_validator

from vrft_aug.data.settings import Strict


class Curriculum(Strict):
    """What GRPO makes of pass rates: which cases it leaves out, and what comes first."""

    # what `vrft probe RECIPE --output FILE` wrote, beside the recipe; null: nothing is known at first, and
    # re_estimate learns the rates from the run's own groups
    pass_rates: str | None = None
    drop: tuple[Literal["always", "never"], ...] = ()  # cases that every sample, or none, answered right
    order: Literal["shuffled", "easy-to-hard", "hard-to-easy"] = "shuffled"  # over the whole stage
    unknown: Literal["keep", "drop", "refuse"] = "keep"  # training cases that the file does not have
    # every so many steps the rest of the stage is planned anew, the newest group of a case being its rate
    re_estimate: int | None = Field(default=None, ge=1)

    @field_validator("drop", mode="before")
    @classmethod
    def _one_may_stand_alone(cls, value: object) -> object:
        return (value,) if isinstance(value, str) else value

    @model_validator(mode="after")
    def _does_something(self) -> Curriculum:
        if not self.drop and self.order == "shuffled" and self.unknown == "keep":
            raise ValueError("it changes nothing; name drop, or an order")
        if self.pass_rates is None and self.re_estimate is None:
            raise ValueError("no pass_rates are named; name the file, or set re_estimate, which learns them")
        if self.pass_rates is None and self.unknown != "keep":
            raise ValueError(f"without pass_rates all cases are unknown, and unknown is {self.unknown}")
        if self.re_estimate is not None and not self.drop and self.order == "shuffled":
            raise ValueError("re_estimate renews what drop and order go by; name one of them")
        return self
