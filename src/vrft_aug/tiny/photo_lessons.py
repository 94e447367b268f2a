"""Lessons of the photo base: chats about drawn pictures and photographs, with boxes in thousandths."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from vrft_aug.data.procedural.fundus import GRADES
from vrft_aug.data.procedural.phrases import FOUR_QUADRANTS, NOTHING, PICTURE, reasoning, said
from vrft_aug.nouns import Box, Case, Target, Task
from vrft_aug.perception.spaces import BoxSpace, Frame
from vrft_aug.prompt import build_prompt
from vrft_aug.tiny.lessons import (
    BOXED,
    MOST_BOXES,
    Lesson,
    class_lesson,
    completed,
    list_lesson,
    yes_no_lesson,
)
from vrft_aug.tiny.photo_pictures import Seen
from vrft_aug.tiny.systems import random_system, suits

if TYPE_CHECKING:
    from PIL.Image import Image

SPACE = BoxSpace("thousandths")
STEP = 20  # boxes are taught in multiples of so many thousandths: a visual token is 71 wide
GRADE_NAMES = (GRADES, ("no retinopathy", *GRADES[1:]))
FIND = ("Find the {}.", "Where are the {}?", "Locate every one of: {}.")


def lessons_of(seen: Seen, count: int, rng: np.random.Generator) -> list[Lesson]:
    """Several different questions about one picture of which something is known."""
    lessons: list[Lesson] = []
    while len(lessons) < count:
        made = _about_photograph(seen, rng) if seen.modality is None else _about_drawing(seen, rng)
        lessons.extend([made] if made else [])
    return lessons


def _about_drawing(seen: Seen, rng: np.random.Generator) -> Lesson | None:
    modality, found = seen.modality, seen.found
    assert modality is not None
    draw = rng.random()
    if draw < 0.1:
        return list_lesson(modality, found, rng, 1)
    if draw < 0.2:
        return yes_no_lesson(modality, found, rng, 1)
    if draw < 0.5:
        return _boxes(seen, PICTURE[modality], list(BOXED[modality]), reasoning(modality, found, rng), rng)
    if draw < 0.65 and modality == "fundus":
        return _graded(seen, rng)
    system = random_system(modality, rng)
    return (
        class_lesson(system, found, rng, told=rng.random() < 0.85, images=1) if suits(system, found) else None
    )


def _about_photograph(seen: Seen, rng: np.random.Generator) -> Lesson | None:
    """Boxes, findings listed, or whether one is there, in the words of the recipe's own labels."""
    task, boxes = seen.task, seen.boxes
    assert task is not None and boxes is not None
    kinds = list(task.labels)
    found = [kind for kind in kinds if any(box.label == kind for box in boxes)]
    thought = said(found or [NOTHING], rng)
    draw = rng.random()
    if draw < 0.6 or not kinds:
        return _boxes(seen, task.modality, kinds, thought, rng)
    if draw < 0.8:
        asked = Task("findings", "answer", f"What does the {task.modality} show?", (), task.modality)
        return _lesson(asked, thought, ", ".join(found) or NOTHING)
    kind = str(rng.choice(kinds))
    asked = Task(
        "question", "classify", f"Does the {task.modality} show {kind}?", ("no", "yes"), task.modality
    )
    return _lesson(asked, thought, "yes" if kind in found else "no")


def _boxes(
    seen: Seen, picture: str, kinds: list[str], thought: str, rng: np.random.Generator
) -> Lesson | None:
    """One to four kinds are asked for; None where there are too many boxes to write."""
    asked = [str(kind) for kind in rng.permutation(kinds)[: int(rng.integers(1, 5))]]
    question = str(rng.choice(FIND)).format(", ".join(asked))
    if seen.task is not None and len(asked) == len(kinds):
        question, asked = seen.task.question, kinds
    boxes = [box for box in seen.boxes or () if not kinds or box.label in asked]
    if len(boxes) > MOST_BOXES:
        return None
    frame = Frame(seen.size, seen.size, SPACE)
    boxes.sort(key=lambda box: (round(8 * box.y1 / seen.size[1]), box.x1))
    written = [
        {"bbox_2d": _coarse(frame, box)} | ({"label": box.label} if box.label else {}) for box in boxes
    ]
    task = Task("boxes", "localise", question, tuple(asked), picture)
    if seen.task is not None:
        task = replace(seen.task, question=question, labels=tuple(asked))
    return _lesson(task, thought, json.dumps(written, separators=(",", ":")))


def _coarse(frame: Frame, box: Box) -> list[int]:
    x1, y1, x2, y2 = (STEP * round(value / STEP) for value in frame.spoken(box))
    return [x1, y1, max(x2, x1 + STEP), max(y2, y1 + STEP)]


def _graded(seen: Seen, rng: np.random.Generator) -> Lesson:
    """The grade by its name alone: what a scale's names mean is the one thing of classes that it knows."""
    labels = GRADE_NAMES[int(rng.integers(len(GRADE_NAMES)))]
    task = Task("grade", "grade", f"Grade the diabetic retinopathy in this {PICTURE['fundus']}.", labels)
    return _lesson(task, reasoning("fundus", seen.found, rng), labels[_rung(seen.found)])


def _rung(found: frozenset[str]) -> int:
    """The grade of `fundus.grade_of`, from the names of what is there."""
    if "new vessels" in found:
        return 4
    if FOUR_QUADRANTS in found:
        return 3
    if found & {"haemorrhages", "hard exudates", "cotton wool spots"}:
        return 2
    return 1 if "microaneurysms" in found else 0


def _lesson(task: Task, thought: str, answer: str) -> Lesson:
    messages = build_prompt(task, Case("lesson", (_Blank(),), Target()), SPACE).messages
    return Lesson(task, messages, *completed(thought, answer))


class _Blank:
    """Stands for a picture whose features are passed beside the chat."""

    def open(self) -> Image:
        raise AssertionError("a lesson's picture is not opened")


def kinds_of(pictures: Sequence[Seen]) -> tuple[str, ...]:
    """All that boxes are called, sorted."""
    return tuple(sorted({str(box.label) for one in pictures for box in one.boxes or ()}))
