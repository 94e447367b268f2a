"""A table with the columns of further tables, joined by a key."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path

from vrft_aug.data.notes import note, some
from vrft_aug.data.readers.table_files import Table, check_columns, read_columns, read_header
from vrft_aug.data.readers.table_settings import JoinedTable, TableSettings
from vrft_aug.data.readers.table_text import Dialect
from vrft_aug.errors import UserError, shown


def joined_header(config: TableSettings, root: Path, wanted: Collection[str]) -> list[str]:
    """The columns of all tables, those of the first first."""
    header = read_header(root / config.table, root, config.dialect(), wanted)
    for other in config.join:
        check_columns(root / config.table, header, {"join.on": other.on})
        theirs = read_header(root / other.table, root, _dialect(other), {*wanted, _key(other)})
        check_columns(root / other.table, theirs, {"join.key": _key(other)})
        header += [name for name in theirs if name not in header]
    return header


def read_joined(config: TableSettings, root: Path, wanted: Collection[str], keep: Sequence[str]) -> Table:
    """The columns `keep`, each from the table that has it.

    Raises UserError where two tables have a column of that name, where a key stands twice in a further
    table, and where rows have no match there, unless the recipe leaves them out.
    """
    path = root / config.table
    own = read_header(path, root, config.dialect(), wanted)
    keys = [other.on for other in config.join]
    table = read_columns(
        path, root, config.dialect(), wanted, [*(name for name in keep if name in own), *keys]
    )
    for other in config.join:
        theirs = read_header(root / other.table, root, _dialect(other), {*wanted, _key(other)})
        for name in keep:
            if name in theirs and name in table.columns and name not in (other.on, _key(other)):
                raise UserError(
                    f"column {name!r} is in {path} and in {root / other.table}; rename one of them"
                )
        new = [name for name in keep if name in theirs and name not in table.columns]
        table = _with(table, other, root, wanted, new)
    return table


def _with(table: Table, other: JoinedTable, root: Path, wanted: Collection[str], new: Sequence[str]) -> Table:
    path, key = root / other.table, _key(other)
    theirs = read_columns(
        path, root, _dialect(other), {*wanted, key}, [key, *(name for name in new if name != key)]
    )
    row_of: dict[str, int] = {}
    for row, value in enumerate(theirs.cells(key)):
        if value in row_of:
            raise UserError(
                f"{theirs.where(row)}: {key} {shown(value)} is there twice, first in "
                f"{theirs.where(row_of[value])}; "
                "a table is joined by a key that each row has once"
            )
        row_of[value] = row
    ours = table.cells(other.on)
    missing = [value for value in ours if value not in row_of]
    if missing and (other.unmatched == "refuse" or len(missing) == len(ours)):
        have = f"; it has {shown(next(iter(row_of)))}" if row_of else ""
        raise UserError(
            f"{len(ours) - len(missing):,} of {len(ours):,} rows of {table.path} match {path} by "
            f"{other.on} = {key}: "
            f"it lacks {some([shown(value) for value in missing])}{have}; join.unmatched: leave out drops "
            f"such rows"
        )
    if missing:
        note(
            f"{len(missing):,} rows of {table.path.name} have no row in {path.name} and are left out",
            "warning",
        )
    rows = [row for row, value in enumerate(ours) if value in row_of]
    places = [row_of[ours[row]] for row in rows]
    columns = {name: [cells[row] for row in rows] for name, cells in table.columns.items()}
    columns |= {name: [theirs.columns[name][place] for place in places] for name in new}
    lines, header = [table.lines[row] for row in rows], (*table.header, *theirs.header)
    return Table(table.path, columns, lines, header, (*table.joined, path.name))


def _key(other: JoinedTable) -> str:
    return other.key or other.on


def _dialect(other: JoinedTable) -> Dialect:
    return Dialect(other.encoding, other.separator, other.sheet)
