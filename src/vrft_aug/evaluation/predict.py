"""Answers for a user's own pictures, by a trained run."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from vrft_aug.answer import parse
from vrft_aug.data.choices import with_unanswered_options
from vrft_aug.data.images import FileImage
from vrft_aug.errors import UserError
from vrft_aug.evaluation.prediction_files import (
    PREDICTIONS,
    Asked,
    answer_keys,
    answered_before,
    list_pictures,
)
from vrft_aug.knowledge.count import injection_count
from vrft_aug.knowledge.told import told_bank
from vrft_aug.nouns import Answer, Case, ImageRef, Rollout, Target, Task
from vrft_aug.perception.annotate import annotate, answer_words
from vrft_aug.policy.generate import generate
from vrft_aug.policy.load import Policy, load_policy, written_model
from vrft_aug.policy.progress_bar import watching
from vrft_aug.policy.together import in_each, join
from vrft_aug.policy.work_sharing import from_main, over_processes
from vrft_aug.processes import processes
from vrft_aug.recipe.schema import Recipe
from vrft_aug.recipe.task_config import Injection
from vrft_aug.run.layout import RUN_MODEL
from vrft_aug.run.logs import append_lines
from vrft_aug.run.rollout_lines import plain_value
from vrft_aug.tasks.finished_run import open_run
from vrft_aug.tasks.frames import case_frame
from vrft_aug.tasks.taskset import word_prompts


@dataclass(frozen=True)
class Predictor:
    """A run's model, ready to answer one of its tasks."""

    policy: Policy
    recipe: Recipe
    task: Task

    def rollouts(self, cases: Sequence[Case], samples: int = 1) -> list[list[Rollout]]:
        """The greedy completion of every case, or `samples` sampled ones at the evaluation's temperature."""
        injection, wanted = task_injection(self.recipe, self.task.name), self.recipe.evaluation
        bank = told_bank(self.recipe, self.task.name, injection)
        count = injection_count(injection, self.recipe.model)
        return generate(
            self.policy,
            word_prompts(self.task, cases, self.policy.space, injection, bank, count),
            samples=samples,
            temperature=None if samples == 1 else wanted.temperature,
            max_new_tokens=wanted.max_new_tokens,
            batch_size=wanted.batch_size,
            seed=self.recipe.seed,
            names=[case.id for case in cases],
        )

    def answer(self, case: Case, rollout: Rollout) -> Answer:
        """What a completion answers; boxes in pixels of the case's first picture."""
        return parse(rollout, self.task, case_frame(self.task, case, self.policy.frame), case)

    def votes(self, case: Case, samples: int) -> dict[str, int]:
        """How often each answer comes among `samples` sampled completions, the commonest first."""
        (drawn,) = self.rollouts([case], samples) if samples > 1 else ([],)
        counts = Counter(answer_words(self.answer(case, rollout)) for rollout in drawn)
        return dict(counts.most_common())


def load_predictor(run: Path, task: str | None = None) -> Predictor:
    """Load the model of a finished run; raises UserError as `open_run` does."""
    recipe, asked = open_run(run, task)
    return Predictor(load_policy(written_model(recipe.model, run / RUN_MODEL)), recipe, asked)


def picture_case(name: str, image: ImageRef) -> Case:
    """A picture of which nothing is known, as a case."""
    return Case(id=name, images=(image,), target=Target())


@dataclass(frozen=True)
class Question:
    """What is asked of pictures: a task of the run, in words of the user's own where given."""

    task: str | None = None  # None: the one that the run is evaluated on
    text: str | None = None
    options: tuple[str, ...] = ()  # of a choice


