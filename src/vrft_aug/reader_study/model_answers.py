"""A file of model answers in place of a run's evaluation: JSON lines with a case and what was answered."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from vrft_aug.answer import options_of
from vrft_aug.errors import UserError, nearest, shown
from vrft_aug.evaluation.metrics.case_rows import Row, make_rows
from vrft_aug.labels import match_label, match_labels
from vrft_aug.nouns import Answer, AnswerValue, Box, Case, Rollout, Task

KEYS = ("case", "answer", "reasoning")


def read_answers(path: Path, task: Task, cases: Mapping[str, Case]) -> list[Row]:
    """A row for every line: `{"case": ID, "answer": ..., "reasoning": TEXT}`.

    An answer is a label, an option or a text; a list of labels (multilabel); a list of `{"bbox": [x1, y1, x2,
    y2], "label": NAME}` in pixels of the original picture (localise); or null, where the model gave none.
    Raises UserError, naming the line, for what is no such line, a case that is unknown or named twice, and an
    answer that the task does not have.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"predictions {path} cannot be read as UTF-8 text: {type(error).__name__}") from None
    found: dict[str, Answer] = {}
    for number, text in enumerate(lines, start=1):
        if not text.strip():
            continue
        where = f"predictions {path} line {number}"
        case, answer = _line(text, where, task, cases)
        if case.id in found:
            raise UserError(f"{where}: case {case.id} has an answer already; expected one a case")
        found[case.id] = answer
    if not found:
        raise UserError(f"predictions {path} has no lines; expected one a case, with {', '.join(KEYS)}")
    answered = [cases[id] for id in found]
    rollouts = [Rollout(answer.reasoning) for answer in found.values()]
    return make_rows(task, answered, list(found.values()), rollouts, None)


def _line(text: str, where: str, task: Task, cases: Mapping[str, Case]) -> tuple[Case, Answer]:
    try:
        line = json.loads(text)
    except ValueError:
        raise UserError(f"{where} is no JSON; expected an object with {', '.join(KEYS)}") from None
    if not isinstance(line, dict) or "case" not in line or "answer" not in line:
        raise UserError(f"{where} lacks `case` or `answer`; expected an object with {', '.join(KEYS)}")
    if (id := line["case"]) not in cases:
        raise UserError(
            f"{where}: case {shown(id)} is not in the data of task {task.name!r}"
            f"{nearest(str(id), list(cases)[:2000])}; expected an id as `vrft prompt` shows it"
        )
    case, reasoning = cases[id], line.get("reasoning") or ""
    if not isinstance(reasoning, str):
        raise UserError(f"{where}: reasoning is {shown(reasoning)}; expected text")
    if line["answer"] is None:
        return case, Answer(None, "missing", reasoning)
    value = _value(line["answer"], task, case)
    if value is None:
        raise UserError(
            f"{where}: answer {shown(line['answer'])} is none of task {task.name!r} ({task.kind}); expected "
            f"{_expected(task, options_of(case, task))}"
        )
    return case, Answer(value, None, reasoning)


def _value(given: Any, task: Task, case: Case) -> AnswerValue:
    if task.kind == "localise":
        return _boxes(given)
    if task.kind == "multilabel":
        if not isinstance(given, list) or not all(isinstance(one, str) for one in given):
            return None
        return match_labels(", ".join(given) or "none", task.labels, task.synonyms)[0]
    if not isinstance(given, str) or not given.strip():
        return None
    if task.kind == "answer":
        return given
    options = options_of(case, task) if task.kind == "choice" else task.labels
    return match_label(given, options, task.synonyms)[0]


def _boxes(given: Any) -> tuple[Box, ...] | None:
    if not isinstance(given, list):
        return None
    found = []
    for one in given:
        corners = one.get("bbox") if isinstance(one, dict) else None
        if not isinstance(corners, list) or len(corners) != 4:
            return None
        if not all(isinstance(value, int | float) and not isinstance(value, bool) for value in corners):
            return None
        label = one.get("label")
        if label is not None and not isinstance(label, str):
            return None
        x1, y1, x2, y2 = map(float, corners)
        found.append(Box(x1, y1, x2, y2, label))
    return tuple(found)


def _expected(task: Task, options: Sequence[str]) -> str:
    if task.kind == "localise":
        return 'a list of {"bbox": [x1, y1, x2, y2], "label": NAME}'
    names = ", ".join(options or task.labels) or "text"
    return f"a list of {names}" if task.kind == "multilabel" else f"one of {names}"
