"""Arms side by side: each arm is one or more reports (training seeds) on the same cases.

Two different uncertainties are kept apart. The interval is that of the cases: patients are drawn anew, and in
every draw the arm's value is the mean over its seeds. The standard deviation is that of training, over seeds.
All arms see the same draws, so the difference between two arms is paired by patient.

Tests are corrected by Holm: those of the bootstrap over all differences and metrics shown, McNemar's over all
differences.
"""

from __future__ import annotations

import statistics as stdlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from vrft_aug.errors import UserError, nearest
from vrft_aug.evaluation.meanings import Meaning, headline
from vrft_aug.evaluation.metrics.bootstrap import Floats, Metric, Statistic, resample, summary
from vrft_aug.evaluation.metrics.case_rows import Row
from vrft_aug.evaluation.metrics.catalogue import drawn_units, groups, right_cases, statistics
from vrft_aug.evaluation.report_data import Report
from vrft_aug.evaluation.significance import McNemar, Significance, bootstrap_p, holm, independent, mcnemar_p

Pair = tuple[str, str]  # a difference: of, minus
FEW = 3  # cases named in a message


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
    """Arms with their metrics, and the differences between two of them, with tests."""

    arms: Mapping[str, Mapping[str, ArmMetric]]
    differences: Mapping[Pair, Mapping[str, Metric]]  # (of, minus) -> headline metric -> metric
    headline: tuple[str, ...]  # names of the metrics to show first
    seed: int
    bootstrap: int
    units: str  # what the draws are of: patients, pictures or cases
    tests: Mapping[Pair, Mapping[str, Significance]]  # as `differences`, without those that have no interval
    mcnemar: Mapping[Pair, McNemar]  # empty where it does not apply, see `notes`
    notes: tuple[str, ...]  # what a reader must know
    meanings: Mapping[str, Meaning]  # how the metrics are called and read, by name


def compare(
    arms: Mapping[str, Sequence[Report]],
    *,
    baseline: str | None = None,
    metrics: Sequence[str] = (),
    replicates: int | None = None,
) -> Comparison:
    """Measure all arms on the same draws, and test the differences of the headline metrics.

    Differences are between any two arms, later minus earlier; with a `baseline` of all others and it. The
    `metrics` replace the task's headline. Raises UserError where the arms were not evaluated on the same
    cases of the same task, or have no such baseline or metric.
    """
    first_name, first = next((name, runs[0]) for name, runs in arms.items())
    aligned = {
        name: [on_same_cases(first_name, first, name, run) for run in runs] for name, runs in arms.items()
    }
    parts = {name: _means(runs) for name, runs in aligned.items()}
    shared = [metric for metric in first.metrics if all(metric in part for part in parts.values())]
    shown = _headline(metrics or headline(first.kind, shared), parts)
    pairs = _pairs(list(arms), baseline)
    wanted: dict[tuple[str, str, str], Statistic] = {
        (name, "", metric): statistic for name, part in parts.items() for metric, statistic in part.items()
    }
    for of, minus in pairs:
        for metric in shown:
            wanted[of, minus, metric] = _difference(parts[of][metric], parts[minus][metric])
    drawn_as_one, replicates = groups(first.rows), replicates or first.bootstrap
    draws = resample(wanted, drawn_as_one, replicates=replicates, seed=first.seed)
    measured = {key: summary(statistic, len(first.rows), draws[key]) for key, statistic in wanted.items()}
    mcnemar, why_not = _mcnemar(aligned, pairs)
    return Comparison(
        arms={
            name: {metric: _arm_metric(measured[name, "", metric], runs, metric) for metric in parts[name]}
            for name, runs in aligned.items()
        },
        differences={pair: {metric: measured[(*pair, metric)] for metric in shown} for pair in pairs},
        headline=shown,
        seed=first.seed,
        bootstrap=replicates,
        units=drawn_units(first.rows),
        tests=_tests(pairs, shown, draws),
        mcnemar=mcnemar,
        notes=(*_data_notes(aligned), *why_not),
        meanings={name: one for runs in arms.values() for run in runs for name, one in run.meanings.items()},
    )


