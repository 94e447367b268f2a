"""What readers make of the model's answer: do they follow a wrong one, and reject a right one?"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from vrft_aug.evaluation.metrics.bootstrap import Statistic, ratio
from vrft_aug.reader_study.agreement import UNREAD
from vrft_aug.reader_study.readings import Readings

# name -> (title, what it is), in the order of tables
RELIANCE = {
    "followed_wrong": (
        "Wrong model followed",
        "with a wrong answer of the model, the share that gave it too",
    ),
    "wrong_anyway": (
        "Same wrong answer alone",
        "the same cases without the model: how often that very answer was given anyway",
    ),
    "rejected_right": (
        "Right model rejected",
        "with a right answer of the model, the share that gave another",
    ),
    "led_astray": (
        "Led astray",
        "right alone, the model wrong: the share that gave the model's answer with it",
    ),
    "put_right": ("Put right", "wrong alone, the model right: the share that was right with it"),
}


def reliance(readings: Readings, readers: Sequence[int]) -> dict[str, Statistic]:
    """The figures of some readers, all their readings together; those that the study's conditions allow."""
    if "aided" not in readings.conditions:
        return {}
    chosen = list(readers)
    truth, model = readings.truth, readings.model
    right, wrong = model == truth, (model != truth) & (model != UNREAD)
    aided = readings.said["aided"][chosen]
    read = aided != UNREAD
    found = {
        "followed_wrong": _share(read & wrong & (aided == model), read & wrong),
        "rejected_right": _share(read & right & (aided != model), read & right),
    }
    if "unaided" in readings.conditions:
        alone = readings.said["unaided"][chosen]
        also = alone != UNREAD
        found["wrong_anyway"] = _share(also & wrong & (alone == model), also & wrong)
        if readings.material.protocol.each == "both":
            astray = read & also & wrong & (alone == truth)
            mended = read & also & right & (alone != truth)
            found["led_astray"] = _share(astray & (aided == model), astray)
            found["put_right"] = _share(mended & (aided == truth), mended)
    return {name: found[name] for name in RELIANCE if name in found}


def _share(above: np.ndarray, below: np.ndarray) -> Statistic:
    """Of (readers, cases): how many of `below` are in `above`, as a statistic over cases."""
    return ratio(above.sum(axis=0), below.sum(axis=0))
