"""Answers for a user's own pictures, by a trained run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vrft_aug.answer import parse
from vrft_aug.data.images import FileImage
from vrft_aug.errors import UserError, nearest
from vrft_aug.knowledge.count import injection_count
from vrft_aug.knowledge.told import told_bank
from vrft_aug.nouns import Answer, Case, ImageRef, Rollout, Target, Task
from vrft_aug.perception.annotate import annotate, answer_words
from vrft_aug.policy.generate import generate
from vrft_aug.policy.load import Policy, load_policy, written_model
from vrft_aug.recipe.file import load_recipe
from vrft_aug.recipe.schema import Injection, Recipe
from vrft_aug.run.layout import RUN_MODEL, RUN_RECIPE
from vrft_aug.run.rollout_lines import plain_value
from vrft_aug.tasks.frames import case_frame
from vrft_aug.tasks.task import make_task
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
        )

    def answer(self, case: Case, rollout: Rollout) -> Answer:
        """What a completion answers; boxes in pixels of the case's first picture."""
        return parse(rollout, self.task, case_frame(self.task, case, self.policy.frame), case)

    def votes(self, case: Case, samples: int) -> dict[str, int]:
        """How often each answer comes among `samples` sampled completions, the commonest first."""
        (drawn,) = self.rollouts([case], samples) if samples > 1 else ([],)
        counts = Counter(answer_words(self.answer(case, rollout)) for rollout in drawn)
        return dict(counts.most_common())


def open_run(run: Path, task: str | None = None) -> tuple[Recipe, Task]:
    """The recipe of a finished run and one of its tasks, default: the one it is evaluated on.

    Raises UserError for a folder that is no finished run, and for a task that it does not have.
    """
    if not (run / RUN_RECIPE).is_file() or not (run / RUN_MODEL).is_dir():
        raise UserError(
            f"{run} is no finished run ({RUN_RECIPE} and {RUN_MODEL}/); expected what `vrft train` wrote"
        )
    recipe = load_recipe(str(run / RUN_RECIPE))
    name = task or recipe.evaluation.task
    if name not in recipe.tasks:
        raise UserError(
            f"run {run} has no task {name!r}{nearest(name, recipe.tasks)}; it has {', '.join(recipe.tasks)}"
        )
    return recipe, make_task(name, recipe.tasks[name])


def load_predictor(run: Path, task: str | None = None) -> Predictor:
    """Load the model of a finished run; raises UserError as `open_run` does."""
    recipe, asked = open_run(run, task)
    return Predictor(load_policy(written_model(recipe.model, run / RUN_MODEL)), recipe, asked)


def picture_case(name: str, image: ImageRef) -> Case:
    """A picture of which nothing is known, as a case."""
    return Case(id=name, images=(image,), target=Target())


def predict_images(
    run: Path, images: Sequence[Path], output: Path, task: str | None = None
) -> list[dict[str, Any]]:
    """Answer one of the run's tasks (default: the one it is evaluated on) for every picture.

    Gives per picture `image`, `task`, `answer` (boxes in pixels of the original picture), `reason`,
    `reasoning`, `completion`, and `picture`: the PNG in `output` with boxes, answer and reasoning on it.
    Raises UserError for a folder that is no finished run, or a file that is no picture.
    """
    _, asked = open_run(run, task)
    cases = [picture_case(str(path), FileImage(path)) for path in images]
    for case in cases:
        case.images[0].open()  # a broken file is found before a model is loaded
    predictor = load_predictor(run, task)
    results = []
    output.mkdir(parents=True, exist_ok=True)
    for index, (path, case, (rollout,)) in enumerate(
        zip(images, cases, predictor.rollouts(cases), strict=True)
    ):
        answer = predictor.answer(case, rollout)
        picture = output / f"{index + 1:03d}-{path.stem}.png"
        annotate(case.images[0].open(), answer, asked.labels).save(picture)
        results.append(
            {
                "image": str(path),
                "task": asked.name,
                "answer": plain_value(answer.value),
                "reason": answer.reason,
                "reasoning": answer.reasoning,
                "completion": rollout.completion,
                "picture": str(picture),
            }
        )
    return results


def task_injection(recipe: Recipe, task: str) -> Injection:
    """The knowledge in a task's prompts: that of the evaluation, else of the last stage that trained it."""
    if task == recipe.evaluation.task:
        return recipe.evaluation.injection
    stages = [part for stage in recipe.stages for part in stage.parts() if part.task == task]
    return stages[-1].injection if stages else Injection()
