"""All that the readers of a study said, as arrays: readers by cases, in each condition."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vrft_aug.evaluation.metrics.bootstrap import Floats
from vrft_aug.evaluation.metrics.case_rows import vote_key
from vrft_aug.reader_study.agreement import UNREAD, Ratings
from vrft_aug.reader_study.answer_log import ReaderLog, read_log
from vrft_aug.reader_study.material import Material, load_material
from vrft_aug.reader_study.protocol import Condition

SHORTEST = 0.05  # seconds: the logarithm of a time needs one


@dataclass(frozen=True)
class Readings:
    """Answers as category numbers (see `agreement`); `cannot tell` is the category after the last.

    Of a grade or class the categories are the labels in their clinical order; else whatever was said.
    """

    material: Material
    logs: Mapping[str, ReaderLog]
    conditions: tuple[Condition, ...]  # those of the study
    categories: tuple[str, ...]
    truth: Ratings  # (cases,)
    model: Ratings  # (cases,); UNREAD where the model gave no answer
    said: Mapping[Condition, Ratings]  # (readers, cases)
    seconds: Mapping[Condition, Floats]  # (readers, cases), nan where unread

    @property
    def cannot_tell(self) -> int:
        """The category of a reader who could not."""
        return len(self.categories)

    def marks(self, condition: Condition) -> Floats:
        """(readers, cases): 1 right, 0 wrong, nan unread."""
        said = self.said[condition]
        return np.where(said == UNREAD, np.nan, (said == self.truth).astype(np.float64))


def read_readings(folder: Path) -> Readings:
    """Everything in a study's folder; nothing is changed. Raises UserError as `read_log` does."""
    material = load_material(folder)
    logs = {reader: read_log(folder, material, reader) for reader in material.protocol.readers}
    return of_logs(material, logs)


def of_logs(material: Material, logs: Mapping[str, ReaderLog]) -> Readings:
    """The arrays of what was read."""
    cases = material.cases

    def key(text: str | None) -> str | None:
        return None if text is None else vote_key(material.kind, text)

    said = {key(given.answer) for log in logs.values() for given in log.given if given.slot.doing != "rating"}
    known = {key(text) for case in cases for text in (case.truth, case.answer)}
    others = sorted(one for one in said | known if one is not None and one not in material.labels)
    categories = (*(material.labels if material.kind in ("classify", "grade") else ()), *others)
    if material.kind not in ("classify", "grade"):
        categories = tuple(sorted(one for one in said | known if one is not None))
    number = {name: i for i, name in enumerate(categories)}
    conditions = material.protocol.conditions
    shape = (len(logs), len(cases))
    answers: dict[Condition, Ratings] = {one: np.full(shape, UNREAD, dtype=np.intp) for one in conditions}
    seconds: dict[Condition, Floats] = {one: np.full(shape, np.nan) for one in conditions}
    for row, log in enumerate(logs.values()):
        for given in log.given:
            if given.slot.doing == "rating":
                continue
            answer = key(given.answer)
            place = row, given.slot.case
            answers[given.slot.doing][place] = len(categories) if answer is None else number[answer]
            seconds[given.slot.doing][place] = max(given.seconds, SHORTEST)
    return Readings(
        material=material,
        logs=logs,
        conditions=conditions,
        categories=categories,
        truth=_numbers([key(case.truth) for case in cases], number),
        model=_numbers([key(case.answer) for case in cases], number),
        said=answers,
        seconds=seconds,
    )


def _numbers(keys: list[str | None], number: Mapping[str, int]) -> NDArray[np.intp]:
    return np.array([UNREAD if one is None else number[one] for one in keys], dtype=np.intp)
