"""The localisation rewards (PA_pi in the paper): graded, thresholded, and by nearness.

All match boxes one to one within their label and divide by the larger number of boxes, so that repeated
boxes and boxes sprayed over the image only enlarge the divisor. All are 0 for an unreadable answer and None
where the case's boxes are unknown or the task is not to localise.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Annotated

from pydantic import Field

from vrft_aug.nouns import Answer, Box, Case, Task
from vrft_aug.perception.matching import hits, matched_iou, matched_nearness
from vrft_aug.perception.tightening import Tightening

Threshold = Annotated[float, Field(gt=0, le=1)]


def iou(answer: Answer, case: Case, task: Task) -> float | None:
    """Sum of matched IoU over max(boxes predicted, boxes true), 0..1; 1 where both are none.

    One box round the whole image earns no more than the share of it that is lesion.
    """
    return _judged(answer, case, task, matched_iou)


def iou_threshold(
    answer: Answer, case: Case, task: Task, threshold: Threshold | Tightening = 0.5, graded: bool = False
) -> float | None:
    """Boxes found with at least `threshold` IoU over max(boxes predicted, boxes true), 0..1.

    With `graded` a box that is found counts its IoU instead of 1. In training a `Tightening` makes the
    threshold rise; elsewhere it stands for the threshold that it ends with.
    """
    limit = threshold.end if isinstance(threshold, Tightening) else threshold

    def found(predicted: Sequence[Box], true: Sequence[Box]) -> float:
        if not predicted and not true:
            return 1.0
        pairs = hits(predicted, true, limit)
        return sum(iou if graded else 1.0 for _, _, iou in pairs) / max(len(predicted), len(true))

    return _judged(answer, case, task, found)


def nearness(answer: Answer, case: Case, task: Task) -> float | None:
    """Sum of matched nearness (`nearness_matrix`) over max(boxes predicted, boxes true), 0..1.

    Unlike IoU it tells a near miss from a far one, which small lesions need in early training.
    """
    return _judged(answer, case, task, matched_nearness)


def _judged(
    answer: Answer, case: Case, task: Task, measure: Callable[[Sequence[Box], Sequence[Box]], float]
) -> float | None:
    if task.kind != "localise" or case.target.boxes is None:
        return None
    return min(1.0, measure(answer.value, case.target.boxes)) if isinstance(answer.value, tuple) else 0.0
