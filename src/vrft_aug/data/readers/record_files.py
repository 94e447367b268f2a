"""Records of a file: JSON, JSON lines, parquet or CSV, each with the place where it stands."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vrft_aug.data.sources import absent
from vrft_aug.errors import UserError, shown

EXPECTED = "expected a list of mappings (JSON), a mapping a line (JSON lines), or .parquet or .csv"


@dataclass(frozen=True)
class Record:
    """One record and where it stands, for messages."""

    value: dict[str, Any]
    where: str  # "path row 7"


def read_records(path: Path, root: Path) -> list[Record]:
    """All records of a file, at least one, by its suffix; UserError where it is absent, broken or empty."""
    if not path.is_file():
        raise absent(path, root, "questions")
    suffix = path.suffix.lower()
    read = {".csv": _csv, ".tsv": _csv, ".parquet": _parquet, ".jsonl": _lines, ".ndjson": _lines}.get(suffix)
    values = (read or _json)(path)
    records = []
    for number, value in enumerate(values, start=1):
        where = f"{path} row {number}"
        if not isinstance(value, dict):
            raise UserError(f"{where} is {shown(value)}; {EXPECTED}")
        records.append(Record(value, where))
    if not records:
        raise UserError(f"{path} is empty; {EXPECTED}")
    return records


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path} cannot be read as UTF-8 text: {error}") from None


def _json(path: Path) -> list[Any]:
    text = _text(path)
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        if text.lstrip().startswith("{"):  # JSON lines under the name of JSON
            return list(_lines(path))
        raise UserError(f"{path} is no JSON: {error}; {EXPECTED}") from None
    if isinstance(value, dict):  # {"data": [...]}
        lists = [one for one in value.values() if isinstance(one, list)]
        value = lists[0] if len(lists) == 1 else [value]
    if not isinstance(value, list):
        raise UserError(f"{path} holds {shown(value)}; {EXPECTED}")
    return value


def _lines(path: Path) -> Iterator[Any]:
    for number, line in enumerate(_text(path).split("\n"), start=1):
        if line.strip():
            try:
                yield json.loads(line)
            except (ValueError, RecursionError) as error:
                raise UserError(f"{path} line {number} is no JSON: {error}; {EXPECTED}") from None


def _csv(path: Path) -> Iterator[Any]:
    lines = _text(path).splitlines(keepends=True)
    try:
        for row in csv.DictReader(
            lines, delimiter="\t" if path.suffix.lower() == ".tsv" else ",", strict=True
        ):
            if None in row or None in row.values():
                raise UserError(f"{path}: a row has more or fewer cells than the header: {shown(str(row))}")
            yield {key.strip(): value for key, value in row.items()}
    except csv.Error as error:
        raise UserError(f"{path} cannot be read as CSV: {error}") from None


def _parquet(path: Path) -> Iterator[Any]:
    import pyarrow as arrow
    import pyarrow.parquet as parquet

    try:
        with parquet.ParquetFile(path) as file:
            for batch in file.iter_batches(batch_size=256):
                yield from batch.to_pylist()
    except (arrow.ArrowException, OSError) as error:
        raise UserError(f"{path} cannot be read as parquet: {' '.join(str(error).split())[:200]}") from None
