"""From the cells of a table to labels of the task: one column, a list in a cell, or a column for each
label."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from vrft_aug.data.notes import note, some
from vrft_aug.data.readers.table_files import Table
from vrft_aug.errors import UserError, nearest, shown
from vrft_aug.nouns import Task

LABELLED = ("classify", "grade", "multilabel")  # kinds whose truth stands in label columns
NOTHING = (
    "no finding",
    "no findings",
    "none",
    "",
)  # cells that are the empty set, where no label is called so
YES, NO = ("1", "true", "yes", "y"), ("0", "false", "no", "n")  # of a column for a label
BLANK = ("", "nan", "na", "n/a", "null", "<na>")  # of numbers, as tables write that there is none
Rule = Literal["refuse", "leave out", "yes", "no"]


@dataclass(frozen=True)
class LabelRules:
    """What the recipe says about cells; the names are those of its settings."""

    names: Mapping[str, str]
    separator: str
    uncertain: Rule
    blank: Rule
    unlisted: Literal["refuse", "drop"]


@dataclass(frozen=True)
class Problem:
    """Why a row has no label, to be said with its place."""

    text: str


@dataclass(frozen=True)
class LeftOut:
    """The row is no case, by a rule of the recipe."""

    why: str


Outcome = str | frozenset[str] | Problem | LeftOut
Outcomes = list[Outcome]


def label_columns(column: str | tuple[str, ...] | None, header: Sequence[str], task: Task) -> tuple[str, ...]:
    """The columns that labels are in: those named, or a column for each label where the default is absent."""
    if task.kind not in LABELLED:
        return ()
    if column is None:
        raise UserError(f"task {task.name!r} is of kind {task.kind} and needs data.label_column")
    if isinstance(column, tuple):
        return column
    if column == "label" and column not in header:
        own = {name.casefold(): name for name in header}
        if all(label.casefold() in own for label in task.labels):
            found = tuple(own[label.casefold()] for label in task.labels)
            note(f"labels are in a column each: {some(found)}")
            return found
    return (column,)


def row_labels(table: Table, columns: tuple[str, ...], rules: LabelRules, task: Task) -> Outcomes:
    """The label (classify, grade) or set of labels (multilabel) of every row, or why there is none.

    One column holds the label, or for multilabel several between separators; several columns hold 1 or 0
    each and are called as the label or, in label_names, as its other name.
    """
    if len(columns) == 1 and (
        task.kind != "multilabel" or not _is_flag(table.cells(columns[0]), columns[0], task)
    ):
        read: Callable[[str], Outcome] = (
            (lambda cell: _set(cell, rules, task))
            if task.kind == "multilabel"
            else (lambda cell: _one(cell, rules, task))
        )
        known: dict[str, Outcome] = {}
        cells = table.cells(columns[0])
        for cell in set(cells):
            known[cell] = read(cell)
        return [known[cell] for cell in cells]
    labels = [_column_label(column, rules, task) for column in columns]
    for column, label in zip(columns, labels, strict=True):
        if isinstance(label, Problem):
            raise UserError(f"{table.path}: column {column!r} of data.label_column: {label.text}")
    named = [label for label in labels if isinstance(label, str)]
    if len(set(named)) < len(named):
        raise UserError(f"{table.path}: two columns of data.label_column stand for {shown(_twice(named))}")
    missing = [label for label in task.labels if label not in named]
    if missing and task.kind == "multilabel":
        raise UserError(
            f"{table.path}: data.label_column has {some(columns)}, but no column of label {some(missing)}; "
            f"expected a "
            "column for each label of the task"
        )
    flags = [[_flag(cell, rules) for cell in table.cells(column)] for column in columns]
    return [_flagged(row, columns, named, task) for row in zip(*flags, strict=True)]


def _column_label(column: str, rules: LabelRules, task: Task) -> str | Problem:
    own = next((label for label in task.labels if label.casefold() == column.casefold()), None)
    return own if own is not None and column not in rules.names else _named(column, rules, task)


def _is_flag(cells: Sequence[str], column: str, task: Task) -> bool:
    """Whether the one column of a multilabel task is a label's own, with 1 and 0."""
    return any(label.casefold() == column.casefold() for label in task.labels) and all(
        _number_key(cell) in (*YES, *NO, "-1", *BLANK) for cell in set(cells)
    )


