"""The figures of a look, from the rows of every view; all differences are paired by case."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from vrft_aug.evaluation.look.look_report import FIGURES, ViewFigures
from vrft_aug.evaluation.metrics.bootstrap import Floats, Metric, Statistic, measure, ratio
from vrft_aug.evaluation.metrics.box_detection import HIT
from vrft_aug.evaluation.metrics.case_rows import Row, vote_key
from vrft_aug.evaluation.metrics.catalogue import groups, statistics
from vrft_aug.imitation.findings import read_findings
from vrft_aug.knowledge.bank_schema import KnowledgeBank
from vrft_aug.nouns import TaskKind
from vrft_aug.perception.matching import matched_iou

# The metrics that are told of every view; reliance is counted in the first, lesions in kappa too.
SCORES: dict[TaskKind, tuple[str, ...]] = {
    "classify": ("accuracy", "balanced_accuracy"),
    "grade": ("accuracy", "kappa"),
    "multilabel": ("label_accuracy", "accuracy"),
    "localise": ("mean_iou", "found"),
    "choice": ("accuracy",),
    "answer": ("accuracy", "token_f1"),
}
FOLLOWING: tuple[TaskKind, ...] = ("classify", "grade", "multilabel", "localise")  # with one question for all
Key = tuple[str, str]  # a view and a figure of it; "" and a figure of the whole


@dataclass(frozen=True)
class ViewRows:
    """What came of one view: a row for each case that has it, and the places of these in all cases."""

    rows: tuple[Row, ...]
    places: tuple[int, ...]


def view_statistics(
    kind: TaskKind,
    labels: Sequence[str],
    views: Mapping[str, ViewRows],
    shown: Sequence[Row],
    bank: KnowledgeBank | None,
) -> dict[Key, Statistic]:
    """Every figure as a function of how often each case is drawn.

    `views` holds "true", whose rows are of all cases. `shown` are the rows of "another" with the truth of the
    picture that was shown, in the same order; () where there is none.
    """
    true, found = views["true"].rows, dict[Key, Statistic]()
    scores: dict[Key, Statistic] = {}
    for view, of in views.items():
        parts = statistics(kind, labels, of.rows)
        own = [true[place] for place in of.places]
        for name in SCORES[kind]:
            scores[view, name] = found[view, name] = _placed(parts[name, ""], of.places)
        found[view, "answered"] = _placed(parts["answered", ""], of.places)
        if view != "true":
            found[view, "unchanged"] = _placed(unchanged(kind, own, of.rows), of.places)
            if bank is not None and any(claims(row, bank) for row in own):
                found[view, "claims_kept"] = _placed(claims_kept(own, of.rows, bank), of.places)
    main = SCORES[kind][0]
    kappa = [("kappa", "_kappa")] if "kappa" in SCORES[kind] else []
    for score, ending in [(main, ""), *kappa]:
        for name, view in (("image_reliance", "blank"), ("blur_reliance", "blurred")):
            if view in views and (not ending or view == "blank"):
                found["", name + ending] = _minus(scores["true", score], scores[view, score])
        if "lesion" in views and "random" in views:
            found["", "lesion_reliance" + ending] = _minus(scores["random", score], scores["lesion", score])
    if "another" in views:
        kept = found["another", "unchanged"]
        found["", "swap_sensitivity"] = Statistic(lambda weights: 1 - kept.of(weights), kept.n)
        if shown and kind in FOLLOWING:
            by_shown = statistics(kind, labels, shown)[main, ""]
            found["", "follows"] = _placed(by_shown, views["another"].places)
    if ("blank", "claims_kept") in found:
        found["", "claims_unseen"] = found["blank", "claims_kept"]
    return found


def measured_views(
    found: Mapping[Key, Statistic],
    views: Mapping[str, ViewRows],
    scores: Sequence[str],
    replicates: int,
    seed: int,
) -> tuple[dict[str, ViewFigures], dict[str, Metric]]:
    """The figures by view, and those of the whole, with intervals from the same draws of patients."""
    numbers = measure(found, groups(views["true"].rows), replicates=replicates, seed=seed)
    by_view = {
        view: ViewFigures(
            n=len(of.rows),
            scores={name: numbers[view, name] for name in scores},
            answered=numbers[view, "answered"],
            unchanged=numbers.get((view, "unchanged")),
            claims_kept=numbers.get((view, "claims_kept")),
        )
        for view, of in views.items()
    }
    return by_view, {name: numbers["", name] for name in FIGURES if ("", name) in numbers}


def unchanged(kind: TaskKind, true: Sequence[Row], altered: Sequence[Row]) -> Statistic:
    """Share of the answers to the true pictures (n counts them) that are the same to the altered ones.

    The same are equal labels, sets and texts (normalised), and boxes of a matched IoU of 0.5 or more.
    """
    answered = [one.reason is None for one in true]
    same = [
        a.reason is None and b.reason is None and _same(kind, a, b)
        for a, b in zip(true, altered, strict=True)
    ]
    return ratio(same, answered)


def claims_kept(true: Sequence[Row], altered: Sequence[Row], bank: KnowledgeBank) -> Statistic:
    """Share of the findings stated or denied in the reasoning that stay so with the altered pictures."""
    said = [claims(row, bank) for row in true]
    again = [claims(row, bank) for row in altered]
    return ratio([len(a & b) for a, b in zip(said, again, strict=True)], [len(one) for one in said])


def claims(row: Row, bank: KnowledgeBank) -> frozenset[tuple[str, bool]]:
    """The findings that a reasoning states (True) or denies, by the bank's names."""
    read = read_findings(row.reasoning, bank)
    return frozenset({(name, True) for name in read.present} | {(name, False) for name in read.absent})


def _same(kind: TaskKind, one: Row, other: Row) -> bool:
    if kind == "localise":
        return matched_iou(one.boxes or (), other.boxes or ()) >= HIT
    return vote_key(kind, one.answer or "") == vote_key(kind, other.answer or "")


def _placed(statistic: Statistic, places: Sequence[int]) -> Statistic:
    """Of the cases at these places, as a function of the weights of all."""
    at = np.array(places, dtype=np.intp)

    def of(weights: Floats) -> Floats:
        return statistic.of(weights[:, at])

    return Statistic(of, statistic.n, statistic.resampled)


def _minus(one: Statistic, other: Statistic) -> Statistic:
    return Statistic(lambda weights: one.of(weights) - other.of(weights), other.n)
