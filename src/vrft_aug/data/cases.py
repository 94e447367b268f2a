"""From data settings to cases: picks the reader and checks what it read."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from vrft_aug.data.choices import with_options
from vrft_aug.data.notes import note, some
from vrft_aug.data.row_faults import each_row
from vrft_aug.data.settings import CustomData, DataConfig, find_reader
from vrft_aug.data.splits import SPLITS
from vrft_aug.errors import OwnCodeError, UserError
from vrft_aug.nouns import Case, Task
from vrft_aug.plugins import in_a_line, is_ours, load_function


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
    checked = []
    for case in cases:
        with each_row():
            if task.kind == "choice":
                case = with_options(case, task)
            if case.id in seen:
                raise UserError(f"task {task.name!r} has case {case.id} twice in its {data.reader} data")
            seen.add(case.id)
            _check_target(case, task)
            checked.append(case)
    cases = checked
    _tell_unseen(cases, task, split)
    return cases


def _tell_unseen(cases: Sequence[Case], task: Task, split: str) -> None:
    """Say which labels this split has no case of, or no box."""
    if task.kind in ("choice", "answer"):
        return
    if task.kind == "localise":
        seen = {box.label for case in cases for box in case.target.boxes or ()}
    elif task.kind == "multilabel":
        seen = {label for case in cases for label in case.target.labels or ()}
    else:
        seen = {case.target.label for case in cases}
    if unseen := [label for label in task.labels if label not in seen]:
        what = "box" if task.kind == "localise" else "case"
        note(f"split {split} has no {what} of {some(unseen)}", "warning")


def _read(data: DataConfig, task: Task, root: Path, split: str) -> list[Case]:
    """Call the reader and see to it that cases come out."""
    if isinstance(data, CustomData):
        read = load_function(data.reader)
        call = partial(read, root=root, split=split, task=task, **data.options)
    else:
        read = find_reader(data.reader)
        call = partial(read, data, task, root, split)
    try:
        cases = list(call())
    except UserError:
        raise
    except Exception as error:
        if is_ours(read):
            raise
        raise OwnCodeError(
            f"reader {data.reader!r} failed for split {split!r} of task {task.name!r}: {in_a_line(error)}"
        ) from error
    for case in cases:
        if not isinstance(case, Case):
            raise OwnCodeError(f"reader {data.reader!r} gave a {type(case).__name__}; expected vrft_aug.Case")
    return cases


def _check_target(case: Case, task: Task) -> None:
    target = case.target
    if task.kind in ("classify", "grade") and target.label not in task.labels:
        raise UserError(
            f"case {case.id} has label {target.label!r}; task {task.name!r} has {some(task.labels, 12)}"
        )
    if task.kind == "multilabel" and (target.labels is None or not target.labels <= set(task.labels)):
        given = "no labels" if target.labels is None else f"labels {some(sorted(target.labels))}"
        raise UserError(f"case {case.id} has {given}; task {task.name!r} has {some(task.labels, 12)}")
    if task.kind == "localise" and target.boxes is None:
        raise UserError(
            f"case {case.id} has no boxes, which task {task.name!r} asks for; () means known to be none"
        )
    if task.kind == "answer" and not target.text:
        raise UserError(f"case {case.id} has no text, which task {task.name!r} asks for")
