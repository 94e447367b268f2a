"""What it pays under a stage's rewards to answer the same to everything, and to guess by frequency.

Answers that need no look at the picture are what a policy under reward finds first. Each is scored on the
training cases by the stage's own scorer, before a model is loaded.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import fmean
from typing import Protocol

from vrft_aug.labels import NO_LABEL
from vrft_aug.nouns import Box, Case, Prompt, Rollout, Target, Task
from vrft_aug.perception.spaces import Frame
from vrft_aug.recipe.model_config import ModelConfig
from vrft_aug.scorer import Scorer
from vrft_aug.tasks.constant_advice import changes, of_data
from vrft_aug.tasks.frames import frames_without_model
from vrft_aug.tasks.targets import formatted, target_answer
from vrft_aug.tasks.taskset import TaskSet

REASONING = "I have looked at the picture and describe what it shows in words of my own."
MOST_CASES = 1000  # scored, drawn with a fixed seed
MOST_BOXED = 24  # of a localise task: each picture is opened for its size
MOST_ANSWERS = 24  # free texts and sets of labels that are tried, the commonest first
MARGIN = 0.05  # of what a right answer earns above no answer: by so much a constant must beat guessing
TRIED = 200  # cases on which changes of the rewards are tried
HELPS = 0.8  # of the lead is left, at most, by a change that is worth telling


@dataclass(frozen=True)
class ConstantAnswers:
    """Mean total rewards over training cases of policies that never look."""

    rewards: Mapping[str, float]  # by the constant answer, the best first
    prior: float  # of guessing by how often each answer is the true one
    right: float  # of the right answer, with the same reasoning
    silent: float  # of an empty completion
    cases: int  # that were scored
    advice: str = ""  # what changes it, where one earns too much

    @property
    def lead(self) -> float:
        """By how much the best constant beats guessing, of the way from no answer to the right one."""
        return (next(iter(self.rewards.values())) - self.prior) / (abs(self.right - self.silent) or 1.0)

    @property
    def warning(self) -> str | None:
        """A sentence where the best constant answer earns more than guessing; None where it does not.

        Guessing by frequency is an average of constant answers, so that the best of them always earns as
        much: what is told is a lead of more than 5 % of the way from no answer to the right one.
        """
        answer, reward = next(iter(self.rewards.items()))
        if self.lead <= MARGIN:
            return None
        return (
            f"always answering {answer!r} earns {reward:.3f}, guessing by frequency {self.prior:.3f}, the "
            f"right answer {self.right:.3f}: a policy may learn to answer so without looking. What helps: "
            f"{self.advice}"
        )


def constant_policies(
    scorer: Scorer,
    cases: Sequence[Case],
    prompts: Sequence[Prompt],
    frame_of: Callable[[Case], Frame | None] = lambda case: None,
) -> ConstantAnswers | None:
    """What every constant answer earns on (at most a thousand of) the cases; None where none can be said.

    Constants are every label; an abstention, where the task has one; of sets of labels none, each alone, all,
    and the commonest sets; of texts the commonest; of boxes none, and the whole picture under each label and
    under all. Guessing draws an answer by its share in the cases, of boxes those of another case. The
    reasoning is one neutral sentence; a confidence, where one is asked for, the answer's share in the cases.
    `frame_of` is asked for localise tasks alone, and has a frame for their cases.
    """
    task = scorer.task
    places = _drawn(len(cases), MOST_BOXED if task.kind == "localise" else MOST_CASES)
    asked = [(case, prompts[place], frame_of(case)) for place in places for case in [cases[place]]]
    if not asked or (task.kind == "localise" and any(frame is None for _, _, frame in asked)):
        return None
    found = _measured(scorer, asked)
    if found.warning is None:
        return found
    tried = asked[:: -(-len(asked) // TRIED)]
    before = _measured(scorer, tried).lead
    help_ = [
        str(change)
        for change in changes(scorer)
        if _measured(scorer.adjusted(change.term, change.settings), tried).lead <= HELPS * before
    ]
    chosen = [case for case, _, _ in asked]
    return replace(found, advice="; or ".join(help_) or of_data(task, next(iter(found.rewards)), chosen))


Asked = tuple[Case, Prompt, Frame | None]


def _measured(scorer: Scorer, asked: Sequence[Asked]) -> ConstantAnswers:
    """What the constants earn, advice left open."""
    task = scorer.task
    chosen = [case for case, _, _ in asked]
    frames = [frame for _, _, frame in asked if frame is not None and task.kind == "localise"]

    def earned(answers: Sequence[str], sure: float = 1.0) -> float:
        """The mean total where case i is answered by `answers[i]`, each with that confidence."""
        return fmean(
            scorer.score(
                case,
                prompt,
                Rollout(_completion(answers[i], task, sure)),
                frames[i] if frames else None,
            ).total
            for i, (case, prompt, _) in enumerate(asked)
        )

    if task.kind == "localise":
        rewards, prior = _of_boxes(task, chosen, frames, earned)
    else:
        rewards, prior = _of_words(task, chosen, earned)
    right = [target_answer(case, task, frames[i] if frames else None) for i, case in enumerate(chosen)]
    best_first = dict(sorted(rewards.items(), key=lambda item: -item[1]))
    return ConstantAnswers(best_first, prior, earned(right), earned([""] * len(chosen)), len(chosen))


class Earned(Protocol):
    """The mean total of answers, one a case, stated with a confidence where the task asks for one."""

    def __call__(self, answers: Sequence[str], sure: float = 1.0) -> float:
        """Of answers (cases,)."""


def taskset_constants(scorer: Scorer, taskset: TaskSet, model: ModelConfig) -> ConstantAnswers | None:
    """`constant_policies` on the tasks and cases of a stage, as the recipe's model sees the pictures."""
    return constant_policies(
        scorer, taskset.cases, taskset.prompts, frames_without_model(taskset.task, model)
    )


