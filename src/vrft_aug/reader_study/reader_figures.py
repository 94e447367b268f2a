"""The figures of one reader, or of all together: accuracy, gain by the model, reliance, kappa, time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from vrft_aug.evaluation.metrics.bootstrap import Floats, Metric, Statistic, mean_of_defined, ratio
from vrft_aug.evaluation.metrics.classification import quadratic_kappa
from vrft_aug.reader_study.agreement import UNREAD, cohen_kappa, difference, on
from vrft_aug.reader_study.protocol import Condition
from vrft_aug.reader_study.readings import Readings
from vrft_aug.reader_study.reliance import RELIANCE, reliance

BOTH: tuple[Condition, Condition] = ("unaided", "aided")
Key = tuple[str, str]  # what, and in which condition ("" where in none)


@dataclass(frozen=True)
class ReaderFigures:
    """One reader, or all of them together (`reader` is "all").

    Of all, accuracy, kappa and time are means over readers, each counting the same; reliance is of all
    readings together.
    """

    reader: str
    done: int  # readings and ratings
    of: int
    interrupted: int  # readings whose page was opened more than once
    accuracy: Mapping[Condition, Metric]
    gain: Metric | None  # accuracy aided minus unaided; None without both conditions
    better: int  # readings wrong alone and right with the model
    worse: int  # the reverse
    p: float | None  # exact McNemar test of the two; None of all, and without cases in both conditions
    kappa: Mapping[Condition, Metric]  # Cohen's, against the truth
    quadratic: Mapping[Condition, Metric]  # likewise with quadratic weights, of grades
    reliance: Mapping[str, Metric]
    seconds: Mapping[Condition, Metric]  # geometric mean of the time a case
    median: Mapping[Condition, float | None]
    time_ratio: Metric | None  # aided over unaided, of geometric means


def statistics_of(readings: Readings, readers: Sequence[int]) -> dict[Key, Statistic]:
    """All that is drawn again for some readers."""
    found: dict[Key, Statistic] = {}
    for condition in readings.conditions:
        of_each = [_of_one(readings, reader, condition) for reader in readers]
        found |= {(name, condition): _mean([one[name] for one in of_each]) for name in of_each[0]}
    if set(readings.conditions) == set(BOTH):
        found["gain", ""] = difference(found["accuracy", "aided"], found["accuracy", "unaided"])
        found["time_ratio", ""] = _ratio_of_times(
            found["log_seconds", "aided"], found["log_seconds", "unaided"]
        )
    for condition in readings.conditions:
        found["seconds", condition] = _exponential(found.pop(("log_seconds", condition)))
    return found | {(name, "reliance"): one for name, one in reliance(readings, readers).items()}


def figures_of(
    readings: Readings, readers: Sequence[int], name: str, measured: Mapping[Key, Metric]
) -> ReaderFigures:
    """The figures of some readers, from what `statistics_of` came to."""
    logs = [list(readings.logs.values())[reader] for reader in readers]
    slots = [readings.material.slots(list(readings.logs)[reader]) for reader in readers]

    def of(what: str) -> dict[Condition, Metric]:
        return {one: measured[what, one] for one in readings.conditions if (what, one) in measured}

    better, worse = _changed(readings, readers)
    one = len(readers) == 1 and better + worse > 0
    return ReaderFigures(
        reader=name,
        done=sum(len(log.given) for log in logs),
        of=sum(map(len, slots)),
        interrupted=sum(given.openings > 1 for log in logs for given in log.given),
        accuracy=of("accuracy"),
        gain=measured.get(("gain", "")),
        better=better,
        worse=worse,
        p=float(stats.binomtest(min(better, worse), better + worse).pvalue) if one else None,
        kappa=of("kappa"),
        quadratic=of("quadratic"),
        reliance={name: measured[name, "reliance"] for name in RELIANCE if (name, "reliance") in measured},
        seconds=of("seconds"),
        median={one: _median(readings.seconds[one][list(readers)]) for one in readings.conditions},
        time_ratio=measured.get(("time_ratio", "")),
    )


def _of_one(readings: Readings, reader: int, condition: Condition) -> dict[str, Statistic]:
    said, truth = readings.said[condition][reader], readings.truth
    categories = len(readings.categories)
    found = {
        "accuracy": ratio((said == truth) & (said != UNREAD), said != UNREAD),
        "kappa": cohen_kappa(truth, said, categories + 1),
        "log_seconds": _mean_log(readings.seconds[condition][reader]),
    }
    if readings.material.kind == "grade":
        read = said != UNREAD
        # `cannot tell` is the grade farthest from the truth, as an answer that a model does not give
        found["quadratic"] = on(quadratic_kappa(truth[read], said[read], categories), read)
    return found


def _changed(readings: Readings, readers: Sequence[int]) -> tuple[int, int]:
    """Readings wrong alone and right with the model, and the reverse, of cases read in both conditions."""
    if set(readings.conditions) != set(BOTH):
        return 0, 0
    alone, aided = (readings.marks(one)[list(readers)] for one in BOTH)
    return int(((alone == 0) & (aided == 1)).sum()), int(((alone == 1) & (aided == 0)).sum())


def _mean(statistics: Sequence[Statistic]) -> Statistic:
    """Over those that are defined in a draw."""
    return Statistic(
        lambda weights: mean_of_defined(np.stack([one.of(weights) for one in statistics], axis=-1)),
        sum(one.n for one in statistics),
    )


def _mean_log(seconds: Floats) -> Statistic:
    read = ~np.isnan(seconds)
    return ratio(np.where(read, np.log(np.where(read, seconds, 1.0)), 0.0), read)


def _exponential(statistic: Statistic) -> Statistic:
    return Statistic(lambda weights: np.exp(statistic.of(weights)), statistic.n)


def _ratio_of_times(aided: Statistic, unaided: Statistic) -> Statistic:
    return _exponential(difference(aided, unaided))


def _median(seconds: NDArray[np.float64]) -> float | None:
    read = seconds[~np.isnan(seconds)]
    return float(np.median(read)) if len(read) else None
