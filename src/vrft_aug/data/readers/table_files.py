"""Tables of any format as columns of text: CSV and its kin, Excel, parquet, JSON (lines) of flat objects.

Text tables are read by Python's `csv`, not by pandas: it tells in which line a row has a cell too many or too
few, where pandas fills or shifts; Excel by openpyxl, parquet by pyarrow.
"""

from __future__ import annotations

import csv
import json
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from vrft_aug.data.notes import note, some
from vrft_aug.data.readers.table_text import Dialect, open_text, separated_by, text_rows
from vrft_aug.data.sources import absent
from vrft_aug.errors import UserError, nearest, shown

MAGIC = {b"PK\x03\x04": "xlsx", b"PAR1": "parquet", b"\xd0\xcf\x11\xe0": "xls"}  # how the files begin
Cells = Iterable[tuple[int, Sequence[str]]]  # line, cells


@dataclass(frozen=True)
class Table:
    """Some columns of a table, stripped, and the line of every row for messages."""

    path: Path
    columns: dict[str, list[str]] = field(default_factory=dict)
    lines: list[int] = field(default_factory=list)
    header: tuple[str, ...] = ()  # all columns of the file, also those not kept
    joined: tuple[str, ...] = ()  # names of the tables whose columns were joined to it

    def where(self, row: int) -> str:
        """`path line 7`, with the tables that are joined to it."""
        others = f" (joined with {', '.join(self.joined)})" if self.joined else ""
        return f"{self.path} line {self.lines[row]}{others}"

    def cells(self, column: str | None) -> list[str]:
        """A column; empty cells where none is named."""
        return self.columns[column] if column is not None else [""] * len(self.lines)


def read_header(path: Path, root: Path, dialect: Dialect, wanted: Collection[str]) -> list[str]:
    """The columns of a table; `wanted` are names that tell a separator from another.

    Raises UserError where the file is absent, broken, of another kind than its name says, or where a name
    stands twice.
    """
    header = [name.strip() for name in _open(path, root, dialect, wanted)[0]]
    twice = [name for name, count in Counter(header).items() if count > 1 and name]
    if twice:
        raise UserError(
            f"{path} has column {shown(twice[0])} {header.count(twice[0])} times; expected a name for each"
        )
    return header


def read_columns(
    path: Path, root: Path, dialect: Dialect, wanted: Collection[str], keep: Collection[str]
) -> Table:
    """The columns `keep` of a table, blank rows skipped; UserError where a row does not fit the header."""
    header = read_header(path, root, dialect, wanted)
    _, rows = _open(path, root, dialect, wanted)
    places = [(header.index(name), name) for name in dict.fromkeys(keep)]
    table = Table(path, {name: [] for _, name in places}, [], tuple(header))
    width, blank = len(header), 0
    into = [(place, table.columns[name].append) for place, name in places]
    same: dict[str, str] = {}  # labels and splits recur: one object for all of them
    for line, cells in rows:
        if len(cells) != width:
            if not any(map(str.strip, cells)):
                blank += 1
                continue
            if len(cells) < width or any(map(str.strip, cells[width:])):
                raise UserError(
                    f"{path} line {line} has more or fewer cells than the header: {len(cells)}, not {width}"
                )
        elif not any(map(str.strip, cells)):
            blank += 1
            continue
        for place, add in into:
            cell = cells[place].strip()
            add(same.setdefault(cell, cell) if len(cell) < 16 else cell)
        table.lines.append(line)
    if blank:
        note(f"{path.name}: {blank:,} blank rows skipped")
    return table


def check_columns(path: Path, header: Sequence[str], columns: dict[str, str | None]) -> None:
    """Raise UserError where a column that a setting names is not there; None is not used."""
    for setting, column in columns.items():
        if column is not None and column not in header:
            named = [name for name in header if name]
            listed = some(named, 30)
            if (found := separated_by(header)) is not None:
                raise UserError(
                    f"{path} has {found} between its columns, but data.separator says otherwise, so that it "
                    f"has no column {column!r} ({setting}); remove data.separator, which is then found out"
                )
            raise UserError(
                f"{path} has no column {column!r} ({setting}){nearest(column, named)}; "
                f"its columns are {listed or 'none, it is empty'}"
            )


def _open(path: Path, root: Path, dialect: Dialect, wanted: Collection[str]) -> tuple[Sequence[str], Cells]:
    """Header and rows of a file of whatever format."""
    if not path.is_file():
        raise absent(path, root, "csv")
    with path.open("rb") as file:
        kind = MAGIC.get(file.read(4), "text")
    suffix = path.suffix.lower().lstrip(".")
    if kind in ("xlsx", "parquet") and suffix != kind:
        if not (kind == "xlsx" and suffix == "xlsm"):
            raise UserError(
                f"{path} is a {kind} file by its content; name it {path.stem}.{kind}, or give the file meant"
            )
    elif kind == "xls" or suffix in ("xls", "ods"):
        raise UserError(f"{path} is an old Excel or OpenDocument table; save it as .xlsx or .csv")
    elif suffix in ("xlsx", "xlsm", "parquet") and kind == "text":
        raise UserError(
            f"{path} is no {suffix} file, whatever its name says; it may be cut or be a text table"
        )
    try:
        if kind == "xlsx":
            return _excel(path, dialect)
        if kind == "parquet":
            return _parquet(path)
        if suffix in ("json", "jsonl", "ndjson"):
            return _objects(path, dialect)
        return text_rows(path, dialect, wanted)
    except csv.Error as error:
        raise UserError(f"{path} cannot be read as a UTF-8 CSV file: {error}") from None


