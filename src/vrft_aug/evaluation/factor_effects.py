"""What each factor of a study does, alone and together, with intervals over cases and over trainings.

An effect is a contrast of cells: the mean, over all settings of the other factors that were run, of one level
minus the first level of its factor (main effect), or of the difference between two such differences
(interaction). Two uncertainties add up: that of the cases, by a bootstrap in which all cells see the same
draws, and that of training, by the spread of the effect over seeds. Seeds are few, and a bootstrap over a few
of them is too narrow, so half of the interval is the root of the sum of squares of two halves: normal over
cases, Student's t over seeds (MOVER, Zou and Donner 2008). With one seed the luck of training is
in no interval.

P-values are those of the same interval, corrected by Holm over all effects and metrics of the study.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations, product
from typing import Literal

import numpy as np

from vrft_aug.errors import UserError, nearest
from vrft_aug.evaluation.comparison import mean_statistic, on_same_cases
from vrft_aug.evaluation.meanings import Meaning, headline
from vrft_aug.evaluation.metrics.bootstrap import Floats, Metric, Statistic, defined_draws, resample, summary
from vrft_aug.evaluation.metrics.catalogue import drawn_units, groups, statistics
from vrft_aug.evaluation.report_data import Report
from vrft_aug.evaluation.significance import Significance, holm

Levels = tuple[str, ...]  # of a cell: the level of every factor, in the factors' order
Runs = Mapping[Levels, Mapping[int, Report]]  # cell -> training seed -> evaluation
Kind = Literal["main", "interaction"]
SMALLEST = 1e-12  # p-value that is told


@dataclass(frozen=True)
class Contrast:
    """What an effect is made of: the weight of every cell, summing to 0."""

    name: str  # "knowledge: on", "knowledge: on × shaping: on"
    kind: Kind
    weights: Mapping[Levels, float]
    settings: int  # of the other factors, that it is the mean of


@dataclass(frozen=True)
class Effect:
    """A contrast in one metric; standard errors and interval in the metric's own unit."""

    contrast: Contrast
    metric: str
    value: float | None
    low: float | None
    high: float | None
    case_error: float | None
    training_error: float | None  # None with one seed
    seeds: int
    test: Significance | None


@dataclass(frozen=True)
class CellFigures:
    """A cell's metrics: mean over its seeds with the interval of the cases, deviation over seeds."""

    levels: Levels
    seeds: tuple[int, ...]
    of_seed: Mapping[str, Mapping[int, float]]  # metric -> seed -> value, nan where undefined
    metrics: Mapping[str, Metric]
    deviations: Mapping[str, float | None]


@dataclass(frozen=True)
class StudyFigures:
    """All that a study's page shows in numbers."""

    factors: Mapping[str, tuple[str, ...]]
    cells: tuple[CellFigures, ...]
    effects: tuple[Effect, ...]
    metrics: tuple[str, ...]
    meanings: Mapping[str, Meaning]
    units: str  # what the draws are of: patients, pictures or cases
    bootstrap: int


def contrasts(factors: Mapping[str, Sequence[str]], cells: Sequence[Levels]) -> list[Contrast]:
    """Every main effect and interaction of two factors that the cells can tell, against the first levels."""
    names, there = list(factors), set(cells)
    found = []
    kinds: tuple[tuple[int, Kind], ...] = ((1, "main"), (2, "interaction"))
    for order, kind in kinds:
        for places in combinations(range(len(names)), order):
            for levels in product(*(factors[names[place]][1:] for place in places)):
                weights, settings = _weights(factors, names, there, places, levels)
                if settings:
                    told = [f"{names[p]}: {level}" for p, level in zip(places, levels, strict=True)]
                    found.append(Contrast(" × ".join(told), kind, weights, settings))
    return found


def _weights(
    factors: Mapping[str, Sequence[str]],
    names: Sequence[str],
    there: set[Levels],
    places: Sequence[int],
    levels: Sequence[str],
) -> tuple[dict[Levels, float], int]:
    """The signed cells of a contrast, averaged over the settings of the others where all of them were run."""
    others = [[""] if place in places else list(factors[name]) for place, name in enumerate(names)]
    weights: dict[Levels, float] = {}
    settings = 0
    for rest in product(*others):
        signed: dict[Levels, float] = {}
        for high in product((False, True), repeat=len(places)):
            cell = list(rest)
            for place, level, is_high in zip(places, levels, high, strict=True):
                cell[place] = level if is_high else factors[names[place]][0]
            signed[tuple(cell)] = float(np.prod([1 if is_high else -1 for is_high in high]))
        if signed.keys() <= there:
            settings += 1
            for cell_levels, sign in signed.items():
                weights[cell_levels] = weights.get(cell_levels, 0.0) + sign
    return {cell: weight / max(settings, 1) for cell, weight in weights.items()}, settings


