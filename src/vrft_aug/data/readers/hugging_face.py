"""The reader of Hugging Face datasets: a folder that `save_to_disk` wrote, parquet files, or a name on the
hub."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import Any

from PIL import Image
from pydantic import ConfigDict, Field

from vrft_aug.data.images import content_name, decoded, decoding
from vrft_aug.data.notes import some
from vrft_aug.data.readers.raw_labels import target_of
from vrft_aug.data.split_settings import SplitSettings
from vrft_aug.data.splits import NAMES, assign, known_patient
from vrft_aug.errors import UserError, nearest, shown
from vrft_aug.nouns import Case, Target, Task


class HuggingFaceData(SplitSettings):
    """A data set of the library `datasets`. Scripts of a data set are never run."""

    model_config = ConfigDict(coerce_numbers_to_str=True)
    # below the data root: a folder saved to disk, a .parquet file or a folder of them; else a name on the hub
    path: str
    subset: str | None = None  # a configuration of the data set
    image_column: str = "image"
    label_column: str = "label"
    text_column: str | None = None  # the answer, for kind answer
    question_column: str | None = None
    patient_column: str | None = None
    label_names: dict[str, str] = Field(default_factory=dict)  # value or name of a class -> label


@dataclass(frozen=True)
class DatasetImage:
    """The picture of a row, opened when needed; each process opens the data set once."""

    source: str
    subset: str | None
    split: str
    index: int
    column: str
    case: str = ""

    def open(self) -> Image.Image:
        """The picture as upright RGB; UserError where it cannot be decoded."""
        value = _dataset(self.source, self.subset)[self.split][self.index][self.column]
        path = Path(value.get("path") or self.source)
        with decoding(path, self.case):
            return decoded(value.get("bytes") or path.read_bytes())


def read_huggingface(config: HuggingFaceData, task: Task, root: Path, split: str) -> list[Case]:
    """The cases of one split, by row; ids such as mine/test/17.

    The data set's own splits are kept under our names (data.split_names for others); validation is carved out
    of train where there is none; a data set of one split is dealt. Names of classes come from the data set.
    Raises UserError where it cannot be had or read, or a column does not fit.
    """
    if task.kind == "localise":
        raise UserError(
            f"task {task.name!r} is of kind localise, whose boxes reader huggingface does not read"
        )
    local = root / config.path
    source = str(local) if local.exists() else config.path
    parts = _dataset(source, config.subset)
    named = _named(parts, config, source)
    name = PurePosixPath(config.path).stem or "dataset"
    rows: list[tuple[str, int, Any, str, str | None, str | None]] = []
    for part in named:
        rows += _rows(parts[part], part, config, task, source)
    given = [str(named[row[0]]) for row in rows] if all(named.values()) else None
    pictures = _pictures(parts, config) if config.question_column else None

    def where(i: int) -> str:
        return f"{source}, {rows[i][0]} row {rows[i][1]}"

    dealt = assign(
        config, [f"{part}/{i}" for part, i, *_ in rows], [row[3] for row in rows], given,
        [str(row[2]) for row in rows], where, "the data set", pictures,
    )  # fmt: skip
    cases = []
    for i, (part, index, value, patient, question, text) in enumerate(rows):
        if dealt[i] != split:
            continue
        id = (
            f"{name}/{split}/{part}-{index}"
            if given is not None and dealt[i] != given[i]
            else f"{name}/{split}/{index}"
        )
        target = (
            Target(text=text)
            if task.kind == "answer"
            else target_of(value, task, config.label_names, _classes(parts[part], config), where(i))
        )
        image = DatasetImage(source, config.subset, part, index, config.image_column, id)
        cases.append(
            Case(
                id=id,
                images=(image,),
                target=target,
                patient=patient or None,
                question=question,
                picture=pictures[i] if pictures else None,
            )
        )
    return cases


def _pictures(parts: Any, config: HuggingFaceData) -> list[str]:
    """What tells the picture of every row, in the order of the splits: a file on the disk, or its content.

    Every question has its own copy of its picture there, most often under a name that all share.
    """
    return [
        content_name(value["bytes"]) if value.get("bytes") else str(value.get("path"))
        for rows in parts.values()
        for value in rows.select_columns(config.image_column)[config.image_column]
    ]


@lru_cache(maxsize=2)
def _dataset(source: str, subset: str | None) -> Any:
    """Split -> its rows, pictures not decoded; UserError where there is no such data set."""
    import datasets

    path = Path(source)
    try:
        with _silent():
            if path.is_dir() and ((path / "dataset_dict.json").is_file() or (path / "state.json").is_file()):
                found = datasets.load_from_disk(source)
            elif path.exists():
                files = [path] if path.is_file() else sorted(path.rglob("*.parquet"))
                if not files or any(file.suffix != ".parquet" for file in files):
                    raise UserError(
                        f"{path} is no data set: expected a folder of save_to_disk, or .parquet files"
                    )
                found = datasets.load_dataset("parquet", data_files=_files_by_split(files))
            else:
                found = datasets.load_dataset(source, subset)
    except UserError:
        raise
    except Exception as error:  # the library raises of every kind: its own, pyarrow's, the hub's, OSError
        if (broken := _broken_file(path)) is not None:
            raise UserError(
                f"data set {source!r} cannot be read: {broken[0]} is cut, damaged or no such file "
                f"({broken[1][:160]}); get it again"
            ) from None
        reason = " ".join(str(error.__cause__ or error).split())[:200]
        what = "" if path.exists() else " (no such folder below the data root, so the hub was asked)"
        raise UserError(f"data set {source!r} cannot be read{what}: {reason}") from None
    if isinstance(found, datasets.Dataset):
        found = {"all": found}
    return {str(name): _undecoded(rows) for name, rows in found.items()}


@contextmanager
def _silent() -> Iterator[None]:
    """Without the library's progress bars and its own words on what went wrong."""
    import datasets

    level, bars = datasets.logging.get_verbosity(), datasets.are_progress_bars_disabled()
    datasets.logging.set_verbosity(datasets.logging.CRITICAL)
    datasets.disable_progress_bars()
    try:
        yield
    finally:
        datasets.logging.set_verbosity(level)
        if not bars:
            datasets.enable_progress_bars()


