"""The accuracy reward."""

from __future__ import annotations

from vrft_aug.labels import normalise
from vrft_aug.nouns import Answer, Case, Task


def accuracy(answer: Answer, case: Case, task: Task) -> float | None:
    """1 where the answer is the target, else 0: the same label, or the same free text once normalised.

    0 for an unparseable answer; None where the case's target is unknown or the task is to localise.
    """
    target = case.target.text if task.kind == "answer" else case.target.label
    if task.kind == "localise" or target is None:
        return None
    if not isinstance(answer.value, str):
        return 0.0
    if task.kind == "answer":
        return float(normalise(answer.value) == normalise(target))
    return float(answer.value == target)