def _one(cell: str, rules: LabelRules, task: Task) -> Outcome:
    if not _in_names(cell, rules):
        if rules.uncertain != "refuse" and _number_key(cell) == "-1":
            if rules.uncertain == "leave out":
                return LeftOut("uncertain")
            cell = "1" if rules.uncertain == "yes" else "0"
        elif rules.blank != "refuse" and cell.casefold() in BLANK:
            if rules.blank == "leave out":
                return LeftOut("blank")
            cell = "1" if rules.blank == "yes" else "0"
    label = _named(cell, rules, task)
    if isinstance(label, Problem) and rules.unlisted == "drop" and cell.casefold() not in BLANK:
        return LeftOut("of an unlisted label")
    if isinstance(label, Problem) and not _in_names(cell, rules):
        if _number_key(cell) == "-1":
            return Problem(f"{label.text}; where -1 means uncertain, data.uncertain says what becomes of it")
        if cell.casefold() in BLANK:
            return Problem(f"{label.text}; data.blank says what becomes of empty cells")
    return label


def _set(cell: str, rules: LabelRules, task: Task) -> Outcome:
    """The labels of a cell; an empty one has none."""
    found: set[str] = set()
    nothing = ""
    values = [value.strip() for value in cell.split(rules.separator)]
    for value in values:
        if _is_nothing(value, rules, task):
            nothing = nothing or value
            continue
        label = _named(value, rules, task)
        if isinstance(label, str):
            if label in found:
                return Problem(f"label {shown(value)} is there twice in {shown(cell)}")
            found.add(label)
        elif rules.unlisted == "refuse":
            more = "; data.unlisted: drop leaves labels out that the task does not have"
            return Problem(label.text + more)
    if nothing and len(values) > 1 and any(not _is_nothing(value, rules, task) for value in values):
        return Problem(f"{shown(cell)} says {shown(nothing)} and more; expected one of them")
    return frozenset(found)


def _is_nothing(value: str, rules: LabelRules, task: Task) -> bool:
    if any(label.casefold() == value.casefold() for label in task.labels):
        return False
    return rules.names.get(value, value).casefold() in NOTHING


def _flag(cell: str, rules: LabelRules) -> bool | LeftOut | str:
    """Yes or no of a label's own column; text where it is neither."""
    key = _number_key(cell)
    if key in YES:
        return True
    if key in NO:
        return False
    what, rule = ("uncertain", rules.uncertain) if key == "-1" else ("blank", rules.blank)
    if (key != "-1" and key not in BLANK) or rule == "refuse":
        return cell
    return LeftOut(what) if rule == "leave out" else rule == "yes"


def _flagged(
    row: Sequence[bool | LeftOut | str], columns: Sequence[str], labels: Sequence[str], task: Task
) -> Outcome:
    for flag, column in zip(row, columns, strict=True):
        if isinstance(flag, LeftOut):
            return flag
        if isinstance(flag, str):
            rule = {
                "-1": "; data.uncertain says what it means",
                **dict.fromkeys(BLANK, "; data.blank says what it means"),
            }
            return Problem(
                f"column {column!r} is {shown(flag)}; expected 1 or 0{rule.get(_number_key(flag), '')}"
            )
    on = [label for flag, label in zip(row, labels, strict=True) if flag]
    if task.kind == "multilabel":
        return frozenset(on)
    if len(on) != 1:
        what = f"{some(on)} are all 1" if on else f"none of {some(columns)} is 1"
        return Problem(f"{what}; a {task.kind} task needs exactly one (multilabel takes several or none)")
    return on[0]


def _named(value: str, rules: LabelRules, task: Task) -> str | Problem:
    """The label of the task that a value stands for."""
    name = value
    if rules.names:
        if not _in_names(value, rules):
            return Problem(
                f"label {shown(value)} is not in data.label_names, which has {some(list(rules.names), 12)}"
            )
        name = rules.names[value] if value in rules.names else rules.names[_number_key(value)]
    for own in task.labels:
        if own.casefold() == name.casefold():
            return own
    listed = some(task.labels, 12)
    return Problem(
        f"label {shown(name)} is not one of task {task.name!r}{nearest(name, task.labels)}; it has {listed}"
    )


def _in_names(value: str, rules: LabelRules) -> bool:
    return value in rules.names or _number_key(value) in rules.names


def _number_key(cell: str) -> str:
    """A cell as it is compared: 1.0 is 1."""
    text = cell.casefold()
    try:
        number = float(text)
    except ValueError:
        return text
    return str(int(number)) if number.is_integer() and "_" not in text else text


def _twice(names: Sequence[str]) -> str:
    return next(name for name, count in Counter(names).items() if count > 1)


def tell_left_out(outcomes: Outcomes, rules: LabelRules) -> None:
    """Say how many rows a rule leaves out, and what the other rules read cells as."""
    for why, count in Counter(one.why for one in outcomes if isinstance(one, LeftOut)).items():
        note(f"{count:,} rows are {why} and left out", "info")
    for what, rule in (("uncertain (-1)", rules.uncertain), ("blank", rules.blank)):
        if rule in ("yes", "no"):
            note(f"{what} cells count as {rule}")
