"""What `vrft predict` reads and writes: pictures in folders, a line for each answer, a table of them."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vrft_aug.data.images import SUFFIXES
from vrft_aug.errors import UserError
from vrft_aug.files import write_text
from vrft_aug.run.layout import RUN_MODEL, RUN_RECIPE
from vrft_aug.run.logs import read_lines

PREDICTIONS = "predictions.jsonl"  # in the folder of the drawn pictures: a line an answer, as they come
CONFIDENCE = "confidence"  # a further column, of tasks that ask for it
COLUMNS = ("image", "task", "question", "answer", "reason", "reasoning", "completion", "picture")
TABLES = (".csv", ".json", ".jsonl")


@dataclass(frozen=True)
class Asked:
    """A picture, and where the copy with its answer is to be drawn."""

    image: Path
    picture: Path
    named: bool  # by the user, not found in a folder: then it has to be readable


def list_pictures(sources: Sequence[Path], output: Path) -> list[Asked]:
    """The files named, and all pictures below the folders named, by path; those no file twice.

    Raises UserError for a folder without pictures, and for what is not there.
    """
    found: list[Asked] = []
    seen: set[Path] = set()
    for number, source in enumerate(sources, start=1):
        if source.is_dir():
            inside = list(_below(source, output))
            if not inside:
                raise UserError(
                    f"folder {source} has no picture in it; expected files that end in {', '.join(SUFFIXES)}"
                )
            stems = {file: file.relative_to(source).with_suffix("") for file in inside}
            times = Counter(stems.values())
            for file, stem in stems.items():
                name = stem if times[stem] == 1 else file.relative_to(source)
                drawn = output / source.resolve().name / name.with_name(f"{name.name}.png")
                if file not in seen:
                    found.append(Asked(file, drawn, named=False))
                seen.add(file)
        elif source.exists():
            found.append(Asked(source, output / f"{number:03d}-{source.stem}.png", named=True))
            seen.add(source)
        else:
            raise UserError(f"{source} does not exist; expected a picture or a folder of pictures")
    return found


def _below(folder: Path, output: Path) -> Iterator[Path]:
    """Pictures below a folder by path, links followed once; not hidden ones, nor those drawn before."""
    drawn = output.resolve()
    for parent, folders, names in os.walk(folder):
        folders[:] = sorted(
            name for name in folders if not name.startswith(".") and (Path(parent) / name).resolve() != drawn
        )
        for name in sorted(names):
            if not name.startswith(".") and name.lower().endswith(SUFFIXES):
                yield Path(parent) / name


def answer_keys(pictures: Sequence[Asked], run: Path, *question: object) -> list[str]:
    """A key for each picture, which changes with its file, the run's model and recipe, and the question.

    Files are told by place, size and time; none is read.
    """
    of_run = [run / RUN_RECIPE, *sorted(path for path in (run / RUN_MODEL).rglob("*") if path.is_file())]
    told = hashlib.sha256(repr(([_stamp(file) for file in of_run], question)).encode()).hexdigest()
    texts = [f"{told}{_stamp(one.image)}{one.picture}" for one in pictures]
    return [hashlib.sha256(text.encode()).hexdigest()[:24] for text in texts]


def _stamp(file: Path) -> tuple[str, int, int]:
    found = file.stat()
    return str(file.resolve()), found.st_size, found.st_mtime_ns


def answered_before(output: Path) -> dict[str, dict[str, Any]]:
    """The answers that an earlier call left in a folder, by key; those whose picture is gone are none.

    A last line that a killed call left half written is ended, so that the next one begins anew.
    """
    path = output / PREDICTIONS
    if path.is_file() and not path.read_bytes().endswith(b"\n"):
        with path.open("a", encoding="utf-8") as file:
            file.write("\n")
    return {
        str(line["key"]): line
        for line in read_lines(path)
        if "key" in line and (line.get("picture") is None or Path(str(line["picture"])).is_file())
    }


def check_table(path: Path) -> None:
    """UserError where answers cannot be written to a file of that name."""
    if path.suffix.lower() not in TABLES:
        raise UserError(f"--table {path} is no table that can be written; expected {', '.join(TABLES)}")


def write_table(path: Path, results: Iterable[Mapping[str, Any]]) -> None:
    """Answers as CSV, JSON or JSON lines, by the file's suffix: a row a picture, whole or not at all."""
    results = list(results)
    columns = list(COLUMNS)
    if any(CONFIDENCE in result for result in results):
        columns.insert(columns.index("reason"), CONFIDENCE)
    rows = [{name: result.get(name) for name in columns} for result in results]
    if path.suffix.lower() == ".json":
        text = json.dumps(rows, ensure_ascii=False, indent=1) + "\n"
    elif path.suffix.lower() == ".jsonl":
        text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    else:
        buffer = io.StringIO()
        writer = csv.DictWriter(buffer, columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows({**row, "answer": _cell(row["answer"])} for row in rows)
        text = buffer.getvalue()
    write_text(path, text)


def _cell(answer: Any) -> str:
    """Labels as tables have them, `a|b`; boxes as JSON."""
    if answer is None or isinstance(answer, str):
        return answer or ""
    if isinstance(answer, list) and all(isinstance(one, str) for one in answer):
        return "|".join(answer)
    return json.dumps(answer, ensure_ascii=False)
