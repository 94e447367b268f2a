"""Class-balanced weighting: what a case of a rare label counts, from the counts of the training split."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from functools import lru_cache
from types import MappingProxyType
from typing import Annotated, Literal

from pydantic import Field

from vrft_aug.errors import UserError, nearest
from vrft_aug.nouns import Case, Task

Rule = Literal["none", "inverse", "sqrt", "effective"]
Balance = Rule | dict[str, Annotated[float, Field(gt=0, allow_inf_nan=False)]]
EFFECTIVE = 0.999  # beta of Cui et al.


def class_weight(label: str, task: Task, balance: Balance, label_counts: Mapping[str, int] | None) -> float:
    """The factor on the reward of a case whose true label this is; see `class_weights`."""
    return 1.0 if balance == "none" else class_weights(task, balance, label_counts)[label]


def class_weights(
    task: Task, balance: Balance, label_counts: Mapping[str, int] | None
) -> Mapping[str, float]:
    """The weight of every label of the task, greater than 0.

    | `balance` | proportional to |
    |---|---|
    | `none` | 1 |
    | `inverse` | 1 / n |
    | `sqrt` | 1 / sqrt(n) |
    | `effective` | 1 / (1 - 0.999 ** n), the effective number of Cui et al., CVPR 2019 |
    | a mapping | the weights themselves, label by label |

    n is the count of the label in the training split, taken as 1 where it has none. The rules are scaled so
    that the mean over the training cases (of labels, for a multilabel task) is 1, so that the term's share
    of the total stays what its weight in the recipe says. Within a group of completions for one case the
    factor is the same for all: it changes what they teach only beside other terms, or where the trainer
    does not scale each group by its deviation (`trainer: {scale_rewards: none}`).
    """
    if isinstance(balance, dict):
        return balance
    if balance == "none":
        return dict.fromkeys(task.labels, 1.0)
    if label_counts is None:
        raise ValueError(
            f"task {task.name!r}: balance {balance!r} needs the label counts of the training split"
        )
    return _by_rule(balance, tuple((label, label_counts.get(label, 0)) for label in task.labels))


@lru_cache(maxsize=64)
def _by_rule(rule: Rule, counts: tuple[tuple[str, int], ...]) -> Mapping[str, float]:
    raw = {}
    for label, count in counts:
        n = max(1, count)
        raw[label] = {"inverse": 1 / n, "sqrt": n**-0.5, "effective": 1 / (1 - EFFECTIVE**n)}[rule]
    total = sum(count for _, count in counts)
    mean = sum(raw[label] * count for label, count in counts) / total if total else max(raw.values())
    return MappingProxyType({label: value / mean for label, value in raw.items()})


def count_labels(task: Task, cases: Iterable[Case]) -> dict[str, int]:
    """How many cases each label of the task is true of, in the order of the labels."""
    found: Counter[str] = Counter()
    for case in cases:
        if task.kind == "multilabel":
            found.update(case.target.labels or ())
        elif case.target.label is not None:
            found[case.target.label] += 1
    return {label: found[label] for label in task.labels}


def check_balance(task: Task, balance: Balance) -> None:
    """UserError where a mapping's labels are not the task's, or the task has no labels to weigh."""
    if isinstance(balance, dict):
        for label in balance:
            if label not in task.labels:
                raise UserError(
                    f"balance weighs {label!r}, which is no label of task {task.name!r}"
                    f"{nearest(label, task.labels)}; it has {', '.join(task.labels)}"
                )
        missing = [label for label in task.labels if label not in balance]
        if missing:
            raise UserError(
                f"label {missing[0]!r} of task {task.name!r} is missing in balance; it weighs every label"
            )
    if balance != "none" and task.kind not in ("classify", "grade", "multilabel"):
        raise UserError(f"balance {balance!r} weighs labels; task {task.name!r} is of kind {task.kind!r}")
