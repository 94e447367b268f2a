"""Procedural pictures as Cases, for the demo and the tests; torch-free."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from vrft_aug.data.procedural.camera import Camera, taken
from vrft_aug.data.procedural.drawn_questions import TOPICS, Asked, Topic, questions_about
from vrft_aug.data.procedural.fundus import GRADES, grade_of
from vrft_aug.data.procedural.phrases import APPEARANCE, facts
from vrft_aug.data.procedural.pool import KINDS, USES, Modality, scene
from vrft_aug.data.procedural.scene import SIZE, Scene
from vrft_aug.data.settings import DataConfig
from vrft_aug.errors import UserError
from vrft_aug.nouns import Box, Case, Target, Task

if TYPE_CHECKING:
    from PIL.Image import Image

WORLD = 0  # the seed of the pictures themselves, the same for every run
MOST = 100_000  # pictures of a split: a minute or two to draw
KEPT = 2048  # drawn pictures in memory; 80 MB at the most
Key = tuple[Modality, str, int]  # what it is of, the split, its number there


class ProceduralData(DataConfig):
    """Images made on the fly by `vrft_aug.data.procedural`; every split has a seed range of its own."""

    modality: Literal["fundus", "chest"] = "fundus"
    # handheld: dim, tinted and noisy; of these the embedded model learned boxes only
    camera: Literal["clinic", "handheld"] = "clinic"
    # how many: of cases, or of pictures where they are asked questions (choice, answer)
    train: int = Field(default=256, ge=1, le=MOST)
    validation: int = Field(default=128, ge=1, le=MOST)
    test: int = Field(default=400, ge=1, le=MOST)
    questions: tuple[Topic, ...] = Field(default=TOPICS, min_length=1)  # for choice and answer: of what
    per_picture: int = Field(default=3, ge=1)  # for choice and answer: at most so many of them


@dataclass(frozen=True)
class ProceduralImage:
    """A picture that is drawn when it is opened; 112 x 112 pixels."""

    modality: Modality
    use: str
    index: int
    camera: Camera = "clinic"

    def open(self) -> Image:
        """The picture, the same at every call."""
        made = _drawn(self.modality, self.use, self.index)
        return taken(made.image, self.camera, [USES[self.use], self.index])


def drawing_keys(config: ProceduralData, split: str) -> list[Key]:
    """What the first pictures of a split are drawn by, as many as are kept in memory."""
    count = {"train": config.train, "validation": config.validation, "test": config.test}[split]
    return [(config.modality, split, index) for index in range(min(count, KEPT))]


def drawn(key: Key) -> Scene:
    """A picture as the cases have it, before a camera takes it."""
    return _drawn(*key)


def take_drawn(scenes: Mapping[Key, Scene]) -> None:
    """Pictures that another process has drawn, the same to the bit, so that this one need not."""
    for key, given in scenes.items():
        _given[key] = given
        _drawn(*key)  # which keeps it
        del _given[key]


_given: dict[Key, Scene] = {}


@lru_cache(maxsize=KEPT)  # a run opens the same pictures many times
def _drawn(modality: Modality, use: str, index: int) -> Scene:
    given = _given.get((modality, use, index))
    return scene(modality, use, WORLD, index, (SIZE, SIZE)) if given is None else given


def read_drawn(config: ProceduralData, task: Task, root: Path, split: str) -> list[Case]:
    """The cases of a split, with the label that the task asks for and the boxes of the labels it names.

    Choice and answer: several questions about each picture, see `drawn_questions`, with facets type (closed,
    open), topic and modality; ids such as fundus/test/7/count.
    Fundus labels: the five grades in order, under any names. Chest labels: "normal" (no finding) or the name
    of a finding; pictures that show two of the task's labels, or none of them, are left out (multilabel takes
    all pictures). Boxes are in pixels of the 112 x 112 image; every finding is known to be there or not.
    No file is read, so `root` is not used. Raises UserError on labels the pictures can't have.
    """
    count = {"train": config.train, "validation": config.validation, "test": config.test}[split]
    _check_labels(config, task)
    if task.kind in ("choice", "answer"):
        return [case for index in range(count) for case in _asked(config, task, split, index)]
    cases: list[Case] = []
    index = 0
    while len(cases) < count:
        made = _drawn(config.modality, split, index)
        label: str | None = None
        if task.kind == "grade":
            label = task.labels[grade_of(made.findings)]
        names = facts(made.findings, (SIZE, SIZE))
        shown = [name for name in names if name in task.labels]
        if task.kind == "classify":
            label = shown[0] if len(shown) == 1 else "normal" if not made.findings else None
        if label in task.labels or task.kind not in ("grade", "classify"):
            boxes = tuple(Box(*f.box, label=f.kind) for f in made.findings if f.kind in task.labels)
            cases.append(
                Case(
                    id=f"{config.modality}/{split}/{index}",
                    images=(ProceduralImage(config.modality, split, index, config.camera),),
                    target=Target(
                        label=label,
                        labels=frozenset(shown) if task.kind == "multilabel" else None,
                        boxes=boxes if task.kind == "localise" else None,
                        present=names,
                        absent=frozenset(APPEARANCE[config.modality]) - names,
                    ),
                )
            )
        index += 1
    return cases


def _asked(config: ProceduralData, task: Task, split: str, index: int) -> list[Case]:
    """A case for every question about one picture."""
    made, size, choice = _drawn(config.modality, split, index), (SIZE, SIZE), task.kind == "choice"
    seed = (split, WORLD, index)
    names = facts(made.findings, size)
    picture = f"{config.modality}/{split}/{index}"

    def case(asked: Asked) -> Case:
        form = () if choice else (("type", "closed" if asked.closed else "open"),)
        return Case(
            id=f"{picture}/{asked.topic}",
            images=(ProceduralImage(config.modality, split, index, config.camera),),
            target=Target(
                text=asked.answer, present=names, absent=frozenset(APPEARANCE[config.modality]) - names
            ),
            question=asked.question,
            options=(asked.answer, *asked.others) if choice else (),
            facets=(*form, ("topic", asked.topic), ("modality", config.modality)),
            picture=picture,
        )

    found = questions_about(
        config.modality, made.findings, size, seed, config.questions, config.per_picture, choice
    )
    return [case(asked) for asked in found]


def _check_labels(config: ProceduralData, task: Task) -> None:
    if task.kind in ("choice", "answer"):
        if task.labels:
            raise UserError(
                f"task {task.name!r}: procedural questions bring their own answers; remove labels"
            )
        return
    if task.kind == "grade":
        if config.modality != "fundus" or len(task.labels) != len(GRADES):
            raise UserError(
                f"task {task.name!r}: only procedural fundus data is graded, with {len(GRADES)} labels; "
                f"got {config.modality} with {len(task.labels)}"
            )
        return
    known = set(KINDS) if task.kind == "localise" else {*KINDS, *APPEARANCE[config.modality]}
    if task.kind == "classify":
        known.add("normal")
    for label in task.labels:
        if label not in known:
            has = ", ".join(sorted(known))
            raise UserError(f"task {task.name!r}: procedural data has no label {label!r}; it has {has}")
