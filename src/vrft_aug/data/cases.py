"""From data settings to cases: picks the reader and checks what it read."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from vrft_aug.data.settings import CustomData, DataConfig, find_reader
from vrft_aug.data.splits import SPLITS
from vrft_aug.errors import UserError
from vrft_aug.nouns import Case, Task
from vrft_aug.plugins import load_function


class EmptySplit(UserError):
    """The data is there, but nothing of it is in this split."""


def load_cases(data: DataConfig, task: Task, root: Path, split: str) -> list[Case]:
    """The cases of one split: train, validation or test; pictures stay closed.

    Every case has what the task asks for, and no id twice. Raises UserError where data is absent or wrong,
    EmptySplit where the split has no cases.
    """
    if split not in SPLITS:
        raise UserError(f"split {split!r} is unknown; expected {', '.join(SPLITS)}")
    cases = _read(data, task, root, split)
    if not cases:
        raise EmptySplit(f"task {task.name!r} has no cases in split {split!r} of its {data.reader} data")
    seen: set[str] = set()
    for case in cases:
        if case.id in seen:
            raise UserError(f"task {task.name!r} has case {case.id} twice in its {data.reader} data")
        seen.add(case.id)
        _check_target(case, task)
    return cases


def _read(data: DataConfig, task: Task, root: Path, split: str) -> list[Case]:
    """Call the reader and see to it that cases come out."""
    made: Iterable[Case]
    if isinstance(data, CustomData):
        made = load_function(data.reader)(root=root, split=split, task=task, **data.options)
    else:
        made = find_reader(data.reader)(data, task, root, split)
    cases = list(made)
    for case in cases:
        if not isinstance(case, Case):
            raise UserError(
                f"reader {data.reader!r} gave a {type(case).__name__}; expected vrft_aug.nouns.Case"
            )
    return cases


def _check_target(case: Case, task: Task) -> None:
    target = case.target
    if task.kind in ("classify", "grade") and target.label not in task.labels:
        raise UserError(
            f"case {case.id} has label {target.label!r}; task {task.name!r} has {', '.join(task.labels)}"
        )
    if task.kind == "multilabel" and (target.labels is None or not target.labels <= set(task.labels)):
        given = "no labels" if target.labels is None else f"labels {', '.join(sorted(target.labels))}"
        raise UserError(f"case {case.id} has {given}; task {task.name!r} has {', '.join(task.labels)}")
    if task.kind == "localise" and target.boxes is None:
        raise UserError(
            f"case {case.id} has no boxes, which task {task.name!r} asks for; () means known to be none"
        )
    if task.kind == "answer" and not target.text:
        raise UserError(f"case {case.id} has no text, which task {task.name!r} asks for")
