"""The localisation reward (PA_pi in the paper)."""

from __future__ import annotations

from vrft_aug.nouns import Answer, Case, Task
from vrft_aug.perception.matching import matched_iou


def iou(answer: Answer, case: Case, task: Task) -> float | None:
    """Sum of matched IoU over max(boxes predicted, boxes true), 0..1; 1 where both are none.

    Matching is one to one and within a label where the task has several, so that repeated boxes and boxes
    sprayed over the image only enlarge the divisor, and one box round the whole image earns no more than
    the share of it that is lesion. 0 for an unparseable answer; None where the case's boxes are unknown
    or the task is not to localise.
    """
    if task.kind != "localise" or case.target.boxes is None:
        return None
    if not isinstance(answer.value, tuple):
        return 0.0
    return min(1.0, matched_iou(answer.value, case.target.boxes))
