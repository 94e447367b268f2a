"""Rows of a CSV file with the columns that a recipe names, and the case names that rows get."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from vrft_aug.data.images import SUFFIXES
from vrft_aug.data.sources import absent
from vrft_aug.errors import UserError, nearest


@dataclass(frozen=True)
class Row:
    """One row: its cells by column, stripped, and where it stands for messages."""

    cells: Mapping[str, str]
    where: str  # "path line 7"


def read_rows(path: Path, root: Path, columns: Mapping[str, str | None]) -> list[Row]:
    """The rows of a UTF-8 CSV file with a header.

    `columns` maps a setting of the recipe to the column it names (None: not used). Raises UserError where
    the file is absent or no CSV, or where a column is missing.
    """
    if not path.is_file():
        raise absent(path, root, "csv")
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file, strict=True)
            header = [name.strip() for name in reader.fieldnames or []]
            reader.fieldnames = header
            _check_columns(path, header, columns)
            return [
                Row(_cells(raw, path, reader.line_num), f"{path} line {reader.line_num}") for raw in reader
            ]
    except (csv.Error, UnicodeDecodeError) as error:
        raise UserError(f"{path} cannot be read as a UTF-8 CSV file: {error}") from None


def _check_columns(path: Path, header: Sequence[str], columns: Mapping[str, str | None]) -> None:
    for setting, column in columns.items():
        if column is not None and column not in header:
            raise UserError(
                f"{path} has no column {column!r} ({setting}){nearest(column, header)}; "
                f"its columns are {', '.join(header) or 'none, it is empty'}"
            )


def _cells(raw: Mapping[str | None, str | list[str] | None], path: Path, line: int) -> dict[str, str]:
    cells = {key: value.strip() for key, value in raw.items() if key is not None and isinstance(value, str)}
    if len(cells) != len(raw):
        raise UserError(f"{path} line {line} has more or fewer cells than the header")
    return cells


def image_path(folder: Path, name: str) -> Path:
    """The file of an image that a table names, also without its suffix; as named where there is none."""
    path = folder / name
    if not path.is_file() and path.suffix.lower() not in SUFFIXES:
        found = [path.with_name(path.name + suffix) for suffix in SUFFIXES]
        return next((candidate for candidate in found if candidate.is_file()), path)
    return path


def case_names(images: Sequence[str]) -> list[str]:
    """What cases are called after their image files: the stem, or the path without its suffix where two
    different files share a stem."""
    paths = [_without_suffix(image) for image in images]
    stems = Counter(path.name for path in set(paths))
    unique = all(count == 1 for count in stems.values())
    return [path.name if unique else path.as_posix() for path in paths]


def _without_suffix(image: str) -> PurePosixPath:
    path = PurePosixPath(image)
    return path.with_suffix("") if path.suffix.lower() in SUFFIXES else path


def data_name(file: str) -> str:
    """What the ids of a table's cases begin with: the folder that it lies in, or its own stem."""
    path = PurePosixPath(file)
    return path.parent.name or path.stem
