"""Arms side by side: each arm is one or more reports (training seeds) on the same cases.

Two different uncertainties are kept apart. The interval is that of the cases: patients are drawn anew, and in
every draw the arm's value is the mean over its seeds. The standard deviation is that of training, over seeds.
All arms see the same draws, so the difference between two arms is paired by patient.
"""

from __future__ import annotations

import statistics as stdlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from vrft_aug.errors import UserError
from vrft_aug.evaluation.bootstrap import Floats, Metric, Statistic, measure
from vrft_aug.evaluation.report_data import Report
from vrft_aug.evaluation.statistics import HEADLINES, groups, statistics


@dataclass(frozen=True)
class ArmMetric:
    """A metric of an arm: mean over its runs, interval over cases, standard deviation over runs."""

    metric: Metric
    deviation: float | None  # None with a single run, or where a run's value is undefined
    runs: tuple[float | None, ...]  # the value of each run

    @property
    def value_text(self) -> str:
        """Such as `0.81 ± 0.02`."""
        return self.metric.value_text + ("" if self.deviation is None else f" ± {self.deviation:.2f}")

    def __str__(self) -> str:
        """Such as `0.81 ± 0.02 [0.77, 0.85]`."""
        return f"{self.value_text} {self.metric.interval_text}".rstrip()


@dataclass(frozen=True)
class Comparison:
    """Arms with their metrics, and the differences between any two, later minus earlier."""

    arms: Mapping[str, Mapping[str, ArmMetric]]
    differences: Mapping[tuple[str, str], Mapping[str, Metric]]  # (of, minus) -> headline metric -> metric
    headline: tuple[str, ...]  # names of the metrics to show first
    seed: int
    bootstrap: int


def compare(arms: Mapping[str, Sequence[Report]]) -> Comparison:
    """Measure all arms on the same draws.

    Raises UserError where the arms were not evaluated on the same cases of the same task.
    """
    first_name, first = next((name, runs[0]) for name, runs in arms.items())
    for name, runs in arms.items():
        for report in runs:
            _require_same_cases(first_name, first, name, report)
    parts = {name: _means(runs) for name, runs in arms.items()}
    headline = HEADLINES[first.kind]
    wanted: dict[tuple[str, str, str], Statistic] = {
        (name, "", metric): statistic for name, part in parts.items() for metric, statistic in part.items()
    }
    names = list(arms)
    pairs = [(later, earlier) for i, later in enumerate(names) for earlier in names[:i]]
    for later, earlier in pairs:
        for metric in headline:
            wanted[later, earlier, metric] = _difference(parts[later][metric], parts[earlier][metric])
    measured = measure(wanted, groups(first.rows), replicates=first.bootstrap, seed=first.seed)
    return Comparison(
        arms={
            name: {metric: _arm_metric(measured[name, "", metric], runs, metric) for metric in parts[name]}
            for name, runs in arms.items()
        },
        differences={
            pair: {metric: measured[(*pair, metric)] for metric in headline} for pair in reversed(pairs)
        },
        headline=headline,
        seed=first.seed,
        bootstrap=first.bootstrap,
    )


def _require_same_cases(first_name: str, first: Report, name: str, report: Report) -> None:
    if (report.task, report.kind, report.labels) != (first.task, first.kind, first.labels):
        raise UserError(
            f"arm {name!r} was evaluated on task {report.task!r} ({report.kind}), arm {first_name!r} on "
            f"{first.task!r} ({first.kind}); arms are compared on one task with the same labels"
        )
    cases, expected = ([(r.case, r.truth) for r in one.rows] for one in (report, first))
    if cases != expected:
        raise UserError(
            f"arms {first_name!r} and {name!r} were evaluated on different cases: {len(expected)} of split "
            f"{first.split!r}, {len(cases)} of split {report.split!r}; evaluate both with the same settings"
        )


def _means(runs: Sequence[Report]) -> dict[str, Statistic]:
    """Of every metric the mean over runs, where all runs have it."""
    parts = [statistics(r.kind, r.labels, r.rows, r.medmnist) for r in runs]
    keys = [key for key in parts[0] if not key[1] and all(key in part for part in parts)]
    return {key[0]: _mean([part[key] for part in parts]) for key in keys}


def _mean(parts: Sequence[Statistic]) -> Statistic:
    def of(weights: Floats) -> Floats:
        values: Floats = np.mean([part.of(weights) for part in parts], axis=0)
        return values

    return Statistic(of, parts[0].n, all(part.resampled for part in parts))


def _difference(of: Statistic, minus: Statistic) -> Statistic:
    return Statistic(lambda weights: of.of(weights) - minus.of(weights), of.n)


def _arm_metric(metric: Metric, runs: Sequence[Report], name: str) -> ArmMetric:
    values = tuple(report.metrics[name].value for report in runs)
    defined = [value for value in values if value is not None]
    deviation = stdlib.stdev(defined) if len(defined) == len(values) > 1 else None
    return ArmMetric(metric, deviation, values)
