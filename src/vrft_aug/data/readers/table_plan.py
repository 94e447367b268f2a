"""Which columns of a table mean what: as the recipe says, or by the names that tables have."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from vrft_aug.data.notes import note
from vrft_aug.data.readers.box_rows import BoxColumns, box_columns
from vrft_aug.data.readers.table_files import check_columns
from vrft_aug.data.readers.table_labels import label_columns
from vrft_aug.data.readers.table_settings import TableSettings
from vrft_aug.errors import UserError
from vrft_aug.nouns import Task

PATIENT_COLUMNS = ("patient", "patientid", "patientnumber", "subject", "subjectid", "lesionid", "pid", "mrn")


@dataclass(frozen=True)
class Plan:
    """Which columns mean what."""

    labels: tuple[str, ...]
    split: str | None
    boxes: BoxColumns | None


def wanted_columns(config: TableSettings, task: Task) -> dict[str, str]:
    """The columns that the settings name, by setting; what tells separators apart."""
    labels = config.label_column if isinstance(config.label_column, tuple) else (config.label_column or "",)
    named = {f"image_column {i}": name for i, name in enumerate(config.image_columns)}
    named |= {f"label_column {i}": name for i, name in enumerate(labels)}
    named |= {f"label {label}": label for label in task.labels}
    for setting in ("split_column", "patient_column", "question_column", "text_column", "box_label_column"):
        named[setting] = getattr(config, setting) or ""
    named |= {f"box_columns.{corner}": name for corner, name in config.box_columns.items()}
    return {setting: name for setting, name in named.items() if name}


def make_plan(config: TableSettings, task: Task, root: Path, header: Sequence[str]) -> Plan:
    """What the columns of a table mean; UserError where they do not fit the kind of the task."""
    if task.kind in ("answer", "choice") and config.text_column is None:
        raise UserError(f"task {task.name!r} is of kind {task.kind} and needs data.text_column")
    if not any(header):
        check_columns(root / config.table, [], {"image_column": config.image_columns[0]})
    labels = label_columns(config.label_column, header, task)
    split = config.split_column
    if split == "split" and split not in header:  # its default name
        note("there is no column 'split', so the splits are dealt")
        split = None
    elsewhere = (coco_file(config) is not None) + config.mask_rules().used
    taken = (*config.image_columns, *labels, *(name for name in (split, config.patient_column) if name))
    taken = taken if task.kind != "localise" else (*config.image_columns,)
    boxes = None
    if not elsewhere:
        boxes = box_columns(
            config.box_columns, config.box_label_column, config.box_units, header, task, taken
        )
    if task.kind == "localise" and elsewhere + (boxes is not None) != 1:
        raise UserError(
            f"task {task.name!r} is of kind localise and needs data.boxes, a COCO file, or data.masks, or "
            f"columns of "
            f"boxes (data.box_columns): one of them, not {elsewhere + (boxes is not None)}"
        )
    if task.kind == "localise" and len(config.image_columns) > 1:
        raise UserError("boxes belong to one picture; a localise task takes one data.image_column")
    return Plan(labels, split, boxes)


def coco_file(config: TableSettings) -> str | None:
    """The COCO file with the boxes; None where they are in columns of the table itself."""
    if config.boxes is None or config.boxes == config.table:
        return None
    if PurePosixPath(config.boxes).suffix.lower() in (".csv", ".tsv", ".xlsx", ".parquet", ".txt"):
        raise UserError(
            f"data.boxes: {config.boxes!r} is a table; expected a COCO file (.json). Boxes in the rows of "
            f"a table are read "
            "where data.table names it, with its columns in data.box_columns"
        )
    return config.boxes


def kept_columns(
    config: TableSettings, task: Task, plan: Plan, root: Path, header: Sequence[str]
) -> list[str]:
    """The columns to keep, which must be there."""
    columns: dict[str, str | None] = {"image_column": config.image_columns[0]}
    columns |= {f"image_column {i}": name for i, name in enumerate(config.image_columns[1:], start=2)}
    columns |= {
        "label_column" if i == 0 else f"label_column {i + 1}": name for i, name in enumerate(plan.labels)
    }
    columns |= {
        "split_column": plan.split,
        "patient_column": config.patient_column,
        "question_column": config.question_column,
        "text_column": config.text_column,
    }
    if plan.boxes is not None:
        columns |= {f"box_columns {i}": name for i, name in enumerate(plan.boxes.names)}
    check_columns(root / config.table, header, columns)
    if config.patient_column is None and config.patient_pattern is None:
        like = [name for name in header if "".join(filter(str.isalnum, name.casefold())) in PATIENT_COLUMNS]
        if like and like[0] not in config.image_columns:
            note(
                f"column {like[0]!r} looks like patients; name it as data.patient_column so that no "
                f"patient is in "
                "two splits", "warning",
            )  # fmt: skip
    return [name for name in dict.fromkeys(columns.values()) if name is not None]
