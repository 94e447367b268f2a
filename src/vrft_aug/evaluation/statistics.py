"""Which metrics a task is reported with, as statistics of its rows.

All of them can be computed again from the rows of a saved report: comparisons and the tests do so.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import get_args

import numpy as np

from vrft_aug.evaluation import boxes_metrics, metrics
from vrft_aug.evaluation.bootstrap import Statistic, ratio
from vrft_aug.evaluation.metrics import Classes
from vrft_aug.evaluation.rows import Row, split_labels, vote_key
from vrft_aug.nouns import FailureReason, TaskKind

Key = tuple[str, str]  # the metric's name; the label or failure reason that it is about, "" for all
REASONS: tuple[FailureReason, ...] = get_args(FailureReason)


@dataclass(frozen=True)
class Meaning:
    """How a metric is named and read."""

    title: str
    note: str
    better: int = 1  # 1: higher is better, -1: lower, 0: neither


MEANINGS = {
    "accuracy": Meaning("Accuracy", "answered right; no answer is wrong"),
    "balanced_accuracy": Meaning("Balanced accuracy", "mean sensitivity over the classes"),
    "macro_f1": Meaning("Macro F1", "mean F1 over the classes"),
    "kappa": Meaning("Quadratic kappa", "agreement on the grade; no answer counts as the farthest grade"),
    "grade_error": Meaning("Grade error", "mean distance in grades; no answer as the farthest grade", -1),
    "label_accuracy": Meaning("Label accuracy", "labels rightly said or left out; no answer is all wrong"),
    "token_f1": Meaning("Token F1", "words shared with the reference"),
    "mean_iou": Meaning("Mean IoU", "matched boxes over the larger number of boxes; none where none is 1"),
    "ap50": Meaning("AP50", "average precision at IoU 0.5, mean over labels"),
    "found": Meaning("Boxes found", "true boxes covered with an IoU of 0.5 or more"),
    "false_boxes": Meaning("False boxes", "boxes per image that find nothing", -1),
    "vote_accuracy": Meaning("Vote accuracy", "majority of the samples; a tie goes to the first label"),
    "vote_kappa": Meaning("Vote kappa", "quadratic kappa of the majority of the samples"),
    "sample_accuracy": Meaning("Sample accuracy", "share of single samples that are right"),
    "any_right": Meaning("Any right", "cases with at least one right sample"),
    "answered": Meaning("Answered", "completions with a readable answer"),
    "format": Meaning("Format kept", "exactly a think block, then an answer block"),
    "tokens": Meaning("Tokens", "mean length of a completion", 0),
    "sensitivity": Meaning("Sensitivity", "cases of the class called so"),
    "specificity": Meaning("Specificity", "cases of other classes called otherwise"),
    "failed": Meaning("Failed", "no answer, by reason", -1),
}
HEADLINES: dict[TaskKind, tuple[str, ...]] = {
    "classify": ("accuracy", "balanced_accuracy", "macro_f1", "answered"),
    "grade": ("accuracy", "balanced_accuracy", "kappa", "grade_error", "answered"),
    "localise": ("mean_iou", "ap50", "found", "false_boxes", "answered"),
    "multilabel": ("accuracy", "label_accuracy", "answered"),
    "answer": ("accuracy", "token_f1", "answered"),
}


def groups(rows: Sequence[Row]) -> list[tuple[str, str]]:
    """What the bootstrap draws as one: the patient where the case has one, else the case itself."""
    return [("patient", row.patient) if row.patient else ("case", row.case) for row in rows]


def statistics(kind: TaskKind, labels: Sequence[str], rows: Sequence[Row]) -> dict[Key, Statistic]:
    """Every metric of a task, overall (label "") and by label; of failures, by reason."""
    if kind == "localise":
        found = _of_boxes(labels, rows)
    elif kind == "answer":
        found = _of_text(rows)
    elif kind == "multilabel":
        found = _of_label_sets(labels, rows)
    else:
        found = _of_labels(kind, labels, rows)
    return found | _of_completions(kind, rows)


def class_numbers(labels: Sequence[str], values: Sequence[str | None]) -> Classes:
    """Places in the labels, (n,); len(labels) for None."""
    number = {label: i for i, label in enumerate(labels)}
    return np.array([len(labels) if v is None else number[v] for v in values], dtype=np.intp)


def _of_labels(kind: TaskKind, labels: Sequence[str], rows: Sequence[Row]) -> dict[Key, Statistic]:
    count = len(labels)
    truth = class_numbers(labels, [row.truth for row in rows])
    answer = class_numbers(labels, [row.answer for row in rows])
    found = {
        ("accuracy", ""): metrics.accuracy(truth, answer),
        ("balanced_accuracy", ""): metrics.balanced_accuracy(truth, answer, count),
        ("macro_f1", ""): metrics.macro_f1(truth, answer, count),
    }
    if kind == "grade":
        found["kappa", ""] = metrics.quadratic_kappa(truth, answer, count)
        found["grade_error", ""] = metrics.grade_error(truth, answer, count)
    if _were_sampled(rows):
        vote = class_numbers(labels, [metrics.majority(row.votes, labels) for row in rows])
        found["vote_accuracy", ""] = metrics.accuracy(truth, vote)
        if kind == "grade":
            found["vote_kappa", ""] = metrics.quadratic_kappa(truth, vote, count)
    for i, label in enumerate(labels):
        found["sensitivity", label] = metrics.sensitivity(truth, answer, i)
        found["specificity", label] = metrics.specificity(truth, answer, i, count)
    return found


def _of_text(rows: Sequence[Row]) -> dict[Key, Statistic]:
    pairs = [(vote_key("answer", row.truth or ""), row) for row in rows]
    exact = [row.answer is not None and vote_key("answer", row.answer) == truth for truth, row in pairs]
    shared = [0.0 if row.answer is None else metrics.token_f1(row.answer, row.truth or "") for row in rows]
    found = {("accuracy", ""): ratio(exact), ("token_f1", ""): ratio(shared)}
    if _were_sampled(rows):
        voted = [metrics.majority(row.votes, ()) == truth for truth, row in pairs]
        found["vote_accuracy", ""] = ratio(voted)
    return found


def _of_label_sets(labels: Sequence[str], rows: Sequence[Row]) -> dict[Key, Statistic]:
    """Exact sets, and every label by itself; a case without an answer is wrong in all of them."""
    true = np.array([[label in split_labels(row.truth or "") for label in labels] for row in rows])
    said = [split_labels(row.answer or "") for row in rows]
    called = np.array([[label in one for label in labels] for one in said])
    answered = np.array([row.answer is not None for row in rows])
    right = (true == called) & answered[:, None]
    found = {("accuracy", ""): ratio(right.all(axis=1)), ("label_accuracy", ""): ratio(right.mean(axis=1))}
    for i, label in enumerate(labels):
        found["label_accuracy", label] = ratio(right[:, i])
        found["sensitivity", label] = ratio(right[:, i] & true[:, i], true[:, i])
        found["specificity", label] = ratio(right[:, i] & ~true[:, i], ~true[:, i])
    return found


def _of_boxes(labels: Sequence[str], rows: Sequence[Row]) -> dict[Key, Statistic]:
    true = [row.true_boxes or () for row in rows]
    boxes = [row.boxes for row in rows]
    confidence = [row.confidence for row in rows]
    names = labels if len(labels) > 1 else [None]  # a single kind of box need not be named
    by_label = {name: boxes_metrics.average_precision(boxes, confidence, true, name) for name in names}
    found = {
        ("mean_iou", ""): boxes_metrics.mean_iou(boxes, true),
        ("ap50", ""): boxes_metrics.mean_average_precision(list(by_label.values())),
        ("found", ""): boxes_metrics.found(boxes, true),
        ("false_boxes", ""): boxes_metrics.false_boxes(boxes, true),
    }
    for name, precision in by_label.items():
        if name is not None:
            found["ap50", name] = precision
            found["found", name] = boxes_metrics.found(boxes, true, name)
    return found


def _of_completions(kind: TaskKind, rows: Sequence[Row]) -> dict[Key, Statistic]:
    found: dict[Key, Statistic] = {}
    if kind != "localise" and _were_sampled(rows):
        right = np.array([row.votes.get(vote_key(kind, row.truth or ""), 0) for row in rows])
        found["sample_accuracy", ""] = ratio(right / np.array([row.samples for row in rows]))
        found["any_right", ""] = ratio(right > 0)
    found["answered", ""] = ratio([row.reason is None for row in rows])
    found["format", ""] = ratio([row.formatted for row in rows])
    counted = [row.tokens is not None for row in rows]
    found["tokens", ""] = ratio([row.tokens or 0 for row in rows], counted)
    for reason in REASONS:
        found["failed", reason] = ratio([row.reason == reason for row in rows])
    return found


def _were_sampled(rows: Sequence[Row]) -> bool:
    return bool(rows) and all(row.samples for row in rows)
