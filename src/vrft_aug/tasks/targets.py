"""The completion that supervised fine-tuning teaches for a case."""

from __future__ import annotations

import json
from collections.abc import Sequence

from vrft_aug.errors import UserError
from vrft_aug.labels import NO_LABEL
from vrft_aug.nouns import Box, Case, Task
from vrft_aug.perception.boxes import NOTHING
from vrft_aug.perception.spaces import Frame


def target_completion(case: Case, task: Task, frame: Frame | None = None) -> str:
    """`<think></think><answer>...</answer>` with the label, the text, or the boxes as the model speaks them.

    `frame` is needed for boxes alone. Raises UserError where the case lacks what the task asks for.
    """
    return f"<think></think><answer>{target_answer(case, task, frame)}</answer>"


def target_answer(case: Case, task: Task, frame: Frame | None = None) -> str:
    """What stands between the answer tags; see `target_completion`."""
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
        return _boxes(target.boxes, task, frame)
    wanted = {"localise": "boxes", "answer": "text", "multilabel": "labels"}.get(task.kind, "label")
    raise UserError(f"case {case.id} has no {wanted}, which task {task.name!r} ({task.kind}) learns from")


def _boxes(boxes: Sequence[Box], task: Task, frame: Frame) -> str:
    if task.box_format == "plain":
        lines = (_named(box, json.dumps(frame.spoken(box), separators=(",", ":"))) for box in boxes)
        return "\n".join(lines) or NOTHING
    listed = [{"bbox_2d": frame.spoken(box)} | ({"label": box.label} if box.label else {}) for box in boxes]
    return json.dumps(listed, ensure_ascii=False, separators=(",", ":"))


def _named(box: Box, corners: str) -> str:
    return f"{box.label}: {corners}" if box.label else corners