def study_figures(
    factors: Mapping[str, tuple[str, ...]],
    runs: Runs,
    metrics: Sequence[str] = (),
    replicates: int | None = None,
) -> StudyFigures:
    """Measure every cell and every effect on the same draws of the cases.

    `metrics` replace the task's headline. A cell that is not trained may have one run for all seeds. Raises
    UserError where cells were not evaluated on the same cases, or lack a metric.
    """
    first_cell = next(iter(runs))
    first = next(iter(runs[first_cell].values()))
    kept = {
        (cell, seed): on_same_cases(_called(first_cell), first, _called(cell), report)
        for cell, of_cell in runs.items()
        for seed, report in of_cell.items()
    }
    parts = {
        run: {
            key[0]: statistic
            for key, statistic in statistics(r.kind, r.labels, r.rows, r.medmnist, r.named).items()
            if not key[1]
        }
        for run, r in kept.items()
    }
    shared = [name for name in first.metrics if all(name in part for part in parts.values())]
    shown = tuple(metrics or headline(first.kind, shared))
    for name in shown:
        if name not in shared:
            hint = nearest(name, shared) or f"; they have {', '.join(shared)}"
            raise UserError(f"not every cell of the study has metric {name!r}{hint}")
    wanted = {(*run, name): part[name] for run, part in parts.items() for name in shown}
    replicates = replicates or first.bootstrap
    draws = resample(wanted, groups(first.rows), replicates=replicates, seed=first.seed)
    values = {key: float(s.of(np.ones((1, len(first.rows))))[0]) for key, s in wanted.items()}
    cases = len(first.rows)
    effects = [
        _effect(contrast, name, runs, values, draws)
        for name in shown
        for contrast in contrasts(factors, list(runs))
    ]
    tests = holm({i: p for i, (_, p) in enumerate(effects) if p is not None})
    return StudyFigures(
        factors=factors,
        cells=tuple(
            _cell(cell, tuple(of_cell), shown, wanted, draws, cases) for cell, of_cell in runs.items()
        ),
        effects=tuple(replace(effect, test=tests.get(i)) for i, (effect, _) in enumerate(effects)),
        metrics=shown,
        meanings=first.meanings,
        units=drawn_units(first.rows),
        bootstrap=replicates,
    )


def _called(levels: Levels) -> str:
    return ", ".join(levels)


def _seeds(contrast: Contrast, runs: Runs) -> list[int]:
    """The seeds that all cells of a contrast have; a cell with one run alone has it for every seed."""
    several = [set(runs[cell]) for cell in contrast.weights if len(runs[cell]) > 1]
    if not several:
        return [next(iter(runs[cell])) for cell in list(contrast.weights)[:1]]
    return sorted(set.intersection(*several))


def _effect(
    contrast: Contrast,
    metric: str,
    runs: Runs,
    values: Mapping[tuple[Levels, int, str], float],
    draws: Mapping[tuple[Levels, int, str], Floats],
) -> tuple[Effect, float | None]:
    """The effect without its corrected test, and its p-value."""

    def key(cell: Levels, seed: int) -> tuple[Levels, int, str]:
        return cell, seed if seed in runs[cell] else next(iter(runs[cell])), metric

    seeds = _seeds(contrast, runs)
    weights = contrast.weights.items()
    by_seed = np.array([sum(w * values[key(cell, seed)] for cell, w in weights) for seed in seeds])
    if len(seeds) == 0 or np.isnan(by_seed).any():
        return Effect(contrast, metric, None, None, None, None, None, len(seeds), None), None
    of_draws = [np.sum([w * draws[key(cell, seed)] for cell, w in weights], axis=0) for seed in seeds]
    defined = defined_draws(np.mean(of_draws, axis=0))
    value = float(by_seed.mean())
    if len(defined) < 2:
        return Effect(contrast, metric, value, None, None, None, None, len(seeds), None), None
    case_error = float(defined.std(ddof=1))
    low, high = interval(by_seed, case_error)
    training = _error(by_seed) if len(seeds) > 1 else None
    effect = Effect(contrast, metric, value, low, high, case_error, training, len(seeds), None)
    return effect, p_value(by_seed, case_error)


def interval(by_seed: Floats, case_error: float, p: float = 0.05) -> tuple[float, float]:
    """Low and high, which leave out the truth with probability `p`.

    `by_seed` (seeds,) is the effect in every training, `case_error` the standard error of its mean over
    cases.
    """
    from scipy.stats import norm
    from scipy.stats import t as student

    value, count = float(by_seed.mean()), len(by_seed)
    of_training = float(student.isf(p / 2, count - 1)) * _error(by_seed) if count > 1 else 0.0
    reach = float(np.hypot(float(norm.isf(p / 2)) * case_error, of_training))
    return value - reach, value + reach


def p_value(by_seed: Floats, case_error: float) -> float:
    """The two-sided p of no effect: that of the interval which just reaches 0."""
    from scipy.optimize import brentq

    def beyond(p: float) -> float:
        low, high = interval(by_seed, case_error, p)
        return (high - low) / 2 - abs(float(by_seed.mean()))

    if beyond(SMALLEST) <= 0:
        return SMALLEST if by_seed.mean() else 1.0
    return float(brentq(beyond, SMALLEST, 1.0))


def _error(by_seed: Floats) -> float:
    return float(by_seed.std(ddof=1) / np.sqrt(len(by_seed)))


def _cell(
    cell: Levels,
    seeds: tuple[int, ...],
    metrics: Sequence[str],
    wanted: Mapping[tuple[Levels, int, str], Statistic],
    draws: Mapping[tuple[Levels, int, str], Floats],
    cases: int,
) -> CellFigures:
    figures: dict[str, Metric] = {}
    deviations: dict[str, float | None] = {}
    values: dict[str, dict[int, float]] = {}
    for name in metrics:
        of_seeds = [wanted[cell, seed, name] for seed in seeds]
        drawn: Floats = np.mean([draws[cell, seed, name] for seed in seeds], axis=0)
        figures[name] = summary(mean_statistic(of_seeds), cases, drawn)
        alone = [float(one.of(np.ones((1, cases)))[0]) for one in of_seeds]
        values[name] = dict(zip(seeds, alone, strict=True))
        deviations[name] = float(np.std(alone, ddof=1)) if len(alone) > 1 else None
    return CellFigures(cell, seeds, values, figures, deviations)
