"""Which metrics a task is reported with, as statistics of its rows.

All of them can be computed again from the rows of a saved report: comparisons and the tests do so.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from vrft_aug.evaluation.meanings import REASONS as REASONS
from vrft_aug.evaluation.metrics import (
    box_detection,
    classification,
    medmnist_official,
    multilabel,
    reasoning,
    stated,
    votes,
)
from vrft_aug.evaluation.metrics.bootstrap import Statistic, ratio
from vrft_aug.evaluation.metrics.case_rows import (
    BLIND_FIGURES,
    FREQUENT,
    TEXT_ONLY,
    UNTOLD,
    Row,
    vote_key,
)
from vrft_aug.evaluation.metrics.classification import Classes
from vrft_aug.nouns import ABSTAINED, TaskKind
from vrft_aug.shaping.text import token_f1, words

Key = tuple[str, str]  # the metric's name; the label, failure reason, or k that it is about, "" for all
Statistics = dict[Key, Statistic]
REFERABLE = 2  # the grade from which a disease is referred: moderate on the scale of diabetic retinopathy


class Drawn(Protocol):
    """What the bootstrap asks of a row."""

    @property
    def case(self) -> str:
        """Its id."""
        ...

    @property
    def patient(self) -> str | None:
        """An id; None: unknown."""
        ...

    @property
    def picture(self) -> str | None:
        """What it shares with other cases; None: nothing."""
        ...


def groups(rows: Sequence[Drawn]) -> list[tuple[str, str]]:
    """What the bootstrap draws as one: cases of one patient, and cases of one picture; else the case itself.

    Where pictures and patients overlap, all that hang together are drawn as one.
    """
    of: dict[tuple[str, str], tuple[str, str]] = {}

    def found(key: tuple[str, str]) -> tuple[str, str]:
        while (above := of.setdefault(key, key)) != key:
            of[key] = of[above]
            key = above
        return key

    firsts = []
    for row in rows:
        named = (("patient", row.patient), ("picture", row.picture))
        keys = [(what, name) for what, name in named if name] or [("case", row.case)]
        firsts.append(keys[0])
        for key in keys[1:]:
            of[found(key)] = found(keys[0])
    return [found(key) for key in firsts]


def drawn_units(rows: Sequence[Row]) -> str:
    """What the intervals are over, in a word: patients, pictures or cases."""
    if any(row.patient for row in rows):
        return "patients"
    return "pictures" if any(row.picture for row in rows) else "cases"


def statistics(
    kind: TaskKind,
    labels: Sequence[str],
    rows: Sequence[Row],
    medmnist: bool = False,
    named: Collection[str] = (),
) -> Statistics:
    """Every metric of a task, overall (label "") and by label; of failures, by reason.

    `medmnist` adds the two figures of the official MedMNIST evaluator, where the task has labels; `named` are
    the metrics that the recipe names.
    """
    if kind == "localise":
        found = _of_boxes(labels, rows)
    elif kind == "choice":
        found = _of_choices(rows)
    elif kind == "answer":
        found = _of_text(rows)
    elif kind == "multilabel":
        found = _of_label_sets(labels, rows)
    else:
        found = _of_labels(kind, labels, rows)
    if were_sampled(rows) and kind != "localise":
        found |= _of_votes(kind, labels, rows)
    if kind != "localise":
        found |= _of_blind(kind, rows)
        found |= _of_doubt(kind, labels, rows)
    if medmnist and kind not in ("localise", "choice", "answer"):
        found["medmnist_acc", ""], found["medmnist_auc", ""] = medmnist_official.scores(kind, labels, rows)
    return found | _of_completions(rows) | {(name, ""): _figure(name, rows) for name in named}


def right_cases(kind: TaskKind, rows: Sequence[Row]) -> NDArray[np.bool_]:
    """Which cases are answered right, (n,), as `accuracy` counts them; not for boxes."""
    pairs = [(vote_key(kind, row.truth or ""), row.answer) for row in rows]
    return np.array([given is not None and vote_key(kind, given) == truth for truth, given in pairs], bool)


def class_numbers(labels: Sequence[str], values: Sequence[str | None]) -> Classes:
    """Places in the labels, (n,); len(labels) for None."""
    number = {label: i for i, label in enumerate(labels)}
    return np.array([len(labels) if v is None else number[v] for v in values], dtype=np.intp)


def were_sampled(rows: Sequence[Row]) -> bool:
    """Whether every case has sampled answers."""
    return bool(rows) and all(row.samples for row in rows)


def _of_labels(kind: TaskKind, labels: Sequence[str], rows: Sequence[Row]) -> Statistics:
    count = len(labels)
    truth = class_numbers(labels, [row.truth for row in rows])
    answer = class_numbers(labels, [row.answer for row in rows])
    found = {
        ("accuracy", ""): classification.accuracy(truth, answer),
        ("balanced_accuracy", ""): classification.balanced_accuracy(truth, answer, count),
        ("macro_f1", ""): classification.macro_f1(truth, answer, count),
    }
    if kind == "grade":
        found |= _of_grades(labels, truth, answer)
    if were_sampled(rows):
        vote = class_numbers(labels, [classification.majority(row.votes, labels) for row in rows])
        found["vote_accuracy", ""] = classification.accuracy(truth, vote)
        if kind == "grade":
            found["vote_kappa", ""] = classification.quadratic_kappa(truth, vote, count)
            shares = votes.vote_shares(kind, labels, rows)
            for i, label in enumerate(labels[1:], start=1):
                found["auroc_from", label] = votes.auroc(truth >= i, shares[:, i:].sum(axis=1))
    for i, label in enumerate(labels):
        found["sensitivity", label] = classification.sensitivity(truth, answer, i)
        found["specificity", label] = classification.specificity(truth, answer, i, count)
        found["f1", label] = classification.f1(truth, answer, i)
    return found


def _of_grades(labels: Sequence[str], truth: Classes, answer: Classes) -> Statistics:
    count = len(labels)
    found: Statistics = {
        ("kappa", ""): classification.quadratic_kappa(truth, answer, count),
        ("grade_error", ""): classification.grade_error(truth, answer, count),
        ("far_off", ""): classification.far_off(truth, answer, count),
    }
    for i, label in enumerate(labels[1:], start=1):
        found["sensitivity_from", label] = classification.sensitivity_from(truth, answer, i, count)
        found["specificity_from", label] = classification.specificity_from(truth, answer, i)
    if count > REFERABLE:
        found["referable_sensitivity", ""] = found["sensitivity_from", labels[REFERABLE]]
        found["referable_specificity", ""] = found["specificity_from", labels[REFERABLE]]
    return found


def _of_label_sets(labels: Sequence[str], rows: Sequence[Row]) -> Statistics:
    sets = multilabel.label_sets(labels, rows)
    found = {
        ("accuracy", ""): multilabel.exact(sets),
        ("label_accuracy", ""): multilabel.label_accuracy(sets),
        ("macro_f1", ""): multilabel.macro_f1(sets),
        ("micro_f1", ""): multilabel.micro_f1(sets),
    }
    for i, label in enumerate(labels):
        found["label_accuracy", label] = multilabel.label_accuracy(sets, i)
        found["sensitivity", label] = multilabel.sensitivity(sets, i)
        found["specificity", label] = multilabel.specificity(sets, i)
        found["f1", label] = multilabel.f1(sets, i)
    if were_sampled(rows):
        found["vote_accuracy", ""] = ratio(votes.majorities("multilabel", (), rows).right)
    return found


def _of_text(rows: Sequence[Row]) -> Statistics:
    shared = [0.0 if row.answer is None else token_f1(row.answer, row.truth or "") for row in rows]
    found = {("accuracy", ""): ratio(right_cases("answer", rows)), ("token_f1", ""): ratio(shared)}
    if were_sampled(rows):
        found["vote_accuracy", ""] = ratio(votes.majorities("answer", (), rows).right)
    return found


def _of_choices(rows: Sequence[Row]) -> Statistics:
    found = {
        ("accuracy", ""): ratio(right_cases("choice", rows)),
        ("chance", ""): ratio([1 / max(1, len(row.options)) for row in rows]),
    }
    if were_sampled(rows):
        found["vote_accuracy", ""] = ratio(votes.majorities("choice", (), rows).right)
    return found


def _of_blind(kind: TaskKind, rows: Sequence[Row]) -> Statistics:
    """What is got without seeing the picture or without being told, and what seeing or being told adds."""
    found = {
        (name, ""): _figure(name, rows) for name in BLIND_FIGURES if any(name in row.figures for row in rows)
    }
    right = right_cases(kind, rows)
    gains = {FREQUENT: "gain_on_frequent", TEXT_ONLY: "gain_by_sight", UNTOLD: "gain_by_knowledge"}
    for policy, gain in gains.items():
        name = f"{policy}_accuracy"
        if (name, "") in found:
            has = np.array([name in row.figures for row in rows], dtype=np.float64)
            blind = np.array([row.figures.get(name, 0.0) for row in rows])
            found[gain, ""] = ratio((right - blind) * has, has)
    return found


def _of_doubt(kind: TaskKind, labels: Sequence[str], rows: Sequence[Row]) -> Statistics:
    """What answers say of their own confidence, and abstentions, where the task has such."""
    right = right_cases(kind, rows)
    found = stated.statistics(labels, rows, right, kind == "grade")
    if abstains := any("abstained" in row.figures for row in rows):
        found["abstained", ""] = _figure("abstained", rows)
    if found or abstains:
        found["answered_accuracy", ""] = ratio(right, [row.reason is None for row in rows])
    return found


def _of_votes(kind: TaskKind, labels: Sequence[str], rows: Sequence[Row]) -> Statistics:
    order = labels if kind in ("classify", "grade") else ()
    ballot = votes.majorities(kind, order, rows)
    found = {
        ("vote_share", ""): ratio(ballot.share),
        ("calibration_error", ""): votes.calibration_error(ballot),
        ("clear_share", ""): votes.clear_share(ballot),
        ("clear_accuracy", ""): votes.clear_accuracy(ballot),
        ("risk_area", ""): votes.risk_area(ballot),
    }
    steps = votes.passes(rows)
    for k in steps:
        found["pass_at", str(k)] = votes.pass_at(k, kind, rows)
    found["sample_accuracy", ""] = votes.pass_at(1, kind, rows)
    found["any_right", ""] = votes.pass_at(steps[-1], kind, rows)
    if kind not in ("choice", "answer"):
        shares = votes.vote_shares(kind, labels, rows)
        truth = votes.true_labels(kind, labels, rows)
        for name, statistic in (("auroc", votes.auroc), ("average_precision", votes.average_precision)):
            by_label = [statistic(truth[:, i], shares[:, i]) for i in range(len(labels))]
            found[name, ""] = votes.mean_over_classes(by_label)
            found |= {(name, label): one for label, one in zip(labels, by_label, strict=True)}
    return found


def _of_boxes(labels: Sequence[str], rows: Sequence[Row]) -> Statistics:
    true = [row.true_boxes or () for row in rows]
    boxes = [row.boxes for row in rows]
    names = labels if len(labels) > 1 else [None]  # a single kind of box need not be named
    by_label = {name: box_detection.average_precision(ranked_boxes(rows, name)) for name in names}
    found = {
        ("mean_iou", ""): box_detection.mean_iou(boxes, true),
        ("ap50", ""): box_detection.mean_average_precision(list(by_label.values())),
        ("froc", ""): box_detection.froc(ranked_boxes(rows)),
        ("found", ""): box_detection.found(boxes, true),
        ("false_boxes", ""): box_detection.false_boxes(boxes, true),
    }
    for name, precision in by_label.items():
        if name is not None:
            found["ap50", name] = precision
            found["found", name] = box_detection.found(boxes, true, name)
    return found


def ranked_boxes(rows: Sequence[Row], label: str | None = None) -> box_detection.RankedBoxes:
    """All predicted boxes (of a label) by confidence."""
    return box_detection.RankedBoxes.of(
        [row.boxes for row in rows],
        [row.confidence for row in rows],
        [row.true_boxes or () for row in rows],
        label,
    )


def _of_completions(rows: Sequence[Row]) -> Statistics:
    found: Statistics = {
        ("answered", ""): ratio([row.reason is None for row in rows]),
        ("format", ""): ratio([row.formatted for row in rows]),
        ("tokens", ""): ratio([row.tokens or 0 for row in rows], [row.tokens is not None for row in rows]),
        ("reasoning_words", ""): ratio([len(words(row.reasoning)) for row in rows]),
        ("distinct_1", ""): reasoning.distinct([row.reasoning for row in rows], 1),
        ("distinct_2", ""): reasoning.distinct([row.reasoning for row in rows], 2),
    }
    for name in reasoning.FIGURES:
        if any(name in row.figures for row in rows):
            found[name, ""] = _figure(name, rows)
    for reason in REASONS:
        if reason == ABSTAINED and not any(row.reason == ABSTAINED for row in rows):
            continue
        found["failed", reason] = ratio([row.reason == reason for row in rows])
    return found


def _figure(name: str, rows: Sequence[Row]) -> Statistic:
    """The mean of a figure over the cases that have it."""
    return ratio([row.figures.get(name, 0.0) for row in rows], [name in row.figures for row in rows])
