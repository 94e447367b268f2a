"""The reader of questions in JSON, JSON lines, parquet or CSV: paths into a record say what is where."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from vrft_aug.data.choices import check_options, right_option
from vrft_aug.data.notes import some
from vrft_aug.data.readers.case_names import data_name
from vrft_aug.data.readers.record_files import Record, read_records
from vrft_aug.data.readers.record_layouts import Layout, layout_of, listed, text_at, value_at
from vrft_aug.data.readers.record_pictures import PictureFinder
from vrft_aug.data.row_faults import BadRow, each_row
from vrft_aug.data.settings import DataConfig
from vrft_aug.data.splits import deal, split_name
from vrft_aug.errors import UserError, nearest, shown
from vrft_aug.nouns import Case, Target, Task

_IMAGE_TOKEN = re.compile(r"\s*<(?:image|img|ImageHere)>(?:</img>)?\s*")
_ANSWER_TAGS = re.compile(r"<answer>\s*(.*?)\s*</answer>", re.DOTALL)
_LETTER_BEFORE = re.compile(r"^\s*[\[(]?([A-Za-z])\s*[.:)\]]\s*(?=\S)")


class RecordsData(DataConfig):
    """A file of questions, or one a split; all paths below the data root.

    A path into a record is keys and numbers with dots between them; `role=user` is the first item of a list
    whose `role` is `user`. What is not set here comes from the layout.
    """

    table: str | dict[Literal["train", "validation", "test"], str]
    images: str = "."  # the folder that the names of pictures are relative to
    layout: str = "auto"  # a shipped layout by name; auto: the one that the first record fits
    image: str | None = None
    question: str | None = None
    answer: str | None = None
    options: str | tuple[str, ...] | None = None  # a list, a mapping of letters, or one path an option
    id: str | None = None
    patient: str | None = None
    split: str | None = None
    split_names: dict[str, str] = Field(
        default_factory=dict
    )  # value in the file -> train, validation or test
    facets: dict[str, str] = Field(default_factory=dict)  # what results are told apart by -> path
    closed_answers: tuple[str, ...] = ()  # a question with one of these is closed where the file does not say
    keep: dict[str, str | tuple[str, ...]] = Field(
        default_factory=dict
    )  # path -> values; others are left out


def read_questions(config: RecordsData, task: Task, root: Path, split: str) -> list[Case]:
    """The cases of one split in the order of the file; ids such as slake/test/0.

    Splits are those of the files or of `split`; what they leave open is dealt by patient, or by picture. A
    conversation gives its first question and the answer to it. Raises UserError, naming file and row, for
    what is absent or does not fit.
    """
    if task.kind not in ("answer", "choice", "classify", "grade"):
        raise UserError(
            f"task {task.name!r}: reader {config.reader!r} has no {task.kind} data; use csv or coco"
        )
    read: list[tuple[Record, str | None]] = []
    layout: Layout | None = None
    for given, name in _files(config):
        records = read_records(root / name, root)
        layout = layout or layout_of(config, config.layout, records[0])
        read += [(record, given) for record in records if _kept(record, config)]
    if layout is None or not read:
        raise UserError(f"{root / _files(config)[0][1]}: data.keep leaves no record; correct its values")
    pictures = PictureFinder(root, root / config.images)
    owners = [_owner(record, layout, pictures) for record, _ in read]
    parts = deal(owners, _given_splits(read, config, layout))
    counted: Counter[str] = Counter()
    cases = []
    for (record, _), part in zip(read, parts, strict=True):
        name = data_name(_files(config)[0][1])
        counted[part] += 1
        own = text_at(record, layout.id) if layout.id else None
        if part == split:
            with each_row():
                cases.append(_case(record, f"{name}/{split}/{own or counted[part]}", layout, task, pictures))
    return cases


def _files(config: RecordsData) -> list[tuple[str | None, str]]:
    """(split or None, file) of each file."""
    return [(None, config.table)] if isinstance(config.table, str) else list(config.table.items())


def _kept(record: Record, config: RecordsData) -> bool:
    wanted = {path: (value,) if isinstance(value, str) else value for path, value in config.keep.items()}
    return all(text_at(record, path) in values for path, values in wanted.items())


def _owner(record: Record, layout: Layout, pictures: PictureFinder) -> str:
    patient = text_at(record, layout.patient) if layout.patient else None
    return patient or pictures.name(value_at(record, layout.image))


def _given_splits(
    read: list[tuple[Record, str | None]], config: RecordsData, layout: Layout
) -> list[str] | None:
    if not isinstance(config.table, str):
        return [str(given) for _, given in read]
    if layout.split is None:
        return None
    found = []
    for record, _ in read:
        said = text_at(record, layout.split)
        if said is None:
            raise UserError(f"{record.where}: {layout.split} (data.split) is empty; expected a split")
        found.append(split_name(layout.split_names.get(said, said), record.where))
    return found


def _case(record: Record, id: str, layout: Layout, task: Task, pictures: PictureFinder) -> Case:
    question = _IMAGE_TOKEN.sub(" ", text_at(record, layout.question) or "").strip()
    if not question:
        line = f"{record.where}: {layout.question} (data.question) is empty; expected the question"
        raise BadRow("no question", line)
    answer = text_at(record, layout.answer)
    if answer is not None and (tagged := _ANSWER_TAGS.search(answer)):
        answer = tagged[1]
    if not answer:
        line = f"{record.where}: {layout.answer} (data.answer) is empty; expected the answer"
        raise BadRow("no answer", line)
    options = _options(record, layout) if task.kind == "choice" else ()
    if options:
        check_options(options, record.where, task)
        right_option(answer, options, record.where)
    return Case(
        id=id,
        images=pictures.find(value_at(record, layout.image), record.where, id),
        target=_target(answer, record, task),
        patient=text_at(record, layout.patient) if layout.patient else None,
        question=question,
        options=options,
        facets=_facets(record, layout, answer),
        picture=pictures.name(value_at(record, layout.image)),
    )


def _target(answer: str, record: Record, task: Task) -> Target:
    if task.kind in ("answer", "choice"):
        return Target(text=answer)
    for label in task.labels:
        if label.casefold() == answer.casefold():
            return Target(label=label)
    raise BadRow(
        "an unknown label",
        f"{record.where}: label {shown(answer)} is not one of task {task.name!r}"
        f"{nearest(answer, task.labels)}; it has {some(task.labels, 12)}",
    )


def _options(record: Record, layout: Layout) -> tuple[str, ...]:
    """The options in their order, without the letters that some files put before them."""
    if layout.options is None:
        return ()
    if isinstance(layout.options, str):
        found = listed(value_at(record, layout.options), record)
    else:
        found = [text for path in layout.options if (text := text_at(record, path)) is not None]
    led = [_LETTER_BEFORE.match(text) for text in found]
    letters = [one[1].upper() if one else "" for one in led]
    if letters == list("ABCDEFGHIJKLMNOPQRSTUVWXYZ"[: len(found)]):
        found = [text[one.end() :] for text, one in zip(found, led, strict=True) if one is not None]
    return tuple(text.strip() for text in found)


def _facets(record: Record, layout: Layout, answer: str) -> tuple[tuple[str, str], ...]:
    """What the file says of the question; empty values are left out."""
    said: dict[str, Any] = {name: text_at(record, path) for name, path in layout.facets.items()}
    if "type" not in said and layout.closed_answers:
        said["type"] = "closed" if answer.casefold() in layout.closed_answers else "open"
    return tuple((name, str(value).casefold()) for name, value in said.items() if value)
