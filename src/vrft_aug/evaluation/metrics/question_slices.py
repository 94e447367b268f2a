"""Results told apart by what the data says of a question: its form, type, topic, language, modality.

All slices see the draws of the whole report, and like it draw patients and pictures.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from vrft_aug.evaluation.metrics.bootstrap import Metric, Statistic, measure, ratio
from vrft_aug.evaluation.metrics.case_rows import BLIND_FIGURES, Row
from vrft_aug.evaluation.metrics.catalogue import groups, right_cases
from vrft_aug.nouns import TaskKind
from vrft_aug.shaping.text import token_f1

FORMS = ("closed", "open", "choice")  # of questions; closed and open as the file says in the facet `type`
ALL = "all"
MOST_VALUES = 30  # of a facet, the most frequent first


@dataclass(frozen=True)
class Slice:
    """Some of the cases of a report.

    Args:
        facet: what they are told apart by; "" for all of the report's cases.
        value: the facet's value that they have.
        form: closed, open or choice; all: whatever the form.
        cases: how many.
        metrics: accuracy, token_f1 (answer), chance (choice), answered, and the blind baselines.
    """

    facet: str
    value: str
    form: str
    cases: int
    metrics: Mapping[str, Metric]


def slices(kind: TaskKind, rows: Sequence[Row], *, replicates: int, seed: int) -> tuple[Slice, ...]:
    """A slice for every value of every facet, whole and by form; () where no case has a facet or form.

    Slices that would repeat the whole are left out.
    """
    if kind == "localise" or not any(row.facets or form(kind, row) in FORMS for row in rows):
        return ()
    forms = [one for one in FORMS if any(form(kind, row) == one for row in rows)]
    places: dict[tuple[str, str, str], list[int]] = {}
    for facet, value in [("", ""), *_values(kind, rows)]:
        own = [i for i, row in enumerate(rows) if not facet or dict(row.facets).get(facet) == value]
        places[facet, value, ALL] = own
        by_form = {one: [i for i in own if form(kind, rows[i]) == one] for one in forms}
        if len(forms) > 1:
            places |= {(facet, value, one): found for one, found in by_form.items() if found}
    if len(places) == 1:
        return ()
    found = {
        (key, name): statistic
        for key, own in places.items()
        for name, statistic in _statistics(kind, rows, own).items()
    }
    measured = measure(found, groups(rows), replicates=replicates, seed=seed)
    return tuple(
        Slice(*key, len(own), {name: metric for (of, name), metric in measured.items() if of == key})
        for key, own in places.items()
    )


def form(kind: TaskKind, row: Row) -> str:
    """How a question is asked: choice, closed, open; "" where the data does not say."""
    said = dict(row.facets).get("type", "")
    return "choice" if kind == "choice" else said if said in FORMS else ""


def _values(kind: TaskKind, rows: Sequence[Row]) -> list[tuple[str, str]]:
    """(facet, value) in the order of the facets, values by name; without what is a question's form."""
    found: dict[str, Counter[str]] = {}
    for row in rows:
        for facet, value in row.facets:
            found.setdefault(facet, Counter())[value] += 1
    if kind != "choice" and found.get("type", Counter()).keys() <= set(FORMS):
        found.pop("type", None)
    return [
        (facet, value)
        for facet, counts in found.items()
        for value in sorted(value for value, _ in counts.most_common(MOST_VALUES))
    ]


def _statistics(kind: TaskKind, rows: Sequence[Row], own: Collection[int]) -> dict[str, Statistic]:
    chosen = np.zeros(len(rows))
    chosen[list(own)] = 1.0
    found = {"accuracy": ratio(right_cases(kind, rows) * chosen, chosen)}
    if kind == "answer":
        shared = [0.0 if row.answer is None else token_f1(row.answer, row.truth or "") for row in rows]
        found["token_f1"] = ratio(np.array(shared) * chosen, chosen)
    if kind == "choice":
        found["chance"] = ratio(np.array([1 / max(1, len(row.options)) for row in rows]) * chosen, chosen)
    found["answered"] = ratio(np.array([row.reason is None for row in rows]) * chosen, chosen)
    for name in BLIND_FIGURES:
        has = np.array([name in row.figures for row in rows]) * chosen
        if has.any():
            found[name] = ratio(np.array([row.figures.get(name, 0.0) for row in rows]) * has, has)
    return found