def on_same_cases(first_name: str, first: Report, name: str, report: Report) -> Report:
    """The report with its rows in the order of the first one's; UserError unless they are the same cases."""
    if (report.task, report.kind, report.labels) != (first.task, first.kind, first.labels):
        raise UserError(
            f"arm {name!r} was evaluated on task {report.task!r} ({report.kind}), arm {first_name!r} on "
            f"{first.task!r} ({first.kind}); arms are compared on one task with the same labels"
        )
    rows, expected = ({row.case: row for row in one.rows} for one in (report, first))
    if rows.keys() != expected.keys():
        alone = [
            f"only in {who!r}: {_few([case for case in mine if case not in theirs])}"
            for who, mine, theirs in ((first_name, expected, rows), (name, rows, expected))
            if any(case not in theirs for case in mine)
        ]
        raise UserError(
            f"arms {first_name!r} and {name!r} were evaluated on different cases: {len(expected)} of split "
            f"{first.split!r}, {len(rows)} of split {report.split!r}; {'; '.join(alone)}; evaluate both with "
            f"the same data, split and limit"
        )
    changed = [case for case, row in rows.items() if _asked(row) != _asked(expected[case])]
    if changed:
        raise UserError(
            f"arms {first_name!r} and {name!r} were evaluated on different truths of {_few(changed)}; "
            f"evaluate both on the same data"
        )
    return replace(report, rows=tuple(rows[case] for case in expected))


def _asked(row: Row) -> tuple[object, ...]:
    return (row.truth, row.true_boxes if row.truth is None else None)


def _few(cases: Sequence[str]) -> str:
    more = f" and {len(cases) - FEW} more" if len(cases) > FEW else ""
    return ", ".join(cases[:FEW]) + more


def _headline(wanted: Sequence[str], parts: Mapping[str, Mapping[str, Statistic]]) -> tuple[str, ...]:
    for metric in wanted:
        for name, part in parts.items():
            if metric not in part:
                hint = nearest(metric, part) or f"; it has {', '.join(part)}"
                raise UserError(f"arm {name!r} has no metric {metric!r}{hint}")
    return tuple(wanted)


def _pairs(names: Sequence[str], baseline: str | None) -> list[Pair]:
    """(of, minus): the last two arms first; or all others and the baseline."""
    if baseline is None:
        return [(later, earlier) for i, later in enumerate(names) for earlier in names[:i]][::-1]
    if baseline not in names:
        raise UserError(
            f"no arm is called {baseline!r}{nearest(baseline, names)}; expected {', '.join(names)}"
        )
    return [(name, baseline) for name in names if name != baseline]


def _tests(
    pairs: Sequence[Pair], headline: Sequence[str], draws: Mapping[tuple[str, str, str], Floats]
) -> dict[Pair, dict[str, Significance]]:
    """Bootstrap tests of all differences, corrected together."""
    found = {(*pair, metric): bootstrap_p(draws[(*pair, metric)]) for pair in pairs for metric in headline}
    tests = holm({key: p for key, p in found.items() if p is not None})
    return {
        pair: {metric: tests[(*pair, metric)] for metric in headline if (*pair, metric) in tests}
        for pair in pairs
    }


def _mcnemar(
    arms: Mapping[str, Sequence[Report]], pairs: Sequence[Pair]
) -> tuple[dict[Pair, McNemar], list[str]]:
    """The exact test of every pair, or why it does not apply."""
    first = next(iter(arms.values()))[0]
    if first.kind == "localise":
        return {}, []
    if any(len(runs) > 1 for runs in arms.values()):
        return {}, ["No McNemar test: an arm has several runs, so a case is not simply right or wrong."]
    if not independent(groups(first.rows)):
        return {}, ["No McNemar test: patients have several cases, which it would take for independent."]
    right = {name: right_cases(runs[0].kind, runs[0].rows) for name, runs in arms.items()}
    tests = holm({(of, minus): mcnemar_p(right[of], right[minus]) for of, minus in pairs})
    return {
        (of, minus): McNemar(
            int((right[of] & ~right[minus]).sum()), int((right[minus] & ~right[of]).sum()), test
        )
        for (of, minus), test in tests.items()
    }, []


def _data_notes(arms: Mapping[str, Sequence[Report]]) -> list[str]:
    hashes = {run.provenance.data for runs in arms.values() for run in runs}
    if len(hashes) == 1:
        return []
    return ["The cases are the same, but their pictures or further annotations differ (data hashes differ)."]


def _means(runs: Sequence[Report]) -> dict[str, Statistic]:
    """Of every metric the mean over runs, where all runs have it."""
    parts = [statistics(r.kind, r.labels, r.rows, r.medmnist, r.named) for r in runs]
    keys = [key for key in parts[0] if not key[1] and all(key in part for part in parts)]
    return {key[0]: mean_statistic([part[key] for part in parts]) for key in keys}


def mean_statistic(parts: Sequence[Statistic]) -> Statistic:
    """Of several runs on the same cases, in every draw of them."""

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
