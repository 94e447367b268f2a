"""The reader of questions in JSON: flat records (SLAKE), LLaVA's conversations, ms-swift's messages."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from vrft_aug.data.file_index import FileIndex, find_files
from vrft_aug.data.images import FileImage, header_size
from vrft_aug.data.notes import note, some
from vrft_aug.data.readers.boxed_cases import sampled
from vrft_aug.data.readers.case_names import case_names, data_name
from vrft_aug.data.readers.table_files import json_objects
from vrft_aug.data.readers.table_text import Dialect
from vrft_aug.data.sources import absent
from vrft_aug.data.split_settings import SplitSettings
from vrft_aug.data.splits import assign, given_splits, known_patient, patient_in
from vrft_aug.errors import UserError, shown
from vrft_aug.nouns import Case, Target, Task

IMAGE_KEYS = ("image", "img_name", "image_path", "image_name", "file_name", "images")
QUESTION_KEYS, ANSWER_KEYS = ("question", "query", "problem"), ("answer", "response", "solution", "gt_answer")
ASKS, ANSWERS = ("human", "user"), ("gpt", "assistant")
PLACE = "<image>"


class JsonData(SplitSettings):
    """A JSON list, or JSON lines, of questions with answers; the layout is told by its keys."""

    table: str
    images: str = "."
    encoding: str | None = None
    split_key: str | None = "split"  # null: every question is dealt by its image
    patient_key: str | None = None
    answer_type: str | None = None  # OPEN or CLOSED: questions of one type alone, where the file says it


def read_json(config: JsonData, task: Task, root: Path, split: str) -> list[Case]:
    """The questions of one split; ids such as slake/test/xmlab1/source/q3, numbered within an image.

    All questions about an image are in one split. Raises UserError where a record is not of a known
    layout, has several turns, or names no picture.
    """
    if task.kind != "answer":
        raise UserError(
            f"task {task.name!r} is of kind {task.kind}; reader json has questions with answers (kind answer)"
        )
    path = root / config.table
    if not path.is_file():
        raise absent(path, root, "json")
    records = [(f"{path} item {n}", item) for n, item in json_objects(path, Dialect(config.encoding))]
    types = Counter(
        str(item["answer_type"]).strip().upper() for _, item in records if item.get("answer_type")
    )
    if types:
        note("answer types: " + ", ".join(f"{name} {count:,}" for name, count in sorted(types.items())))
    if config.answer_type is not None:
        wanted = config.answer_type.upper()
        records = [(w, item) for w, item in records if str(item.get("answer_type")).strip().upper() == wanted]
        if not records:
            raise UserError(
                f"{path} has no question of answer_type {config.answer_type!r}; it has "
                f"{some(list(types)) or 'none'}"
            )
    asked = [(where, *_turn(item, where), item) for where, item in records]
    names = case_names([images[0] for _, images, *_ in asked])
    patients = [
        known_patient(str(item.get(config.patient_key) or ""))
        if config.patient_key
        else patient_in(config.patient_pattern, images[0])
        for _, images, _, _, item in asked
    ]
    given = None
    if config.split_key and any(config.split_key in item for *_, item in asked):
        cells = [str(item.get(config.split_key) or "") for *_, item in asked]
        given = given_splits(cells, config, lambda i: asked[i][0])
    parts = assign(
        config, names, patients, given, [""] * len(asked), lambda i: asked[i][0], f"key {config.split_key!r}"
    )
    number: Counter[str] = Counter()
    chosen = []
    for (where, images, question, answer, _), name, patient, part in zip(
        asked, names, patients, parts, strict=True
    ):
        number[name] += 1
        if part == split:
            chosen.append(
                (
                    f"{data_name(config.table)}/{split}/{name}/q{number[name]}",
                    images,
                    question,
                    answer,
                    patient,
                    where,
                )
            )
    flat = [(image, id) for id, images, *_ in chosen for image in images]
    files = iter(
        find_files(FileIndex(root / config.images), [f for f, _ in flat], [i for _, i in flat], path.name)
    )
    looked = sampled(len(chosen))
    cases = []
    for place, (id, images, question, answer, patient, _) in enumerate(chosen):
        pictures = tuple(FileImage(next(files), id) for _ in images)
        if place in looked:
            for picture in pictures:
                header_size(picture.path, id)
        cases.append(
            Case(
                id=id, images=pictures, target=Target(text=answer), patient=patient or None, question=question
            )
        )
    return cases


def _turn(item: Mapping[str, Any], where: str) -> tuple[tuple[str, ...], str, str]:
    """Pictures, question and answer of a record."""
    turns = item.get("conversations") or item.get("messages")
    if turns is not None:
        question, answer = _one_turn(turns, where)
    else:
        question, answer = (
            _first(item, QUESTION_KEYS, "question", where),
            _first(item, ANSWER_KEYS, "answer", where),
        )
    named = next((item[key] for key in IMAGE_KEYS if item.get(key)), None)
    images = named if isinstance(named, list) else [named]
    if not all(isinstance(image, str) and image for image in images):
        raise UserError(f"{where} names no picture; expected one under {', '.join(IMAGE_KEYS)}")
    places = question.count(PLACE)
    if places and places != len(images):
        raise UserError(f"{where} has {places} {PLACE} and {len(images)} pictures")
    return tuple(images), " ".join(question.replace(PLACE, " ").split()), answer


def _one_turn(turns: Any, where: str) -> tuple[str, str]:
    try:
        said = [(turn.get("from") or turn["role"], turn.get("value") or turn["content"]) for turn in turns]
    except (AttributeError, KeyError, TypeError):
        raise UserError(
            f"{where} is no conversation; expected turns with from and value, or role and content"
        ) from None
    said = [(who, text) for who, text in said if who != "system"]
    if len(said) != 2 or said[0][0] not in ASKS or said[1][0] not in ANSWERS:
        raise UserError(
            f"{where} has turns of {some([who for who, _ in said])}; expected one question and one answer"
        )
    if not all(isinstance(text, str) and text.strip() for _, text in said):
        raise UserError(f"{where} has an empty turn, or one that is no text")
    return said[0][1], said[1][1].strip()


def _first(item: Mapping[str, Any], keys: tuple[str, ...], what: str, where: str) -> str:
    key = next((key for key in keys if key in item), None)
    if key is None:
        raise UserError(
            f"{where} has no {what}; it has {some(list(item), 12)}, expected one of {', '.join(keys)}"
        )
    value = item[key]
    if isinstance(value, bool | int | float):
        value = str(value)
    if not isinstance(value, str) or not value.strip():
        raise UserError(f"{where}: {key} is {shown(value)}; expected text")
    return value.strip()
