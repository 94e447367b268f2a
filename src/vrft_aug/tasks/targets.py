"""The completion that supervised fine-tuning teaches for a case."""

from __future__ import annotations

import json
from collections.abc import Sequence
from hashlib import sha256

from vrft_aug.answer import options_of
from vrft_aug.errors import UserError
from vrft_aug.labels import NO_LABEL
from vrft_aug.nouns import AnswerFormat, Box, Case, Task
from vrft_aug.perception.boxes import NOTHING
from vrft_aug.perception.spaces import Frame
from vrft_aug.reading.options import LETTERS


def target_completion(case: Case, task: Task, frame: Frame | None = None) -> str:
    """The label, the text, or the boxes as the model speaks them, in the task's format, without reasoning.

    `frame` is needed for boxes alone. Raises UserError where the case lacks what the task asks for.
    """
    return formatted(target_answer(case, task, frame), "", task.answer_format, taught_confidence(case, task))


def formatted(answer: str, reasoning: str, wanted: AnswerFormat, confidence: float | None = None) -> str:
    """An answer and its reasoning as the format asks, with its confidence where that is asked for.

    See `shaping.format.strict_format`.
    """
    sure = "" if confidence is None else f"<confidence>{confidence:.9g}</confidence>"
    match wanted:
        case "think-answer":
            return f"<think>{reasoning}</think><answer>{answer}</answer>{sure}"
        case "answer-first":
            return f"<answer>{answer}</answer>{sure}<think>{reasoning}</think>"
        case "answer-alone":
            return f"<answer>{answer}</answer>{sure}"
        case "free":
            return f"{reasoning}\nAnswer: {answer}".lstrip()


def taught_confidence(case: Case, task: Task) -> float | None:
    """The confidence that is taught beside a target, where the task asks for one: 0.1 to 0.9, drawn by case.

    A target is right, so that 1 would teach to be sure of everything. What is taught is the form, and every
    level as often as the others, for a reward to choose from.
    """
    return (1 + sha256(case.id.encode()).digest()[0] % 9) / 10 if task.confidence else None


def target_answer(case: Case, task: Task, frame: Frame | None = None) -> str:
    """The answer alone, an option as the task names it; see `target_completion`."""
    target = case.target
    if task.kind == "choice" and target.label is not None:
        options = options_of(case, task)
        return LETTERS[options.index(target.label)] if task.option_names == "letter" else target.label
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
