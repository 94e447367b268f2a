"""Reasoning traces from a file, as what a stage of supervised fine-tuning teaches: a warm start for GRPO."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError, model_validator

from vrft_aug.answer import TAGS, parse
from vrft_aug.errors import UserError, first_fault, nearest, shown
from vrft_aug.nouns import Answer, Case, Rollout, Task
from vrft_aug.perception.matching import matched_iou
from vrft_aug.perception.spaces import Frame
from vrft_aug.shaping.format import strict_format
from vrft_aug.shaping.label import accuracy
from vrft_aug.tasks.targets import formatted, target_answer, target_completion, taught_confidence
from vrft_aug.tasks.taskset import TaskSet

EXPECTED = 'expected {"case": ID, "completion": TEXT} or {"case": ID, "reasoning": TEXT}'
CLOSE = 0.5  # mean matched IoU from which boxes are right: a model writes rounded coordinates


class _Line(BaseModel):
    """One trace; further keys (of a rollouts.jsonl, or of a draft) are ignored."""

    model_config = ConfigDict(strict=True)
    case: str
    completion: str | None = None  # the whole completion, tags and all
    reasoning: str | None = None  # put before the true answer

    @model_validator(mode="after")
    def _one_of_two(self) -> _Line:
        if (self.completion is None) == (self.reasoning is None):
            raise ValueError("it has neither a completion nor a reasoning, or both")
        return self


def with_demonstrations(taskset: TaskSet, path: Path, frame_of: Callable[[Case], Frame | None]) -> TaskSet:
    """The task set with a case for every trace of a JSONL file, in its order, and the completions to teach.

    Every trace is read by the parser that scores completions, and must be in the strict format and right:
    the case's own label, labels or text, or boxes with a mean IoU of 0.5 or more. Raises UserError, naming
    file, line and case, for the first that is not, and for a case that is not in the training split.
    """
    places = {case.id: place for place, case in enumerate(taskset.cases)}
    chosen, completions = [], []
    for number, text in enumerate(_read(path).split("\n"), start=1):
        if not text.strip():
            continue
        where = f"{path} line {number}"
        line = _parse(text, where)
        if line.case not in places:
            hint = nearest(line.case, places) or f"; expected an id like {taskset.cases[0].id}"
            raise UserError(f"{where}: task {taskset.task.name!r} trains on no case {line.case!r}{hint}")
        case = taskset.cases[places[line.case]]
        completions.append(_checked(line, case, taskset.task, frame_of(case), where))
        chosen.append(places[line.case])
    if not chosen:
        raise UserError(f"{path} is empty; {EXPECTED}, a line each")
    return replace(
        taskset,
        cases=tuple(taskset.cases[place] for place in chosen),
        prompts=tuple(taskset.prompts[place] for place in chosen),
        completions=tuple(completions),
        untold=tuple(taskset.untold[place] for place in chosen if taskset.untold),
    )


def taught_texts(taskset: TaskSet, frame_of: Callable[[Case], Frame | None]) -> Sequence[str]:
    """The completions that SFT teaches; of bare boxes that of the case with the most of them alone.

    Raises UserError where a case lacks its target.
    """
    if taskset.completions is not None:
        return taskset.completions
    cases: Sequence[Case] = taskset.cases
    if taskset.task.kind == "localise":
        cases = [max(cases, key=lambda case: len(case.target.boxes or ()))]
    return [target_completion(case, taskset.task, frame_of(case)) for case in cases]


def _checked(line: _Line, case: Case, task: Task, frame: Frame | None, where: str) -> str:
    completion = line.completion
    if completion is None:
        said, sure = target_answer(case, task, frame), taught_confidence(case, task)
        completion = formatted(said, line.reasoning or "", task.answer_format, sure)
    if wrong := fault(completion, case, task, frame):
        raise UserError(f"{where}: the trace of case {case.id} {wrong}; correct or remove it")
    return completion


def fault(completion: str, case: Case, task: Task, frame: Frame | None) -> str | None:
    """Why a completion is no demonstration of its case, None where it is one."""
    rollout = Rollout(completion)
    answer = parse(rollout, task, frame, case)
    if answer.reason is not None:
        return f"has no readable answer ({answer.reason})"
    sure = 0.8 if task.confidence else None
    thinks = "<think>" in TAGS[task.answer_format]
    if not strict_format(rollout, task.answer_format, task.confidence) or (thinks and not answer.reasoning):
        return f"is not {formatted('ANSWER', 'REASONING', task.answer_format, sure)} and nothing else"
    if not _is_right(answer, case, task):
        given = completion.rpartition("<answer>")[2].partition("</answer>")[0].strip()
        return f"answers {shown(given)}, but the truth is {shown(target_answer(case, task, frame))}"
    return None


def _is_right(answer: Answer, case: Case, task: Task) -> bool:
    if isinstance(answer.value, tuple):
        return matched_iou(answer.value, case.target.boxes or ()) >= CLOSE
    return accuracy(answer, case, task) == 1


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"demonstrations {path} cannot be read as UTF-8 text: {error}") from None


def _parse(text: str, where: str) -> _Line:
    try:
        return _Line.model_validate(json.loads(text))
    except ValidationError as error:
        raise UserError(f"{where}: {first_fault(error, 'the line')}; {EXPECTED}") from None
    except ValueError as error:
        raise UserError(f"{where} is no JSON: {error}; {EXPECTED}") from None
