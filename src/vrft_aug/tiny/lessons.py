"""Lessons for the tiny model's language side: chats as the product words them, with right completions."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from vrft_aug.data.procedural.fundus import DISC
from vrft_aug.data.procedural.phrases import (
    APPEARANCE,
    NOTHING,
    PICTURE,
    described,
    facts,
    reasoning,
    said,
    worth_saying,
)
from vrft_aug.data.procedural.pool import Modality
from vrft_aug.data.procedural.scene import Finding
from vrft_aug.knowledge.bank import load_bank
from vrft_aug.knowledge.inject import injected_text
from vrft_aug.nouns import BoxFormat, Case, Message, Target, Task
from vrft_aug.perception.spaces import BoxSpace
from vrft_aug.prompt import build_prompt
from vrft_aug.recipe.task_config import Injection
from vrft_aug.tiny.systems import CITES, System, random_facts, random_system, suits

if TYPE_CHECKING:
    from PIL.Image import Image

SPACE = BoxSpace("processed")
GRID = 4  # boxes are taught in multiples of so many pixels of the processed image
BOXED: dict[Modality, tuple[str, ...]] = {
    "fundus": ("haemorrhages", "hard exudates", "cotton wool spots", "new vessels", DISC),
    "chest": ("opacity", "nodule", "effusion", "enlarged heart", "pneumothorax"),
}
MOST_BOXES = 6
FIND = (
    "Find the {}.", "Find the {}.", "Where are the {}?", "Locate every one of: {}.", "Find the lesions.",
    "Mark what you find.",
)  # fmt: skip
# Texts of shipped banks (busi, idrid, idrid-dme, retinamnist) as they were when the tokenizer read them, so
# that their prompts are not spelled letter by letter. Kept apart from the banks: a correction to one of those
# must not change the tokenizer, and with it the model, at the next build.
SPELLED = Path(__file__).parent / "spelled.txt"


@dataclass(frozen=True)
class Lesson:
    """One chat with its right completion; `reason` is its part up to and with </think>."""

    task: Task
    messages: tuple[Message, ...]
    reason: str
    answer: str
    boxes: tuple[Finding, ...] = ()  # of a finding lesson, unrounded, in the order in which they are written


def completed(thought: str, answer: str) -> tuple[str, str]:
    """The two halves of a completion."""
    return f"<think>{thought}</think>", f"<answer>{answer}</answer>"


def class_lesson(
    system: System, found: Collection[str], rng: np.random.Generator, told: bool, images: int
) -> Lesson:
    """A picture to be put in a class; `told` says whether the prompt defines the classes."""
    place: Literal["system", "user"] = "system" if images == 0 and rng.random() < 0.15 else "user"
    injection = Injection(style="definitions" if told else "none", place=place)
    thought = _thought(system, found, rng, told)
    return _lesson(system.task, images, thought, system.label(found), injection, system)


def _thought(system: System, found: Collection[str], rng: np.random.Generator, told: bool) -> str:
    """The findings; where the prompt defines the classes each with the class that it leads to."""
    if not told:
        return reasoning(system.modality, found, rng)
    names = worth_saying(system.modality, found)
    return said([system.cited(name) for name in names] or [NOTHING + CITES + system.label(())], rng)


def yes_no_lesson(
    modality: Modality, found: Collection[str], rng: np.random.Generator, images: int
) -> Lesson:
    """Is a finding there? Asked by its name or its look."""
    names = list(APPEARANCE[modality])
    present = [name for name in names if name in found]
    name = str(rng.choice(present if present and rng.random() < 0.5 else names))
    question = (
        f"Does the {PICTURE[modality]} show {described(modality, name, str(rng.choice(['name', 'look'])))}?"
    )
    task = Task("question", "classify", question, ("no", "yes"), PICTURE[modality])
    return _lesson(task, images, reasoning(modality, found, rng), "yes" if name in found else "no")


def list_lesson(modality: Modality, found: Collection[str], rng: np.random.Generator, images: int) -> Lesson:
    """List what is seen."""
    question = str(rng.choice(["List the findings.", f"What does the {PICTURE[modality]} show?"]))
    answer = ", ".join(worth_saying(modality, found)) or NOTHING
    task = Task("findings", "answer", question, (), PICTURE[modality])
    return _lesson(task, images, reasoning(modality, found, rng), answer)


def box_lesson(
    modality: Modality, findings: Sequence[Finding], size: tuple[int, int], rng: np.random.Generator
) -> Lesson | None:
    """Where are they? One to four kinds are asked for; None where there are too many boxes to write."""
    kinds = [str(k) for k in rng.permutation(BOXED[modality])[: int(rng.integers(1, 5))]]
    boxes = sorted((f for f in findings if f.kind in kinds), key=lambda f: (round(f.box[1] / 16), f.box[0]))
    if len(boxes) > MOST_BOXES:
        return None
    question = str(rng.choice(["Find the {}.", "Where are the {}?", "Locate every one of: {}."]))
    task = Task("boxes", "localise", question.format(", ".join(kinds)), tuple(kinds), PICTURE[modality])
    written = [{"bbox_2d": [GRID * round(v / GRID) for v in f.box], "label": f.kind} for f in boxes]
    thought = reasoning(modality, facts(findings, size), rng)
    return _lesson(task, 1, thought, json.dumps(written, separators=(",", ":")))


def finding_lesson(
    modality: Modality, findings: Sequence[Finding], size: tuple[int, int], rng: np.random.Generator
) -> Lesson | None:
    """Where are they, kind by kind in the order of the names asked for; None where the boxes are too many.

    Unlike in `box_lesson` the order tells what comes next, most lessons ask for something that is there, and
    the answer is written in either of the formats that name boxes.
    """
    kinds = [str(kind) for kind in rng.permutation(BOXED[modality])]
    shown = [kind for kind in kinds if any(f.kind == kind for f in findings)]
    asked = kinds[: int(rng.choice([1, 2, 3, 4, 5], p=[0.25, 0.2, 0.3, 0.1, 0.15]))]
    if shown and rng.random() < 0.6 and not set(asked) & set(shown):
        asked[int(rng.integers(len(asked)))] = shown[0]
    boxes = sorted(
        (f for f in findings if f.kind in asked),
        key=lambda f: (asked.index(f.kind), round(f.box[1] / 16), f.box[0]),
    )
    if len(boxes) > MOST_BOXES:
        return None
    question = str(rng.choice(FIND)).format(", ".join(asked))
    form: BoxFormat = "plain" if rng.random() < 0.1 else "json"
    task = Task("boxes", "localise", question, tuple(asked), PICTURE[modality], box_format=form)
    corners = [[GRID * round(v / GRID) for v in f.box] for f in boxes]
    if form == "plain":
        pairs = zip(boxes, corners, strict=True)
        answer = "\n".join(f"{f.kind}: [{','.join(map(str, c))}]" for f, c in pairs) or "none"
    else:
        written = [{"bbox_2d": c, "label": f.kind} for f, c in zip(boxes, corners, strict=True)]
        answer = json.dumps(written, separators=(",", ":"))
    thought = reasoning(modality, facts(findings, size), rng)
    return replace(_lesson(task, 1, thought, answer), boxes=tuple(boxes))


def picture_lessons(
    modality: Modality,
    findings: Sequence[Finding],
    size: tuple[int, int],
    count: int,
    rng: np.random.Generator,
) -> list[Lesson]:
    """Several different questions about one picture of (width, height) pixels."""
    found = facts(findings, size)
    lessons: list[Lesson] = []
    while len(lessons) < count:
        draw = rng.random()
        if draw < 0.1:
            lessons.append(list_lesson(modality, found, rng, 1))
        elif draw < 0.2:
            lessons.append(yes_no_lesson(modality, found, rng, 1))
        elif draw < 0.45:
            boxed = box_lesson(modality, findings, size, rng)
            lessons.extend([boxed] if boxed else [])
        else:
            system = random_system(modality, rng)
            if suits(system, found):
                lessons.append(class_lesson(system, found, rng, told=rng.random() < 0.85, images=1))
    return lessons


def text_lessons(modality: Modality, count: int, rng: np.random.Generator) -> list[Lesson]:
    """Lessons without pictures that share one prompt: a class system and many made-up findings to look up."""
    if rng.random() < 0.12:
        found = random_facts(random_system(modality, rng), rng)
        return [yes_no_lesson(modality, found, rng, 0)]
    system = random_system(modality, rng)
    told = rng.random() < 0.93
    first = class_lesson(system, frozenset(), rng, told, images=0)
    lessons: list[Lesson] = []
    while len(lessons) < count:
        found = random_facts(system, rng)
        if suits(system, found):
            parts = completed(_thought(system, found, rng, told), system.label(found))
            lessons.append(replace(first, reason=parts[0], answer=parts[1]))
    return lessons


def corpus(rng: np.random.Generator, count: int) -> Iterator[str]:
    """Texts to train the tokenizer on, without the tags that are tokens of their own."""
    for index in range(count):
        modality: Modality = "chest" if index % 3 == 0 else "fundus"
        lesson = text_lessons(modality, 1, rng)[0]
        yield "\n".join(part["text"] for message in lesson.messages for part in message["content"])
        yield lesson.reason.removeprefix("<think>").removesuffix("</think>")
        yield lesson.answer.removeprefix("<answer>").removesuffix("</answer>")
        boxes = (GRID * rng.integers(0, 37, size=(2, 4))).tolist()
        yield json.dumps(
            [{"bbox_2d": b, "label": k} for k in BOXED[modality] for b in boxes], separators=(",", ":")
        )
    fundus = load_bank("fundus")
    for style in ("definitions", "attributes"):
        yield injected_text(fundus, tuple(fundus.classes), style)
    yield from SPELLED.read_text(encoding="utf-8").removesuffix("\n").split("\n\n")


def _lesson(
    task: Task,
    images: int,
    thought: str,
    answer: str,
    injection: Injection = Injection(),  # noqa: B008 (frozen)
    system: System | None = None,
) -> Lesson:
    case = Case("lesson", (_Blank(),) * images, Target())
    messages = build_prompt(task, case, SPACE, injection, system.bank if system else None).messages
    return Lesson(task, messages, *completed(thought, answer))


class _Blank:
    """Stands for a picture whose pixels are passed beside the chat."""

    def open(self) -> Image:
        raise AssertionError("a lesson's picture is not opened")
