"""A line of rollouts.jsonl: the one writer and the one reader of it, boxes included."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from vrft_aug.nouns import AnswerValue, Box, Case, Rollout, Score


@dataclass(frozen=True, slots=True)
class RolloutLine:
    """One completion with what it earned, as rollouts.jsonl has it."""

    stage: str
    step: int
    task: str
    case: str
    completion: str
    answer: Any  # a label or text, a list of labels, a list of boxes {"bbox", "label"}, or None
    reason: str | None  # why there is no answer
    total: float | None  # None: not scored
    terms: Mapping[str, float | None] = field(default_factory=dict)
    advantage: float | None = None
    tokens: int | None = None
    finished: bool = True
    told: bool = True  # whether the prompt had the knowledge that its stage injects
    demonstration: bool = False  # written by somebody else, and put into the group


def line_of(stage: str, step: int, task: str, case: Case, rollout: Rollout, score: Score) -> dict[str, Any]:
    """The line of a scored completion, as JSON takes it; its advantage is added when it is known."""
    return {
        "stage": stage,
        "step": step,
        "task": task,
        "case": case.id,
        "completion": rollout.completion,
        "tokens": rollout.tokens,
        "finished": rollout.finished,
        "answer": plain_value(score.answer.value),
        "reason": score.answer.reason,
        **({"confidence": score.answer.confidence} if score.answer.confidence is not None else {}),
        "total": score.total,
        "terms": dict(score.terms),
    }


def parse_line(line: bytes | str, default_task: Mapping[str, str]) -> RolloutLine | None:
    """A line read back; None for one that is no rollout.

    `default_task` maps a stage to its task, for lines of older runs, which do not name theirs.
    """
    try:
        found = json.loads(line)
        stage, terms = str(found["stage"]), found.get("terms") or {}
        return RolloutLine(
            stage=stage,
            step=int(found["step"]),
            task=str(found.get("task") or default_task.get(stage, "")),
            case=str(found["case"]),
            completion=str(found["completion"]),
            answer=found.get("answer"),
            reason=found.get("reason"),
            total=_number(found.get("total")),
            terms={str(name): _number(value) for name, value in terms.items()},
            advantage=_number(found.get("advantage")),
            tokens=found.get("tokens"),
            finished=bool(found.get("finished", True)),
            told=bool(found.get("told", True)),
            demonstration=bool(found.get("demonstration", False)),
        )
    except (ValueError, KeyError, TypeError, AttributeError):
        return None


def plain_value(value: AnswerValue) -> Any:
    """An answer's value as JSON takes it: boxes become mappings in pixels of the original image."""
    if isinstance(value, frozenset):
        return sorted(value)
    if not isinstance(value, tuple):
        return value
    return [{"bbox": [box.x1, box.y1, box.x2, box.y2], "label": box.label} for box in value]


def boxes_of(plain: Any) -> tuple[Box, ...]:
    """The boxes of a plain answer, in pixels of the original image; () for any other answer."""
    if not isinstance(plain, list):
        return ()
    boxes = []
    for one in plain:
        corners = one.get("bbox") if isinstance(one, dict) else None
        if isinstance(corners, list) and len(corners) == 4:
            x1, y1, x2, y2 = map(float, corners)
            boxes.append(Box(x1, y1, x2, y2, one.get("label")))
    return tuple(boxes)


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) else None
