"""What a reader study amounts to: accuracy with and without the model, reliance on it, agreement, time.

Intervals are 95 % percentile bootstrap intervals over cases (patients and pictures are drawn whole), all of
the same draws, so that differences are paired. They hold for these readers; `over_readers` draws readers too.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from functools import cache
from itertools import combinations

import numpy as np
from pydantic import TypeAdapter

from vrft_aug.evaluation.metrics.bootstrap import Metric, Statistic, measure, ratio
from vrft_aug.evaluation.metrics.catalogue import groups
from vrft_aug.nouns import TaskKind
from vrft_aug.reader_study.agreement import (
    cohen_kappa,
    fleiss_kappa,
    krippendorff_alpha,
    quadratic_cohen_kappa,
)
from vrft_aug.reader_study.mrmc import ObuchowskiRockette, obuchowski_rockette, over_readers_and_cases
from vrft_aug.reader_study.protocol import Condition
from vrft_aug.reader_study.reader_figures import BOTH, ReaderFigures, figures_of, statistics_of
from vrft_aug.reader_study.readings import Readings
from vrft_aug.reader_study.reason_ratings import ReasonRatings, reason_ratings

REPLICATES = 2000
FEW_READERS = 5  # below which an interval over readers is told to be rough


@dataclass(frozen=True)
class Pair:
    """Two readers in a condition, over the cases that both have read in it."""

    condition: Condition
    first: str
    second: str
    kappa: Metric
    quadratic: Metric | None  # of grades


@dataclass(frozen=True)
class Together:
    """All readers in a condition."""

    condition: Condition
    fleiss: Metric  # over the cases that all have read in it
    alpha: Metric  # Krippendorff's, nominal
    alpha_squared: Metric | None  # of grades, by squared difference


@dataclass(frozen=True)
class Analysis:
    """All figures of a reader study."""

    name: str
    title: str
    task: str
    kind: TaskKind
    labels: tuple[str, ...]
    conditions: tuple[Condition, ...]
    cases: int
    replicates: int
    seed: int
    model: Metric  # accuracy of the model alone; no answer is a wrong one
    readers: tuple[ReaderFigures, ...]
    all: ReaderFigures
    over_readers: Mapping[str, Metric]  # a condition, or "gain": intervals over readers and cases
    obuchowski_rockette: ObuchowskiRockette | None
    pairs: tuple[Pair, ...]
    together: tuple[Together, ...]
    ratings: ReasonRatings | None
    notes: tuple[str, ...]


def analyse(readings: Readings, replicates: int = REPLICATES) -> Analysis:
    """All figures of what has been read so far."""
    material, names = readings.material, list(readings.logs)
    everybody, drawn = list(range(len(names))), groups(material.cases)
    asked = {name: [reader] for reader, name in enumerate(names)} | {"": everybody}
    found: dict[tuple[str, ...], Statistic] = {("model",): ratio(readings.model == readings.truth)}
    for name, readers in asked.items():
        found |= {("reader", name, *key): one for key, one in statistics_of(readings, readers).items()}
    found |= _agreement(readings, names)
    measured = measure(found, drawn, replicates=replicates, seed=material.protocol.seed)

    def figures(name: str, title: str) -> ReaderFigures:
        own = {(key[2], key[3]): metric for key, metric in measured.items() if key[:2] == ("reader", name)}
        return figures_of(readings, asked[name], title, own)

    over_readers, tested = _over_readers(readings, drawn, replicates)
    return Analysis(
        name=material.protocol.name,
        title=material.protocol.heading,
        task=material.task,
        kind=material.kind,
        labels=material.labels,
        conditions=readings.conditions,
        cases=len(material.cases),
        replicates=replicates,
        seed=material.protocol.seed,
        model=measured["model",],
        readers=tuple(figures(name, name) for name in names),
        all=figures("", "all"),
        over_readers=over_readers,
        obuchowski_rockette=tested,
        pairs=tuple(
            Pair(
                one,
                a,
                b,
                measured["pair", one, a, b, "kappa"],
                measured.get(("pair", one, a, b, "quadratic")),
            )
            for one in readings.conditions
            for a, b in combinations(names, 2)
        ),
        together=tuple(
            Together(
                one,
                measured["together", one, "fleiss"],
                measured["together", one, "alpha"],
                measured.get(("together", one, "squared")),
            )
            for one in (readings.conditions if len(names) > 1 else ())
        ),
        ratings=reason_ratings(readings, replicates),
        notes=_notes(readings),
    )


def _agreement(readings: Readings, names: list[str]) -> dict[tuple[str, ...], Statistic]:
    """Between readers, in each condition. `cannot tell` is a category of its own, and no grade."""
    found: dict[tuple[str, ...], Statistic] = {}
    categories, graded = len(readings.categories), readings.material.kind == "grade"
    for condition in readings.conditions if len(names) > 1 else ():
        said = readings.said[condition]
        for a, b in combinations(range(len(names)), 2):
            place = ("pair", condition, names[a], names[b])
            found[*place, "kappa"] = cohen_kappa(said[a], said[b], categories + 1)
            if graded:
                found[*place, "quadratic"] = quadratic_cohen_kappa(said[a], said[b], categories)
        found["together", condition, "fleiss"] = fleiss_kappa(said, categories + 1)
        found["together", condition, "alpha"] = krippendorff_alpha(said, categories + 1)
        if graded:  # `cannot tell` is no rating here: no row of counts has a place for it
            found["together", condition, "squared"] = krippendorff_alpha(said, categories, squared=True)
    return found


def _over_readers(
    readings: Readings, drawn: list[tuple[str, str]], replicates: int
) -> tuple[dict[str, Metric], ObuchowskiRockette | None]:
    """Readers and cases both drawn: conditions and, where there are two, the gain; and its MRMC test."""
    seed, groups_of = readings.material.protocol.seed, list[Hashable](drawn)
    conditions: tuple[Condition, ...] = tuple(one for one in BOTH if one in readings.conditions)
    if not conditions:
        return {}, None
    marks = np.stack([readings.marks(one) for one in conditions])
    metrics = over_readers_and_cases(marks, groups_of, replicates=replicates, seed=seed)
    names = (*conditions, "gain") if len(conditions) == 2 else conditions
    return dict(zip(names, metrics, strict=True)), obuchowski_rockette(marks, groups_of)


def _notes(readings: Readings) -> tuple[str, ...]:
    """What to know before the figures are read."""
    notes = []
    unfinished = [
        f"{reader} ({len(log.given)} of {len(readings.material.slots(reader))})"
        for reader, log in readings.logs.items()
        if len(log.given) < len(readings.material.slots(reader))
    ]
    if unfinished:
        notes.append(f"Not finished: {', '.join(unfinished)}; figures are of what has been read so far.")
    if torn := [reader for reader, log in readings.logs.items() if log.torn]:
        notes.append(
            f"An answer that a crash cut off was left out: {', '.join(torn)}; it will be asked again."
        )
    if readings.conditions and 1 < len(readings.logs) < FEW_READERS:
        notes.append(
            f"{len(readings.logs)} readers: intervals over readers are rough, and say little about others."
        )
    if len(readings.conditions) == 2 and readings.material.protocol.each == "one":
        notes.append(
            "Each reader read a case in one condition: differences compare different cases of a reader, and "
            "readers agree only on cases that both read in the same condition."
        )
    if len(readings.conditions) == 2 and not readings.material.protocol.washout_days:
        notes.append("No washout between the sessions: readers may have remembered cases.")
    return tuple(notes)


def plain_analysis(analysis: Analysis) -> str:
    """As JSON text."""
    return _json().dump_json(analysis, indent=1).decode() + "\n"


@cache
def _json() -> TypeAdapter[Analysis]:
    return TypeAdapter(Analysis)
