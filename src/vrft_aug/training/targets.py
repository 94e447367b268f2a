"""The completion that supervised fine-tuning teaches for a case."""

from __future__ import annotations

import json

from vrft_aug.errors import UserError
from vrft_aug.labels import NO_LABEL
from vrft_aug.nouns import Box, Case, Task
from vrft_aug.perception.spaces import Frame


def target_completion(case: Case, task: Task, frame: Frame | None = None) -> str:
    """`<think></think><answer>...</answer>` with the label, the text, or the boxes as the model speaks them.

    `frame` is needed for boxes alone. Raises UserError where the case lacks what the task asks for.
    """
    return f"<think></think><answer>{_answer(case, task, frame)}</answer>"


def _answer(case: Case, task: Task, frame: Frame | None) -> str:
    target = case.target
    if task.kind in ("classify", "grade") and target.label is not None:
        return target.label
    if task.kind == "multilabel" and target.labels is not None:
        return ", ".join(label for label in task.labels if label in target.labels) or NO_LABEL
    if task.kind == "answer" and target.text is not None:
        return target.text
    if task.kind == "localise" and target.boxes is not None:
        if frame is None:
            raise ValueError(f"case {case.id}: boxes need the frame of their picture")
        boxes = [_spoken(box, frame) for box in target.boxes]
        return json.dumps(boxes, ensure_ascii=False, separators=(",", ":"))
    wanted = {"localise": "boxes", "answer": "text", "multilabel": "labels"}.get(task.kind, "label")
    raise UserError(f"case {case.id} has no {wanted}, which task {task.name!r} ({task.kind}) learns from")


def _spoken(box: Box, frame: Frame) -> dict[str, object]:
    spoken: dict[str, object] = {"bbox_2d": list(frame.spoken(box))}
    return spoken | ({"label": box.label} if box.label is not None else {})
