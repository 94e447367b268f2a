"""A task from a table of pictures."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path
from typing import Any

from vrft_aug.data.readers.table_files import Table, read_columns, read_header
from vrft_aug.data.readers.table_text import Dialect
from vrft_aug.data.splits import NAMES
from vrft_aug.errors import UserError
from vrft_aug.preview.guess.guessed import Guess, picture_folders, words_of
from vrft_aug.preview.guess.label_order import NamedLabels, name_labels
from vrft_aug.preview.guess.table_columns import (
    BLANK,
    FLAGS,
    UNCERTAIN,
    Columns,
    find_columns,
    has,
    separator_of,
)

SUFFIXES = (".csv", ".tsv", ".txt", ".xlsx", ".parquet")
# In a table of Western Europe accents stand alone or in pairs of letters, and no symbol is among them
NOT_WESTERN = re.compile(
    r"[\u0080-\uffff]{3}|[\u00a1-\u00bf\u00d7\u00f7][\u0080-\uffff]|[\u0080-\uffff][\u00a1-\u00bf\u00d7\u00f7]"
)
NOTHING = ("no finding", "no findings", "none", "normal")  # cells of lists that say: none of the labels


def guess_table(path: Path) -> Guess:
    """What a table and the pictures that it names are; UserError where it names none that are there."""
    encoding, table = _read(path)
    root = path.parent
    columns = find_columns(table, picture_folders(root))
    if columns is None:
        raise UserError(
            f"{path}: no column names pictures in {root} or below it; its columns are "
            f"{', '.join(table.header)[:150]}; put the table above its pictures, or take `vrft init busi`"
        )
    hints = words_of(*path.resolve().parts[-3:], *columns.folder.parts[-2:], *table.header)
    data: dict[str, Any] = {"reader": "csv", "table": path.name}
    if encoding is not None:
        data["encoding"] = encoding
    folder = columns.folder.relative_to(root).as_posix()
    data["images"] = folder
    data["image_column"] = columns.images[0] if len(columns.images) == 1 else list(columns.images)
    said = [f"pictures are named in column {' and '.join(map(repr, columns.images))}, below {folder}"]
    open_: list[str] = []
    if encoding is not None:
        open_.append(f"the table is no UTF-8; it was read as {encoding}: look at its umlauts and accents")
    if columns.matched < 1:
        open_.append(f"only {columns.matched:.0%} of the names looked at are files: correct the others")
    kind, labels = _truth(table, columns, hints, data, said, open_)
    judged_on = _splits(table, columns, data, said)
    return Guess(
        root, kind, labels.labels, data, (*said, *labels.said), (*open_, *labels.open),
        labels.knowledge, labels.maybe_knowledge, judged_on, hints | words_of(*labels.labels),
    )  # fmt: skip


def _truth(
    table: Table,
    columns: Columns,
    hints: frozenset[str],
    data: dict[str, Any],
    said: list[str],
    open_: list[str],
) -> tuple[str, NamedLabels]:
    """The kind of the task and its labels; what the reader must know of them goes into `data`."""
    if columns.boxes:
        data["box_columns"] = dict(columns.boxes)
        if _fractions(table, columns):
            data["box_units"] = "fraction"
        said.append(f"boxes are in the columns {', '.join(columns.boxes.values())}")
        labels, named = _boxed(table, columns)
        if named is None:
            open_.append("no column names what is in the boxes: give the one label its name")
            return "localise", NamedLabels("localise", ("lesion",))
        data["box_label_column"] = named
        return "localise", NamedLabels("localise", labels, said=(f"boxes are named in column {named!r}",))
    if columns.question is not None or (columns.answer is not None and not columns.labels):
        if columns.question is not None:
            data["question_column"] = columns.question
        data["text_column"] = columns.answer
        data["label_column"] = None
        said.append(f"answers are texts, in column {columns.answer!r}")
        return "answer", NamedLabels("answer", ())
    if columns.flags:
        return _flags(table, columns, hints, data, said, open_)
    if not columns.labels:
        raise UserError(
            f"{table.path}: no column looks like labels (2 to 30 values that recur); its columns are "
            f"{', '.join(table.header)[:200]}; add one, or start from `vrft init busi` and name it"
        )
    column = columns.labels[0]
    data["label_column"] = column
    said.append(f"labels are in column {column!r}")
    if len(columns.labels) > 1:
        others = ", ".join(columns.labels[1:4])
        open_.append(f"label_column: {column} is a guess; {others} could be it as well")
    cells = table.columns[column]
    separator = separator_of(cells)
    if has(cells, BLANK):
        data["blank"] = "leave out"
        open_.append("rows without a label are left out (blank)")
    if separator is not None:
        data["label_separator"] = separator
        values = sorted({part.strip() for cell in cells for part in cell.split(separator)} - {""})
        values = [value for value in values if value.casefold() not in NOTHING]
        found = name_labels(values, hints, several=True)
    else:
        found = name_labels(sorted({cell for cell in cells if cell}), hints)
    if found.label_names:
        data["label_names"] = dict(found.label_names)
    return found.kind, found


def _boxed(table: Table, columns: Columns) -> tuple[tuple[str, ...], str | None]:
    """What is in the boxes, of the rows that have one, and the column that says it; a flag says nothing."""
    sides = [table.columns[name] for name in columns.boxes.values()]
    full = [all(cell.casefold() not in BLANK for cell in row) for row in zip(*sides, strict=True)]
    for name in columns.labels:
        column = table.columns[name]
        values = {cell for cell, there in zip(column, full, strict=True) if there and cell}
        if values and not set(column) <= FLAGS:
            return tuple(sorted(values)), name
    return (), None


def _flags(
    table: Table,
    columns: Columns,
    hints: frozenset[str],
    data: dict[str, Any],
    said: list[str],
    open_: list[str],
) -> tuple[str, NamedLabels]:
    """Labels in a column each, with 1 and 0."""
    cells = [table.columns[name] for name in columns.flags]
    flags = [name for name in columns.flags if name.casefold() not in NOTHING]
    sums = Counter(sum(cell.startswith("1") for cell in row) for row in zip(*cells, strict=True))
    one_each = set(sums) == {1}
    if one_each:
        flags = list(columns.flags)
    data["label_column"] = flags
    said.append(f"labels are in columns of 1 and 0: {', '.join(flags)[:200]}")
    if any(has(column, UNCERTAIN) for column in cells):
        data["uncertain"] = "leave out"
        open_.append("rows with -1 are left out (uncertain): yes and no are the other choices")
    if any(has(column, BLANK) for column in cells):
        data["blank"] = "no"
        open_.append("empty cells are read as 0 (blank): check that they mean so")
    found = name_labels(flags, hints, several=not one_each)
    if found.label_names:
        data["label_names"] = dict(found.label_names)
    return found.kind, found


def _splits(table: Table, columns: Columns, data: dict[str, Any], said: list[str]) -> str:
    """The split that is judged; how splits are made goes into `data`."""
    if columns.patient is not None:
        data["patient_column"] = columns.patient
        said.append(f"patients are in column {columns.patient!r}: none is in two splits")
    if columns.split is None:
        data["split_column"] = None
        data["random_split"] = {"seed": 0}
        said.append("no column tells splits: 65 % train, 15 % validation, 20 % test, at random by patient")
        return "test"
    data["split_column"] = columns.split
    names = {NAMES[cell.casefold()] for cell in table.columns[columns.split]}
    said.append(f"splits are in column {columns.split!r}: {', '.join(sorted(names))}")
    return "test" if "test" in names else "validation"


def _fractions(table: Table, columns: Columns) -> bool:
    numbers = []
    for name in columns.boxes.values():
        for cell in table.columns[name]:
            try:
                numbers.append(float(cell))
            except ValueError:
                continue
    return bool(numbers) and max(numbers) <= 1.0


def _read(path: Path) -> tuple[str | None, Table]:
    """The whole table, and its encoding where that is not UTF-8."""
    try:
        header = read_header(path, path.parent, Dialect(), ())
        return None, read_columns(path, path.parent, Dialect(), (), header)
    except UserError as error:
        if "UTF-8 CSV file: byte" not in str(error):
            raise
        refused = error
    dialect = Dialect("cp1252")
    if NOT_WESTERN.search(path.read_bytes().decode("cp1252", errors="replace")):
        raise refused
    return "cp1252", read_columns(path, path.parent, dialect, (), read_header(path, path.parent, dialect, ()))
