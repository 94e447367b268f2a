"""What a model would reach in an evaluation that gave every case the same answer."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from statistics import fmean

from vrft_aug.evaluation.measure import Source, Written, measure_rollouts
from vrft_aug.evaluation.report_data import Report
from vrft_aug.nouns import Box, Rollout, Target
from vrft_aug.recipe.schema import Recipe
from vrft_aug.tasks.frames import frames_without_model
from vrft_aug.tasks.targets import formatted, target_answer
from vrft_aug.tasks.taskset import TaskSet


def constant_report(recipe: Recipe, taskset: TaskSet) -> tuple[str, Report]:
    """The answer that is true of most of the judged cases, in words, and its report on all of them.

    Of boxes: none, where some pictures have none, else the whole picture under the commonest label.
    """
    task, cases = taskset.task, taskset.cases
    frame_of = frames_without_model(task, recipe.model)
    frames = [frame_of(case) for case in cases]
    if task.kind == "localise":
        labels = Counter(box.label for case in cases for box in case.target.boxes or ())
        empty = any(not case.target.boxes for case in cases)
        name = "no box" if empty else "the whole picture"
        answers = []
        for case, frame in zip(cases, frames, strict=True):
            assert frame is not None
            whole = Box(0, 0, *frame.original, label=labels.most_common(1)[0][0]) if not empty else None
            said = Target(boxes=(whole,) if whole is not None else ())
            answers.append(target_answer(replace(case, target=said), task, frame))
    else:
        name = Counter(target_answer(case, task) for case in cases).most_common(1)[0][0]
        answers = [name] * len(cases)
    # As sure as such an answer may honestly be: its share.
    sure = fmean(target_answer(case, task) == name for case in cases) if task.confidence else None
    rollouts = [Rollout(formatted(answer, "", task.answer_format, sure)) for answer in answers]
    report = measure_rollouts(recipe, taskset, Written(rollouts, None, frames), Source(f"always {name!r}"))
    return name, report