def _broken_file(folder: Path) -> tuple[str, str] | None:
    """The first file of a data set that cannot be read by itself, and why; None where all can."""
    import pyarrow
    from pyarrow import parquet

    files = [folder] if folder.is_file() else sorted(folder.rglob("*")) if folder.is_dir() else []
    for file in files:
        try:
            if file.suffix == ".parquet":
                parquet.read_table(file)
            elif file.suffix == ".arrow":
                with pyarrow.memory_map(str(file)) as source:
                    pyarrow.ipc.open_stream(source).read_all()
            elif file.suffix == ".json":
                json.loads(file.read_text(encoding="utf-8"))
        except (pyarrow.ArrowException, OSError, ValueError) as error:
            name = file.relative_to(folder).as_posix() if file != folder else file.name
            return name, " ".join(str(error).split())
    return None


def _undecoded(rows: Any) -> Any:
    import datasets

    for name, feature in rows.features.items():
        stored = isinstance(feature, dict) and feature.keys() == {"bytes", "path"}  # without its metadata
        if isinstance(feature, datasets.Image) or stored:
            rows = rows.cast_column(name, datasets.Image(decode=False))
    return rows


def _files_by_split(files: Sequence[Path]) -> dict[str, list[str]]:
    """Parquet files by the split in their names (train-00000-of-00001.parquet) or folders, as the hub
    writes them."""
    by_split: dict[str, list[str]] = {}
    for file in files:
        words = [file.stem.split("-")[0], file.parent.name]
        split = next((word for word in words if word.casefold() in NAMES), "all")
        by_split.setdefault(split, []).append(str(file))
    return by_split


def _named(parts: Any, config: HuggingFaceData, source: str) -> dict[str, str | None]:
    """Name of a split in the data set -> ours; None for all where the data set has one split that is no
    name."""
    named = {part: NAMES.get(config.split_names.get(part, part).casefold()) for part in parts}
    unknown = [part for part, ours in named.items() if ours is None]
    if unknown and len(parts) > 1:
        raise UserError(
            f"data set {source!r} has splits {some(list(parts), 12)}; say what "
            f"{some([repr(name) for name in unknown], 12)} is in data.split_names: train, validation or test"
        )
    if len(parts) == 1 and config.random_split is not None:
        named = dict.fromkeys(named)
    return named


def _rows(
    rows: Any, part: str, config: HuggingFaceData, task: Task, source: str
) -> list[tuple[str, int, Any, str, str | None, str | None]]:
    """(split, row, label, patient, question, answer) of every row, no picture touched."""
    columns: dict[str, str | None] = {
        "image_column": config.image_column,
        "question_column": config.question_column,
    }
    columns["patient_column"] = config.patient_column
    if task.kind == "answer":
        if config.text_column is None:
            raise UserError(f"task {task.name!r} is of kind answer and needs data.text_column")
        columns["text_column"] = config.text_column
    else:
        columns["label_column"] = config.label_column
    for setting, column in columns.items():
        if column is not None and column not in rows.column_names:
            raise UserError(
                f"data set {source!r} has no column {column!r} "
                f"({setting}){nearest(column, rows.column_names)}; its "
                f"columns are {some(rows.column_names, 12)}"
            )
    if type(rows.features[config.image_column]).__name__ != "Image":
        raise UserError(
            f"column {config.image_column!r} of {source!r} holds "
            f"{shown(str(rows.features[config.image_column]))}; "
            "expected pictures (datasets.Image)"
        )

    def cells(setting: str) -> list[Any]:
        column = columns.get(setting)
        return list(rows[column]) if column else [None] * len(rows)

    found = []
    labels, texts, questions, patients = (
        cells(f"{n}_column") for n in ("label", "text", "question", "patient")
    )
    for i in range(len(rows)):
        if task.kind == "answer" and not texts[i]:
            raise UserError(
                f"{source}, {part} row {i}: column {config.text_column!r} is empty; expected the answer"
            )
        if task.kind != "answer" and labels[i] is None:
            raise UserError(
                f"{source}, {part} row {i}: column {config.label_column!r} is empty; expected a label"
            )
        patient = known_patient(str(patients[i])) if patients[i] is not None else ""
        found.append((part, i, labels[i], patient, questions[i] or None, str(texts[i]) if texts[i] else None))
    return found


def _classes(rows: Any, config: HuggingFaceData) -> tuple[str, ...]:
    """The names of the classes that the data set itself has for its numbers."""
    feature = rows.features[config.label_column]
    feature = getattr(feature, "feature", feature)
    return tuple(getattr(feature, "names", None) or ())
