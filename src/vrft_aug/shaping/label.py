"""The accuracy reward."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from vrft_aug.nouns import Answer, Case, Task
from vrft_aug.shaping.balance import Balance, class_weight
from vrft_aug.shaping.text import same_text


def accuracy(
    answer: Answer,
    case: Case,
    task: Task,
    label_counts: Mapping[str, int] | None = None,
    match: Literal["normalised", "exact"] = "normalised",
    balance: Balance = "none",
) -> float | None:
    """1 where the answer is the target, else 0: the same label, set of labels or free text.

    Free texts are the same as `same_text` says; with `match: exact` they are so character by character.
    `balance` (classify and grade) multiplies by the weight of the true label. 0 for an unparseable answer;
    None where the case's target is unknown or the task is to localise.
    """
    if task.kind == "multilabel":
        labels = case.target.labels
        return None if labels is None else float(answer.value == labels)
    target = case.target.text if task.kind == "answer" else case.target.label
    if task.kind == "localise" or target is None:
        return None
    if not isinstance(answer.value, str):
        return 0.0
    if task.kind != "answer":
        return float(answer.value == target) * class_weight(target, task, balance, label_counts)
    if match == "exact":
        return float(answer.value == target)
    return float(same_text(answer.value, target, task, case))
