"""How often a disease is taken for less than it is: the error that leaves a patient untreated."""

from __future__ import annotations

from vrft_aug.evaluation.metrics.case_metrics import case_metric
from vrft_aug.nouns import Answer, Case, Task


@case_metric(
    "Under-graded", "answered below the true grade; no answer counts as well", better=-1, kinds=("grade",)
)
def under_graded(answer: Answer, case: Case, task: Task) -> float:
    """1 where the answer is a lower grade than the truth, or there is none; else 0."""
    if not isinstance(answer.value, str):
        return 1.0
    return float(task.labels.index(answer.value) < task.labels.index(str(case.target.label)))
