"""Labels, splits and patients of files that are no plain pictures: from a table joined to them, or folders.

A table is joined on the file's name or on what its header says. Of a header nothing is ever told: a message
says how many match and what shape the values have, as 9999-99.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from pydantic import ConfigDict, Field

from vrft_aug.data.notes import note
from vrft_aug.data.readers.table_files import Table, check_columns, read_columns, read_header
from vrft_aug.data.readers.table_labels import (
    LabelRules,
    LeftOut,
    Outcome,
    Problem,
    label_columns,
    row_labels,
    tell_left_out,
)
from vrft_aug.data.readers.table_text import Dialect
from vrft_aug.data.split_settings import SplitSettings
from vrft_aug.data.splits import NAMES, assign, given_splits
from vrft_aug.errors import UserError, nearest, shown
from vrft_aug.nouns import Task

FILE = "file"  # what a table is joined on unless the recipe says otherwise


class LabelledFiles(SplitSettings):
    """Where the labels of files are: in a table, or in the names of their folders (table: null)."""

    model_config = ConfigDict(coerce_numbers_to_str=True)  # label_names may be written 0: none
    folder: str = "."  # all files below it
    table: str | None = None
    join: dict[str, str] = Field(default={FILE: FILE}, min_length=1)  # what is known of a file -> column
    unmatched: Literal["refuse", "leave out"] = "refuse"  # files without a row, and rows without a file
    encoding: str | None = None
    separator: str | None = None
    sheet: str | None = None
    label_column: str | tuple[str, ...] | None = "label"
    split_column: str | None = None
    text_column: str | None = None
    label_names: dict[str, str] = Field(default_factory=dict)  # value, or folder -> label of the task
    label_separator: str = Field(default="|", min_length=1)
    unlisted: Literal["refuse", "drop"] = "refuse"
    uncertain: Literal["refuse", "leave out", "yes", "no"] = "refuse"
    blank: Literal["refuse", "leave out", "yes", "no"] = "refuse"

    def rules(self) -> LabelRules:
        """What cells, or names of folders, mean."""
        return LabelRules(self.label_names, self.label_separator, self.uncertain, self.blank, self.unlisted)


@dataclass(frozen=True, repr=False)
class Item:
    """A file as labels are found for it; `keys` are what a table can be joined on, and are never printed."""

    name: str  # its path below the folder, with /
    case: str  # what its case is called, which says nothing of the patient
    patient: str = ""  # a pseudonym; "" where unknown
    keys: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Truth:
    """What is true of an item, and the split it is in."""

    outcome: Outcome | None  # a label, or a set of them; None where the task has no labels
    text: str | None
    split: str


def label_items(config: LabelledFiles, task: Task, root: Path, items: Sequence[Item]) -> list[Truth | None]:
    """The truth of every item; None for those that are left out by a rule of the recipe.

    Raises UserError where a table or folders do not fit.
    """
    if config.table is None and task.kind == "localise":  # its truth are boxes, which lie elsewhere
        found: list[_Row | None] = [_Row(None, None, None, f"case {item.case}") for item in items]
        source = ""
    elif config.table is None:
        found = _by_folder(config, task, items)
        source = "the names of folders"
    else:
        found = _by_table(config, task, root, items)
        source = f"column {config.split_column!r}"
    kept = [i for i, one in enumerate(found) if one is not None]
    rows = [one for one in found if one is not None]
    splits = [row.split for row in rows]
    given = [split or "" for split in splits] if any(splits) else None
    if given is not None and not all(given):
        raise UserError("some files lie in a folder of a split and some do not; expected all or none of them")
    strata = [_stratum(row.outcome) for row in rows]
    parts = assign(
        config, [items[i].case for i in kept], [items[i].patient for i in kept], given, strata,
        lambda place: rows[place].where, source,
    )  # fmt: skip
    truths: list[Truth | None] = [None] * len(items)
    for i, row, part in zip(kept, rows, parts, strict=True):
        truths[i] = Truth(row.outcome, row.text, part)
    return truths


def _stratum(outcome: Outcome | None) -> str:
    return "|".join(sorted(outcome)) if isinstance(outcome, frozenset) else str(outcome or "")


@dataclass(frozen=True)
class _Row:
    outcome: Outcome | None
    text: str | None
    split: str | None
    where: str  # for messages: the line of a table, or the case


def _by_folder(config: LabelledFiles, task: Task, items: Sequence[Item]) -> list[_Row | None]:
    """A folder per class, within folders per split if there are any; folders further down are free."""
    if task.kind not in ("classify", "grade"):
        raise UserError(
            f"task {task.name!r} is of kind {task.kind}; folders are classes of one label each: expected "
            "data.table with the labels"
        )
    rows: list[_Row | None] = []
    rules = config.rules()
    known = {label.casefold(): label for label in task.labels}
    for item in items:
        parts = item.name.split("/")[:-1]
        name = config.split_names.get(parts[0], parts[0]).casefold() if parts else ""
        split = NAMES.get(name) if name not in known else None
        parts = parts[1:] if split is not None else parts
        if not parts:
            raise UserError(
                f"{len(items)} files lie in {config.folder!r} and some in no folder of a class; expected "
                f"folders called {_some(task.labels)} (data.label_names for other names), or data.table"
            )
        label = known.get(config.label_names.get(parts[0], parts[0]).casefold())
        if label is None:
            if rules.unlisted == "drop":
                rows.append(None)
                continue
            raise UserError(
                f"folder {shown(parts[0])} below {config.folder!r} is no label of task {task.name!r}"
                f"{nearest(parts[0], task.labels)}; expected {_some(task.labels)}, data.label_names for "
                "other names, or data.table"
            )
        rows.append(_Row(label, None, split, f"case {item.case}"))
    return rows


def _by_table(config: LabelledFiles, task: Task, root: Path, items: Sequence[Item]) -> list[_Row | None]:
    if task.kind == "answer" and config.text_column is None:
        raise UserError(f"task {task.name!r} is of kind answer and needs data.text_column")
    path = root / str(config.table)
    dialect = Dialect(config.encoding, config.separator, config.sheet)
    columns = [*config.join.values(), config.split_column or "", config.text_column or ""]
    labels = (config.label_column,) if isinstance(config.label_column, str) else config.label_column or ()
    wanted = [name for name in (*columns, *labels) if name]
    header = read_header(path, root, dialect, wanted)
    chosen = label_columns(config.label_column, header, task)
    keep = list(dict.fromkeys([*(name for name in columns if name), *chosen]))
    named: dict[str, str | None] = {f"join.{key}": column for key, column in config.join.items()}
    named |= {f"label_column {n}" if n else "label_column": column for n, column in enumerate(chosen)}
    check_columns(
        path, header, named | {"split_column": config.split_column, "text_column": config.text_column}
    )
    table = read_columns(path, root, dialect, wanted, keep)
    outcomes = row_labels(table, chosen, config.rules(), task) if chosen else []
    tell_left_out(outcomes, config.rules())
    joined = _join(config, table, items)
    used = [row for row in joined if row is not None]
    cells = table.cells(config.split_column)
    splits: dict[int, str | None] = dict.fromkeys(used)
    if config.split_column:
        own = given_splits([cells[row] for row in used], config, lambda place: table.where(used[place]))
        splits = dict(zip(used, own, strict=True))
    texts = table.cells(config.text_column)
    rows: list[_Row | None] = []
    for row in joined:
        outcome = outcomes[row] if row is not None and outcomes else None
        if row is None or isinstance(outcome, LeftOut):
            rows.append(None)
            continue
        where = table.where(row)
        if isinstance(outcome, Problem):
            raise UserError(f"{where}: {outcome.text}")
        if task.kind == "answer" and not texts[row]:
            raise UserError(f"{where}: column {config.text_column!r} is empty; expected the answer")
        rows.append(_Row(outcome, texts[row] or None, splits[row], where))
    return rows


def _join(config: LabelledFiles, table: Table, items: Sequence[Item]) -> list[int | None]:
    """The row of every item; None where there is none and the recipe leaves such files out."""
    keys = list(config.join)
    for key in keys:
        if key != FILE and any(key not in item.keys for item in items):
            known = [FILE, *(items[0].keys if items else ())]
            raise UserError(
                f"data.join has {key!r}{nearest(key, known)}; expected some of {', '.join(known)}"
            )
    columns = [table.cells(config.join[key]) for key in keys]
    by_value: dict[tuple[str, ...], int] = {}
    for row, cells in enumerate(zip(*columns, strict=True)):
        value = tuple(_normal(key, cell) for key, cell in zip(keys, cells, strict=True))
        if (first := by_value.setdefault(value, row)) != row:
            raise UserError(
                f"{table.where(row)} has the same {' and '.join(keys)} as line {table.lines[first]}; "
                "expected one row for each"
            )
    found = [_row_of(item, keys, by_value) for item in items]
    used = {row for row in found if row is not None}
    matched = sum(row is not None for row in found)
    if matched == len(items) and len(used) == len(by_value):
        return found
    if not matched or config.unmatched == "refuse":
        raise UserError(_unmatched(config, table, items, found, by_value, used))
    note(f"{len(items) - matched:,} files have no row in {table.path.name} and are left out")
    note(f"{len(by_value) - len(used):,} rows of {table.path.name} have no file and are left out")
    return found


def _row_of(item: Item, keys: Sequence[str], by_value: Mapping[tuple[str, ...], int]) -> int | None:
    """By the whole path of the file first, then by its name, each with and without its suffix."""
    for name in _names(item.name):
        value = tuple(name if key == FILE else _normal(key, item.keys[key]) for key in keys)
        if value in by_value:
            return by_value[value]
        if FILE not in keys:
            return None
    return None


def _names(path: str) -> tuple[str, ...]:
    whole, bare = _normal(FILE, path), _normal(FILE, path.rpartition("/")[2])
    return (whole, _stem(whole), bare, _stem(bare))


def _stem(name: str) -> str:
    """Without the suffix, of which a compressed NIfTI has two."""
    return re.sub(r"\.(nii\.gz|nii|dcm|dicom|ima|npz|npy)$", "", name)


def _normal(key: str, value: str) -> str:
    if key == FILE:
        return value.strip().replace("\\", "/").removeprefix("./").casefold()
    text = value.strip()
    return text.upper() if key in ("laterality", "view", "modality", "body_part") else text


def _unmatched(
    config: LabelledFiles,
    table: Table,
    items: Sequence[Item],
    found: Sequence[int | None],
    by_value: Mapping[tuple[str, ...], int],
    used: set[int],
) -> str:
    keys = list(config.join)
    matched = sum(row is not None for row in found)
    lost = next((row for row in by_value.values() if row not in used), None)
    alone = next((item for item, row in zip(items, found, strict=True) if row is None), None)
    sides = []
    if lost is not None:
        cells = [table.cells(config.join[key])[lost] for key in keys]
        sides.append(f"{table.where(lost)} has {_told(keys, cells)}")
    if alone is not None:
        values = [alone.name if key == FILE else alone.keys[key] for key in keys]
        sides.append(f"a file has {_told(keys, values)}")
    return (
        f"{matched:,} of {len(items):,} files and {len(used):,} of {len(by_value):,} rows match on "
        f"{' and '.join(keys)}: {'; '.join(sides)}; data.unmatched: leave out accepts that"
        if matched
        else f"0 of {len(items):,} files match a row on {' and '.join(keys)}: {'; '.join(sides)}; "
        "check data.join"
    )


def _told(keys: Sequence[str], values: Sequence[str]) -> str:
    """Names of files as they are; of what a header or its table says, only the shape."""
    told = []
    for key, value in zip(keys, values, strict=True):
        shape = re.sub(r"[^\W\d_]", "A", re.sub(r"\d", "9", value))[:40]
        told.append(shown(value) if key == FILE else f"{key} of the shape {shape!r}")
    return ", ".join(told)


def _some(labels: Sequence[str]) -> str:
    return ", ".join(labels[:6]) + (f" and {len(labels) - 6} more" if len(labels) > 6 else "")
