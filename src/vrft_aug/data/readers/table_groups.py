"""The rows of a table grouped into cases, with their pictures, names and patients."""

from __future__ import annotations

from dataclasses import dataclass

from vrft_aug.data.readers.case_names import case_names
from vrft_aug.data.readers.table_files import Table
from vrft_aug.data.readers.table_labels import LeftOut, Outcomes
from vrft_aug.data.readers.table_plan import Plan
from vrft_aug.data.readers.table_settings import TableSettings
from vrft_aug.data.splits import known_patient, patient_in
from vrft_aug.errors import UserError, shown


@dataclass(frozen=True)
class Rows:
    """The table grouped into cases: group i are the rows of the case `names[i]` with the pictures
    `images[i]`."""

    groups: list[list[int]]
    images: list[tuple[str, ...]]
    names: list[str]
    patients: list[str]


def group_rows(config: TableSettings, table: Table, plan: Plan, outcomes: Outcomes) -> Rows:
    """Group the rows into cases; rows that a rule leaves out are none."""
    columns = [table.cells(column) for column in config.image_columns]
    given = table.cells(config.patient_column)
    groups: list[list[int]] = []
    place: dict[str, int] = {}
    for row in range(len(table.lines)):
        if outcomes and isinstance(outcomes[row], LeftOut):
            continue
        name = columns[0][row]
        if plan.boxes is not None and config.question_column is None and name in place:
            groups[place[name]].append(row)
            continue
        place[name] = len(groups)
        groups.append([row])
    images = [
        _pictures(config, table, [column[group[0]] for column in columns], group[0]) for group in groups
    ]
    names = case_names([pictures[0] for pictures in images])
    if config.question_column is None:
        _refuse_case_twice(table, groups, names)
    patients = []
    for group, pictures in zip(groups, images, strict=True):
        own = {known_patient(given[row]) for row in group}
        if len(own) > 1:
            raise UserError(
                f"{table.where(group[0])}: {pictures[0]} has {len(own)} patients in its rows; expected one"
            )
        patients.append(own.pop() or patient_in(config.patient_pattern, pictures[0]))
    if config.patient_pattern and not any(patients) and patients:
        raise UserError(
            f"data.patient_pattern {config.patient_pattern!r} finds no patient in any of {len(images):,} "
            f"paths, such as "
            f"{shown(images[0][0])}"
        )
    return Rows(groups, images, names, patients)


def _pictures(config: TableSettings, table: Table, cells: list[str], row: int) -> tuple[str, ...]:
    """The images of a row, as the table names them."""
    if not all(cells) and not (config.allow_missing_images and any(cells)):
        empty = config.image_columns[cells.index("")]
        more = "; data.allow_missing_images: true accepts rows with fewer" if len(cells) > 1 else ""
        raise UserError(f"{table.where(row)}: column {empty!r} is empty; expected an image{more}")
    return tuple(cell for cell in cells if cell)


def _refuse_case_twice(table: Table, groups: list[list[int]], names: list[str]) -> None:
    """An image that stands in two rows would be two cases of one id, or in two splits."""
    first: dict[str, int] = {}
    for group, name in zip(groups, names, strict=True):
        if name in first:
            raise UserError(
                f"{table.where(group[0])}: case {name} is there twice, first in "
                f"{table.where(first[name])}; an image has "
                "one row"
            )
        first[name] = group[0]
