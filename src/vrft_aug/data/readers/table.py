"""The reader of a CSV file that describes a folder of images, one row a case."""

from __future__ import annotations

from collections import Counter
from pathlib import Path, PurePosixPath

from pydantic import ConfigDict, Field

from vrft_aug.data.images import FileImage, header_size
from vrft_aug.data.masks import check_masks, mask_boxes
from vrft_aug.data.readers.coco import check_size
from vrft_aug.data.readers.coco_boxes import BoxedImage, read_boxes
from vrft_aug.data.readers.table_rows import Row, case_names, data_name, image_path, read_rows
from vrft_aug.data.settings import DataConfig
from vrft_aug.data.splits import deal, split_name
from vrft_aug.errors import UserError, nearest, shown
from vrft_aug.nouns import Box, Case, Target, Task

LABELLED = ("classify", "grade", "multilabel")  # kinds whose truth stands in the label column


class CsvData(DataConfig):
    """A folder of images with a CSV file; all paths below the data root."""

    model_config = ConfigDict(coerce_numbers_to_str=True)  # label_names may be written 0: none
    table: str
    images: str = "."
    image_column: str = "image"
    label_column: str | None = "label"
    split_column: str | None = "split"  # null: every image is dealt by a hash, see data/splits.py
    patient_column: str | None = None
    question_column: str | None = None
    text_column: str | None = None
    label_names: dict[str, str] = Field(default_factory=dict)  # value in the table -> label of the task
    label_separator: str = "|"  # for multilabel: between the values of a cell; an empty cell has none
    # A COCO file whose boxes join the rows by image name: what localise asks for; for other tasks findings
    # that are known to be in the picture, which the reasoning can be held against.
    boxes: str | None = None
    # COCO category -> label (or finding); categories left out are dropped
    box_names: dict[str, str] = Field(default_factory=dict)
    boxes_complete: bool = False  # for other tasks: what has no box is known not to be in the picture
    # for localise, in place of boxes: label -> mask files, {stem} is the image's
    masks: dict[str, str] = Field(default_factory=dict)
    min_area: int = Field(default=1, ge=1)  # pixels of a connected part of a mask; smaller ones are dropped


def read_table(config: CsvData, task: Task, root: Path, split: str) -> list[Case]:
    """The cases of one split, in the order of the table; ids such as idrid/test/IDRiD_001.

    Where the table has no validation rows they are carved out of train by patient (by image where patients
    are unknown), see `splits.deal`. A localise task takes its boxes from a COCO file or from masks and leaves
    out images that the file does not list or that have no mask. Raises UserError where anything is absent or
    does not fit.
    """
    rows = read_rows(root / config.table, root, _columns(config, task))
    images = [row.cells[config.image_column] for row in rows]
    names = case_names(images)
    patients = [row.cells[config.patient_column] if config.patient_column else "" for row in rows]
    owners = [patient or name for patient, name in zip(patients, names, strict=True)]
    given = None
    if config.split_column is not None:
        given = [split_name(row.cells[config.split_column], row.where) for row in rows]
    boxed = _boxes(config, task, root)
    masks = config.masks if task.kind == "localise" else {}
    check_masks(masks, task)
    if config.question_column is None:
        _refuse_twice(rows, names)
    asked: Counter[str] = Counter()
    cases = []
    for row, name, patient, part in zip(rows, names, patients, deal(owners, given), strict=True):
        asked[name] += 1  # with questions in the table an image may stand in several rows
        if part != split:
            continue
        id = f"{data_name(config.table)}/{split}/{name}" + (
            f"/q{asked[name]}" if config.question_column else ""
        )
        image = row.cells[config.image_column]
        file = image_path(root / config.images, image)
        found = boxed.get(image) or boxed.get(file.name)
        boxes = found.boxes if found is not None else None
        if found is not None:
            check_size(found, file, root / str(config.boxes), id)
        elif task.kind == "localise" and not masks:
            continue
        else:
            size = header_size(file, id)  # so that what is no picture is found now
            boxes = mask_boxes(masks, root, image, size, config.min_area, id)
        if task.kind == "localise" and boxes is None:
            continue
        cases.append(
            Case(
                id=id,
                images=(FileImage(file, id),),
                target=_target(row, config, task, boxes),
                patient=patient or None,
                question=(row.cells[config.question_column] or None) if config.question_column else None,
            )
        )
    return cases


