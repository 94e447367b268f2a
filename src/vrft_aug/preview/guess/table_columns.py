"""Which column of a table is what: pictures, labels, splits, patients, questions, boxes."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from vrft_aug.data.file_index import FileIndex
from vrft_aug.data.readers.table_files import Table
from vrft_aug.data.splits import NAMES
from vrft_aug.preview.guess.guessed import is_there, words_of

LOOKED_AT = 300  # cells of a column that are looked for among the files
MOST_LABELS = 30
PATIENT = re.compile(r"patient|subject|person|participant|^pid$|^mrn$|^pat_?id$", re.IGNORECASE)
NO_LABEL = words_of("age sex gender view laterality side eye site hospital device date height width id")
LABELLED = words_of(
    "label labels class classes diagnosis diagnoses dx grade category target finding findings severity level "
    "stage type disease pathology score tumor tumour"
)
QUESTION, ANSWER = frozenset(("question", "prompt", "query")), frozenset(("answer", "answers"))
TEXT = words_of("caption report impression description text findings")
FLAGS = {"0", "1", "0.0", "1.0"}
UNCERTAIN, BLANK = {"-1", "-1.0"}, {"", "nan", "na"}
SEPARATED = ("|", ";", ",")
CORNERS = {  # what the reader calls a side -> what columns of it are called
    "x1": ("x1", "xmin", "x_min", "left"),
    "y1": ("y1", "ymin", "y_min", "top"),
    "x2": ("x2", "xmax", "x_max", "right"),
    "y2": ("y2", "ymax", "y_max", "bottom"),
}
SIDES = {
    "x": ("x", *CORNERS["x1"]),
    "y": ("y", *CORNERS["y1"]),
    "width": ("width", "w"),
    "height": ("height", "h"),
}
CENTRE = {
    "cx": ("cx", "x_center", "xcenter"),
    "cy": ("cy", "y_center", "ycenter"),
    "width": SIDES["width"],
    "height": SIDES["height"],
}


@dataclass(frozen=True)
class Columns:
    """What each column seems to be; None or empty where there is none."""

    images: tuple[str, ...]
    folder: Path  # that the names of pictures begin in
    matched: float  # share of the looked at names that are files
    split: str | None = None
    patient: str | None = None
    question: str | None = None
    answer: str | None = None
    boxes: Mapping[str, str] = field(default_factory=dict)  # what the reader calls a side -> column
    flags: tuple[str, ...] = ()  # a column a label, of 1 and 0
    labels: tuple[str, ...] = ()  # columns that may hold the label, the likeliest first


def find_columns(table: Table, folders: Sequence[Path]) -> Columns | None:
    """What the columns are; None where no column names pictures in any of the folders."""
    cells = {name: column for name, column in table.columns.items() if name}
    images, folder, matched = _pictures(cells, folders)
    if not images:
        return None
    left = [name for name in cells if name not in images]
    split = next((name for name in left if _is_split(cells[name])), None)
    patient = next((name for name in left if PATIENT.search(name)), None)
    question = next((name for name in left if words_of(name) & QUESTION), None)
    answer = next((name for name in left if words_of(name) & ANSWER), None)
    left = [name for name in left if name not in (split, patient, question, answer)]
    boxes = _boxes(left)
    left = [name for name in left if name not in boxes.values()]
    flags = tuple(name for name in left if _is_flag(cells[name]) and not words_of(name) & NO_LABEL)
    flags = flags if len(flags) > 1 else ()
    labels = _labels({name: cells[name] for name in left if name not in flags}, len(table.lines))
    if answer is None and not labels and not flags:
        answer = next((name for name in left if words_of(name) & TEXT), None)
    return Columns(images, folder, matched, split, patient, question, answer, boxes, flags, labels)


def separator_of(cells: Sequence[str]) -> str | None:
    """What stands between the labels of a cell, where cells hold several that also stand alone."""
    for separator in SEPARATED:
        lists = [cell for cell in set(cells) if separator in cell]
        parts = {part.strip() for cell in cells for part in cell.split(separator)}
        if lists and len(parts) <= MOST_LABELS and len(parts) < len(set(cells)) + len(lists):
            return separator
    return None


def has(cells: Iterable[str], marks: set[str]) -> bool:
    """Whether any cell is one of the marks."""
    return any(cell.casefold() in marks for cell in cells)


def _pictures(
    cells: Mapping[str, Sequence[str]], folders: Sequence[Path]
) -> tuple[tuple[str, ...], Path, float]:
    best: tuple[float, list[str], Path] = (0.0, [], folders[0])
    for folder in folders:
        index = FileIndex(folder)
        shares = {name: _share(column, index) for name, column in cells.items()}
        named = [name for name, share in shares.items() if share > 0.5]
        if named and max(shares.values()) > best[0]:
            best = (max(shares.values()), named, folder)
    share, named, folder = best
    return tuple(named), folder, share


def _share(column: Sequence[str], index: FileIndex) -> float:
    """The share of the names in a column that are files."""
    names = [name for name in dict.fromkeys(column) if name][:LOOKED_AT]
    return sum(is_there(name, index) for name in names) / len(names) if names else 0.0


def _is_split(column: Sequence[str]) -> bool:
    values = {cell.casefold() for cell in column}
    return len(values) > 1 and values <= NAMES.keys()


def _is_flag(column: Sequence[str]) -> bool:
    values = {cell.casefold() for cell in column}
    return bool(values & FLAGS) and values <= FLAGS | UNCERTAIN | BLANK


def _boxes(names: Sequence[str]) -> dict[str, str]:
    """Columns of the sides of boxes, by what the reader calls them."""
    small = {name.casefold(): name for name in names}
    for sides in (CORNERS, CENTRE, SIDES):
        found = {
            side: next((small[word] for word in words if word in small), None)
            for side, words in sides.items()
        }
        if all(found.values()):
            return {side: name for side, name in found.items() if name is not None}
    return {}


def _labels(cells: Mapping[str, Sequence[str]], rows: int) -> tuple[str, ...]:
    """Columns with few distinct values, those called like labels first."""
    found = []
    for place, (name, column) in enumerate(cells.items()):
        values = {cell for cell in column if cell}
        separator = separator_of(column)
        if separator is not None:
            values = {part.strip() for cell in column for part in cell.split(separator) if part.strip()}
        if 2 <= len(values) <= min(MOST_LABELS, max(2, rows // 2)) and not words_of(name) <= NO_LABEL:
            found.append((not words_of(name.replace("_", " ")) & LABELLED, place, name))
    return tuple(name for *_, name in sorted(found))
