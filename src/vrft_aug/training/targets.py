"""The completion that supervised fine-tuning teaches for a case."""

from __future__ import annotations

import json

from vrft_aug.errors import UserError
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
    if task.kind == "answer" and target.text is not None:
        return target.text
    if task.kind == "localise" and target.boxes is not None:
        if frame is None:
            raise ValueError(f"case {case.id}: boxes need the frame of their picture")
        boxes = [_spoken(box, frame) for box in target.boxes]
        return json.dumps(boxes, ensure_ascii=False, separators=(",", ":"))
    wanted = {"localise": "boxes", "answer": "text"}.get(task.kind, "label")
    raise UserError(f"case {case.id} has no {wanted}, which task {task.name!r} ({task.kind}) learns from")


def _spoken(box: Box, frame: Frame) -> dict[str, object]:
    """Rounded to whole numbers in the model's space, inside the picture, never without area."""
    width, height = frame.processed if frame.space.name == "processed" else (1000, 1000)
    moved = frame.to_model(box)
    x1, y1 = min(max(round(moved.x1), 0), width - 1), min(max(round(moved.y1), 0), height - 1)
    x2, y2 = min(max(round(moved.x2), x1 + 1), width), min(max(round(moved.y2), y1 + 1), height)
    spoken: dict[str, object] = {"bbox_2d": [x1, y1, x2, y2]}
    return spoken | ({"label": box.label} if box.label is not None else {})
