"""What a recipe may say about splits and patients, whatever the reader; free of everything heavy."""

from __future__ import annotations

import re
from typing import Literal

from pydantic import Field, field_validator, model_validator

from vrft_aug.data.settings import DataConfig, Strict


class RandomSplit(Strict):
    """A random split by patient, stratified by label."""

    seed: int = Field(default=0, ge=0)
    validation: float = Field(default=0.15, ge=0, lt=1)  # share of the patients (images where unknown)
    test: float = Field(default=0.2, ge=0, lt=1)
    stratify: bool = True

    @model_validator(mode="after")
    def _some_are_left_to_train_on(self) -> RandomSplit:
        if self.validation + self.test >= 1:
            raise ValueError(
                f"validation {self.validation:g} and test {self.test:g} leave nothing to train on"
            )
        return self


class SplitSettings(DataConfig):
    """Settings of every reader of files: who belongs together, and who is in which split."""

    # A regular expression that finds the patient in the path of an image: its first group, or all it matches
    patient_pattern: str | None = None
    split_names: dict[str, str] = Field(default_factory=dict)  # what the data calls a split -> train, ...
    random_split: RandomSplit | None = None  # without it, and without splits in the data, a hash deals
    shared_patients: Literal["refuse", "accept"] = "refuse"  # a patient in two of the data's own splits

    @field_validator("patient_pattern")
    @classmethod
    def _compiles(cls, value: str | None) -> str | None:
        try:
            re.compile(value or "")
        except re.error as error:
            raise ValueError(f"patient_pattern {value!r} is no regular expression: {error}") from None
        return value
