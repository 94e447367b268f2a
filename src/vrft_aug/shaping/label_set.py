"""Rewards for sets of labels: several may be true of one image, or none."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Field

from vrft_aug.nouns import Answer, Case, Task
from vrft_aug.shaping.balance import Balance, class_weights


def label_set(
    answer: Answer,
    case: Case,
    task: Task,
    label_counts: Mapping[str, int] | None = None,
    measure: Literal["jaccard", "f_beta", "per_label"] = "jaccard",
    beta: Annotated[float, Field(gt=0, le=10)] = 1.0,
    balance: Balance = "none",
) -> float | None:
    """How far the set answered is the set that is true, 0..1; 1 for exactly that set.

    `jaccard`: labels in both over labels in either. `f_beta`: beta above 1 counts a missed label more than a
    false one. Both are 1 where neither set has a label. `per_label`: share of the task's labels rightly said
    or left out; where few labels are true, saying "none" earns most of it, see `vrft check`. `balance`
    weighs each label in these sums by its rarity, see `class_weights`. 0 for an unparseable answer; None
    where the case's labels are unknown or the task is not multilabel.
    """
    if task.kind != "multilabel" or case.target.labels is None:
        return None
    if not isinstance(answer.value, frozenset):
        return 0.0
    weights = class_weights(task, balance, label_counts)

    def weigh(labels: frozenset[str]) -> float:
        return sum(weights[label] for label in task.labels if label in labels)  # one order, one rounding

    said, true = answer.value, case.target.labels
    both, missed, false = weigh(said & true), weigh(true - said), weigh(said - true)
    if measure == "per_label":
        return 1 - (missed + false) / weigh(frozenset(task.labels))
    if not said | true:
        return 1.0
    if measure == "jaccard":
        return both / (both + missed + false)
    square = beta * beta
    return (1 + square) * both / ((1 + square) * both + square * missed + false)