def predict_images(
    run: Path,
    sources: Sequence[Path],
    output: Path,
    question: Question = Question(),
) -> list[dict[str, Any]]:
    """Answer for every picture, of files and of whole folders, in batches.

    Gives per picture `image`, `task`, `question`, `answer` (boxes in pixels of the original picture),
    `reason`, `reasoning`, `confidence` (of tasks that ask for it), `completion`, and `picture`: the PNG in
    `output` with boxes, answer and reasoning on it. After each batch its lines are in
    `output`/predictions.jsonl, so that a call that was killed goes on where it stood. A picture in a folder
    that cannot be read has the reason "unreadable: ...". Several processes that were launched together share
    the batches out: each draws the pictures that it has answered, the main one writes the lines, in the order
    of one process.

    Raises UserError for a folder that is no finished run, for a file named that is no picture, and for
    options where nothing is to be chosen.
    """
    recipe, task = open_run(run, question.task)
    join(recipe.model)
    asked = list_pictures(sources, output)
    case_of = partial(_asked_case, task, question)
    for one in asked:
        if one.named:
            case_of(one).images[0].open()  # a broken file is found before a model is loaded
    keys = dict(zip(asked, answer_keys(asked, run, task, question), strict=True))
    before = from_main(partial(answered_before, output))
    todo = [one for one in asked if keys[one] not in before]
    predictor = in_each(partial(load_predictor, run, question.task)) if todo else None
    output.mkdir(parents=True, exist_ok=True)
    done = {key: line for key, line in before.items() if key in keys.values()}
    size = recipe.evaluation.batch_size
    batches = [todo[start : start + size] for start in range(0, len(todo), size)]

    def answered(batch: Sequence[Asked]) -> list[dict[str, Any]]:
        lines = _answered(predictor, case_of, batch) if predictor is not None else []
        return [{**line, "key": keys[one]} for one, line in zip(batch, lines, strict=True)]

    main = processes().main
    with watching("answering", len(asked)) as advance:
        if (kept := len(asked) - len(todo)) and main:
            print(f"{kept} of {len(asked)} are answered in {output / PREDICTIONS} already", file=sys.stderr)
        advance(kept)
        for lines in over_processes(answered, batches):
            if main:
                append_lines(output / PREDICTIONS, lines)
            done |= {line["key"]: line for line in lines}
            advance(len(lines))
    return [{name: value for name, value in done[keys[one]].items() if name != "key"} for one in asked]


def _asked_case(task: Task, question: Question, one: Asked) -> Case:
    case = replace(picture_case(str(one.image), FileImage(one.image)), question=question.text)
    if task.kind == "choice":
        return with_unanswered_options(replace(case, options=question.options), task)
    if question.options:
        raise UserError(f"task {task.name!r} is of kind {task.kind}; only a choice has options")
    return case


def _answered(
    predictor: Predictor, case_of: Callable[[Asked], Case], batch: Sequence[Asked]
) -> list[dict[str, Any]]:
    """A line for every picture of a batch, in order; the pictures are drawn."""
    cases: dict[Asked, Case] = {}
    faults: dict[Asked, str] = {}
    for one in batch:
        case = case_of(one)
        try:
            case.images[0].open()
        except UserError as error:
            faults[one] = str(error)
        else:
            cases[one] = case
    written = dict(zip(cases, predictor.rollouts([*cases.values()]), strict=True)) if cases else {}
    lines = []
    for one in batch:
        line: dict[str, Any] = {
            "image": str(one.image),
            "task": predictor.task.name,
            "question": case_of(one).question or predictor.task.question,
        }
        if one in faults:
            empty = {"answer": None, "reasoning": "", "completion": "", "picture": None}
            if predictor.task.confidence:
                empty["confidence"] = None
            lines.append({**line, "reason": f"unreadable: {faults[one]}", **empty})
            continue
        (rollout,) = written[one]
        answer = predictor.answer(cases[one], rollout)
        one.picture.parent.mkdir(parents=True, exist_ok=True)
        annotate(cases[one].images[0].open(), answer, predictor.task.labels).save(one.picture)
        lines.append(
            {
                **line,
                "answer": plain_value(answer.value),
                "reason": answer.reason,
                "reasoning": answer.reasoning,
                **({"confidence": answer.confidence} if predictor.task.confidence else {}),
                "completion": rollout.completion,
                "picture": str(one.picture),
            }
        )
    return lines


def task_injection(recipe: Recipe, task: str) -> Injection:
    """The knowledge in a task's prompts: that of the evaluation, else of the last stage that trained it."""
    if task == recipe.evaluation.task:
        return recipe.evaluation.injection
    stages = [part for stage in recipe.stages for part in stage.parts() if part.task == task]
    return stages[-1].injection if stages else Injection()