def _excel(path: Path, dialect: Dialect) -> tuple[Sequence[str], Cells]:
    try:
        import openpyxl
    except ImportError:
        raise UserError(f"{path} needs the package openpyxl: pip install 'vrft-aug[tables]'") from None
    from zipfile import BadZipFile

    try:
        values = openpyxl.load_workbook(path, read_only=True, data_only=True)
        formulas = openpyxl.load_workbook(path, read_only=True)
        sheet = _sheet(path, values.sheetnames, dialect)
        rows = list(values[sheet].iter_rows(values_only=True))
        written = list(formulas[sheet].iter_rows(values_only=True))
    except (BadZipFile, OSError, KeyError, ValueError, EOFError, SyntaxError) as error:
        raise UserError(f"{path} cannot be read as an Excel file: {_line(error)}") from None
    for number, (cells, sources) in enumerate(zip(rows, written, strict=False), start=1):
        for value, source in zip(cells, sources, strict=False):
            if value is None and isinstance(source, str) and source.startswith("="):
                raise UserError(
                    f"{path} row {number} has the formula {shown(source)} without its value; open and save "
                    "it in Excel, or save it as CSV"
                )
    texts = [[_text(value) for value in row] for row in rows]
    width = max((max((i + 1 for i, cell in enumerate(row) if cell), default=0) for row in texts), default=0)
    texts = [(row + [""] * width)[:width] for row in texts]
    return texts[0] if texts else [], enumerate(texts[1:], start=2)


def _sheet(path: Path, names: Sequence[str], dialect: Dialect) -> str:
    if dialect.sheet is not None and dialect.sheet not in names:
        raise UserError(
            f"{path} has no sheet {dialect.sheet!r} (sheet){nearest(dialect.sheet, names)}; "
            f"it has {some(names, 12)}"
        )
    if dialect.sheet is None and len(names) > 1:
        raise UserError(f"{path} has {len(names)} sheets: {some(names, 12)}; name one with data.sheet")
    return dialect.sheet or names[0]


def _parquet(path: Path) -> tuple[Sequence[str], Cells]:
    import pyarrow as pa
    from pyarrow import parquet

    try:
        table = parquet.read_table(path)
    except (pa.ArrowException, OSError) as error:
        raise UserError(f"{path} cannot be read as a parquet file: {_line(error)}") from None
    nested = [str(field.name) for field in table.schema if pa.types.is_nested(field.type)]
    if nested:
        raise UserError(
            f"{path} holds more than text and numbers in {some(nested)}; a data set with pictures "
            "inside is read by reader: huggingface"
        )
    columns = [[_text(value) for value in table[name].to_pylist()] for name in table.column_names]
    return list(table.column_names), enumerate(zip(*columns, strict=True), start=1)


def _objects(path: Path, dialect: Dialect) -> tuple[Sequence[str], Cells]:
    """JSON or JSON lines: a list of flat objects, whose keys are the columns."""
    rows = list(json_objects(path, dialect))
    header = list(dict.fromkeys(key for _, row in rows for key in row))
    for line, row in rows:
        for key, value in row.items():
            if isinstance(value, dict | list):
                raise UserError(
                    f"{path} item {line} has {shown(value)} under {key!r}; expected text or a number "
                    f"(questions "
                    "in conversations are read by reader: json, boxes by coco, labelme, via, ...)"
                )
    return header, ((line, [_text(row.get(key)) for key in header]) for line, row in rows)


def json_objects(path: Path, dialect: Dialect) -> Iterator[tuple[int, dict[str, Any]]]:
    """The objects of a JSON list or of JSON lines, numbered from 1."""
    with open_text(path, dialect) as file:
        text = file.read()
    items: list[Any] = []
    try:
        if text.lstrip().startswith("["):
            items = json.loads(text)
        else:
            items = [json.loads(line) for line in text.splitlines() if line.strip()]
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path} is not valid JSON (a list, or an object a line): {_line(error)}") from None
    for number, item in enumerate(items, start=1):
        if not isinstance(item, dict):
            raise UserError(
                f"{path} item {number} is {shown(item)}; expected an object with names and values"
            )
        yield number, item


def _text(value: object) -> str:
    """A value as a text table would have it."""
    if value is None or value != value:  # NaN
        return ""
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        return str(int(value))
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    return str(value)


def _line(error: BaseException) -> str:
    return " ".join(str(error).split())[:160]