def _columns(config: CsvData, task: Task) -> dict[str, str | None]:
    """The columns that must be there, by the setting that names them."""
    if task.kind in LABELLED and config.label_column is None:
        raise UserError(f"task {task.name!r} is of kind {task.kind} and needs data.label_column")
    if task.kind == "answer" and config.text_column is None:
        raise UserError(f"task {task.name!r} is of kind answer and needs data.text_column")
    if task.kind == "localise" and (config.boxes is None) == (not config.masks):
        raise UserError(
            f"task {task.name!r} is of kind localise and needs data.boxes, a COCO file, or data.masks"
        )
    return {
        "image_column": config.image_column,
        "label_column": config.label_column if task.kind in LABELLED else None,
        "split_column": config.split_column,
        "patient_column": config.patient_column,
        "question_column": config.question_column,
        "text_column": config.text_column,
    }


def _refuse_twice(rows: list[Row], names: list[str]) -> None:
    """An image that stands in two rows would be two cases of one id, or in two splits."""
    first: dict[str, Row] = {}
    for row, name in zip(rows, names, strict=True):
        if name in first:
            raise UserError(
                f"{row.where}: case {name} is there twice, first in {first[name].where}; an image has one row"
            )
        first[name] = row


def _boxes(config: CsvData, task: Task, root: Path) -> dict[str, BoxedImage]:
    """By file name as the COCO file has it, and by the bare name where only one image has that."""
    if config.boxes is None:
        return {}
    images = read_boxes(root / config.boxes, root, task, config.box_names)
    bare = Counter(PurePosixPath(image.file_name).name for image in images)
    named = {PurePosixPath(image.file_name).name: image for image in images}
    found = {name: image for name, image in named.items() if bare[name] == 1}
    return found | {image.file_name: image for image in images}


def _target(row: Row, config: CsvData, task: Task, boxes: tuple[Box, ...] | None) -> Target:
    text = row.cells[config.text_column] if config.text_column else None
    if task.kind == "answer" and not text:
        raise UserError(f"{row.where}: column {config.text_column!r} is empty; expected the answer")
    return Target(
        label=_label(row.cells[str(config.label_column)], row, config, task)
        if task.kind in ("classify", "grade")
        else None,
        labels=_labels(row, config, task) if task.kind == "multilabel" else None,
        boxes=boxes,
        text=text or None,
        absent=_ruled_out(config, task, boxes),
    )


def _ruled_out(config: CsvData, task: Task, boxes: tuple[Box, ...] | None) -> frozenset[str]:
    """The findings that a picture is known not to have: those without a box, where boxes are complete."""
    if task.kind == "localise" or boxes is None or not config.boxes_complete:
        return frozenset()
    return frozenset(config.box_names.values()) - {box.label for box in boxes if box.label is not None}


def _labels(row: Row, config: CsvData, task: Task) -> frozenset[str]:
    """The labels of a cell; an empty one has none."""
    values = [value.strip() for value in row.cells[str(config.label_column)].split(config.label_separator)]
    return frozenset(_label(value, row, config, task) for value in values if value)


def _label(value: str, row: Row, config: CsvData, task: Task) -> str:
    label = config.label_names.get(value) if config.label_names else value
    if label is None:
        known = ", ".join(config.label_names)
        raise UserError(f"{row.where}: label {shown(value)} is not in data.label_names, which has {known}")
    for own in task.labels:
        if own.casefold() == label.casefold():
            return own
    raise UserError(
        f"{row.where}: label {shown(label)} is not one of task {task.name!r}{nearest(label, task.labels)}; "
        f"it has {', '.join(task.labels)}"
    )