def _of_words(task: Task, cases: Sequence[Case], earned: Earned) -> tuple[dict[str, float], float]:
    counts = Counter(target_answer(case, task) for case in cases)
    # As sure as such an answer may honestly be, which earns the most: its share.
    rewards = {
        answer: earned([answer] * len(cases), counts[answer] / len(cases))
        for answer in _candidates(task, counts)
    }
    guessed = {answer: counts[answer] for answer in rewards if counts[answer]}
    return rewards, sum(rewards[answer] * n for answer, n in guessed.items()) / sum(guessed.values())


def _of_boxes(
    task: Task, cases: Sequence[Case], frames: Sequence[Frame], earned: Earned
) -> tuple[dict[str, float], float]:
    def say(boxes_of: Callable[[int], Iterable[Box]]) -> list[str]:
        answered = (replace(case, target=Target(boxes=tuple(boxes_of(i)))) for i, case in enumerate(cases))
        return [target_answer(case, task, frame) for case, frame in zip(answered, frames, strict=True)]

    def whole(*names: str | None) -> list[str]:
        return say(lambda i: [Box(0, 0, *frames[i].original, label=name) for name in names])

    def neighbours(i: int) -> Iterable[Box]:
        return (_scaled(box, frames[i - 1], frames[i]) for box in cases[i - 1].target.boxes or ())

    said = {"no box": say(lambda i: ())}
    if not task.labels:
        said["the whole image"] = whole(None)
    for label in task.labels:
        said[f"the whole image as {label}"] = whole(label)
    if len(task.labels) > 1:
        said["the whole image as everything"] = whole(*task.labels)
    return {what: earned(answers) for what, answers in said.items()}, earned(say(neighbours))


def _candidates(task: Task, truths: Counter[str]) -> list[str]:
    """The answers that are tried; last the abstention, where the task has one."""
    return [*_answers(task, truths), *([task.abstain] if task.abstain is not None else [])]


def _answers(task: Task, truths: Counter[str]) -> list[str]:
    common = [answer for answer, _ in truths.most_common(MOST_ANSWERS)]
    if task.kind in ("answer", "choice"):
        return common
    if task.kind == "multilabel":
        return list(dict.fromkeys([NO_LABEL, *task.labels, ", ".join(task.labels), *common]))
    return list(task.labels)


def _completion(answer: str, task: Task, sure: float) -> str:
    stated = sure if task.confidence else None
    return formatted(answer, REASONING, task.answer_format, stated) if answer else ""


def _scaled(box: Box, source: Frame, target: Frame) -> Box:
    sx, sy = (ours / theirs for ours, theirs in zip(target.original, source.original, strict=True))
    return Box(box.x1 * sx, box.y1 * sy, box.x2 * sx, box.y2 * sy, box.label)


def _drawn(size: int, most: int) -> list[int]:
    return sorted(random.Random(0).sample(range(size), min(size, most)))
