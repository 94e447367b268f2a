"""Answers that need no look at the picture, which stand beside every figure of questions (choice, answer).

Half of a VQA benchmark may fall to them: a model that does not beat them has not been shown to see.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from vrft_aug.data.cases import EmptySplit, load_cases
from vrft_aug.errors import UserError
from vrft_aug.evaluation.metrics.case_rows import FREQUENT, TEXT_ONLY, UNTOLD
from vrft_aug.nouns import Answer, Case, ImageRef, Prompt, TaskKind
from vrft_aug.reading.characters import comparable
from vrft_aug.recipe.schema import Recipe
from vrft_aug.tasks.taskset import TaskSet

if TYPE_CHECKING:
    from PIL.Image import Image

KINDS: tuple[TaskKind, ...] = ("choice", "answer")  # tasks that are judged beside them
GREY = (128, 128, 128)


@dataclass(frozen=True)
class Blind:
    """What policies answer that do not see or are not told, by their names, and why one is missing."""

    answers: Mapping[str, Sequence[Answer]]
    notes: tuple[str, ...] = ()

    def with_text_only(self, answers: Sequence[Answer]) -> Blind:
        """With the model's own answers to the prompts of `blanked`."""
        return replace(self, answers={**self.answers, TEXT_ONLY: answers})

    def with_untold(self, answers: Sequence[Answer]) -> Blind:
        """With the model's own answers to the prompts without knowledge."""
        return replace(self, answers={**self.answers, UNTOLD: answers})


@dataclass(frozen=True)
class BlankImage:
    """A picture of which only the size is left, in grey."""

    image: ImageRef

    def open(self) -> Image:
        """Grey pixels, as many as the picture has."""
        from PIL import Image

        return Image.new("RGB", self.image.open().size, GREY)


def asks_blind(recipe: Recipe) -> bool:
    """Whether the model is also asked without the pictures: questions, unless the recipe says otherwise."""
    wanted = recipe.evaluation
    return wanted.blank or (wanted.text_only and recipe.tasks[wanted.task].kind in KINDS)


def blanked(prompts: Sequence[Prompt]) -> tuple[Prompt, ...]:
    """The prompts with every picture blank: of the same size, so that nothing else changes for the model."""
    return tuple(replace(prompt, images=tuple(map(BlankImage, prompt.images))) for prompt in prompts)


def blind_baselines(recipe: Recipe, taskset: TaskSet) -> Blind:
    """What the most frequent answers of the training split come to; nothing for other kinds of task.

    Where that split cannot be had the baseline is left out and a note says why.
    """
    wanted, task = recipe.evaluation, taskset.task
    if task.kind not in KINDS:
        return Blind({})
    missing = "No baseline of the most frequent answers: "
    if wanted.split == "train":
        return Blind({}, (f"{missing}it is taken from the training split, which is judged here.",))
    try:
        train = load_cases(recipe.tasks[task.name].data, task, recipe.root(), "train")
    except EmptySplit:
        return Blind({}, (f"{missing}the data has no training split.",))
    except UserError as error:
        return Blind({}, (f"{missing}the training split cannot be read: {error}",))
    said = frequent_answers(train, taskset.cases, task.kind)
    return Blind({FREQUENT: [Answer(one, None, "") for one in said]})


def frequent_answers(train: Sequence[Case], cases: Sequence[Case], kind: TaskKind) -> list[str]:
    """For each case the most frequent true answer of the training cases that ask the same question.

    Where no training case does, of those with the same facets (type, topic, ...), else of all. Of a choice
    only the case's options count, whatever their letters; where none was ever true, its first. Ties go to
    what was seen first.
    """
    by_question: dict[str, Counter[str]] = {}
    by_facets: dict[object, Counter[str]] = {}
    whole: Counter[str] = Counter()
    written: dict[str, str] = {}
    for case in train:
        truth = _truth(case, kind)
        key = comparable(truth)
        written.setdefault(key, truth)
        for counts in (
            by_question.setdefault(_question(case), Counter()),
            by_facets.setdefault(case.facets, Counter()),
            whole,
        ):
            counts[key] += 1

    def answer(case: Case) -> str:
        options = {comparable(option): option for option in case.options}
        for counts in (by_question.get(_question(case)), by_facets.get(case.facets), whole):
            for key, _ in counts.most_common() if counts else ():
                if kind != "choice":
                    return written[key]
                if key in options:
                    return options[key]
        return case.options[0]  # of a choice: a training split has a case, and so an open answer

    return [answer(case) for case in cases]


def _question(case: Case) -> str:
    return comparable(case.question or "")


def _truth(case: Case, kind: TaskKind) -> str:
    truth = case.target.label if kind == "choice" else case.target.text
    assert truth is not None  # load_cases has seen to it
    return truth
