"""Boxes as rows of a table: a row a box, several rows an image, a row without coordinates an image without
boxes."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from vrft_aug.data.notes import note
from vrft_aug.data.readers.boxed_cases import AnnotatedImage
from vrft_aug.data.readers.table_files import Table
from vrft_aug.data.readers.table_labels import BLANK, NOTHING
from vrft_aug.errors import UserError, shown
from vrft_aug.nouns import Box, Task

Corner = Literal["x1", "y1", "x2", "y2", "x", "y", "width", "height", "cx", "cy"]
LAYOUTS: tuple[tuple[Corner, ...], ...] = (
    ("x1", "y1", "x2", "y2"),
    ("x", "y", "width", "height"),
    ("cx", "cy", "width", "height"),
)
# How published tables call the four columns, in the order of a layout; lower case
KNOWN = {
    ("x_min", "y_min", "x_max", "y_max"): LAYOUTS[0],
    ("xmin", "ymin", "xmax", "ymax"): LAYOUTS[0],
    ("x1", "y1", "x2", "y2"): LAYOUTS[0],
    ("left", "top", "right", "bottom"): LAYOUTS[0],
    ("x", "y", "width", "height"): LAYOUTS[1],
    ("x", "y", "w", "h"): LAYOUTS[1],
    ("bbox_x", "bbox_y", "bbox_width", "bbox_height"): LAYOUTS[1],
    ("x_center", "y_center", "width", "height"): LAYOUTS[2],
    ("cx", "cy", "w", "h"): LAYOUTS[2],
}
CLASS_COLUMNS = ("class_name", "class", "category", "label", "label_name", "finding", "lesion_type", "name")
Units = Literal["pixels", "fraction", "percent"]


@dataclass(frozen=True)
class BoxColumns:
    """Where the four numbers of a box stand, and what the box is called."""

    columns: Mapping[Corner, str]
    label: str | None  # column of the category; None: all boxes are the task's one label
    units: Units

    @property
    def names(self) -> tuple[str, ...]:
        """All columns."""
        return (*self.columns.values(), *((self.label,) if self.label else ()))


def box_columns(
    given: Mapping[str, str],
    label: str | None,
    units: Units,
    header: Sequence[str],
    task: Task,
    taken: Sequence[str],
) -> BoxColumns | None:
    """The box columns of a table: as the recipe says, else by the names that published tables use; None
    for none.

    `taken` are columns with another meaning. Raises UserError where what is given is no box.
    """
    found: dict[Corner, str] | None = None
    if given:
        layout = next((layout for layout in LAYOUTS if set(layout) == set(given)), None)
        if layout is None:
            listed = "; ".join(", ".join(layout) for layout in LAYOUTS)
            raise UserError(f"data.box_columns has {', '.join(given)}; expected exactly one of: {listed}")
        found = {corner: given[corner] for corner in layout}
    else:
        own = {name.casefold(): name for name in header if name not in taken}
        for names, layout in KNOWN.items():
            if all(name in own for name in names):
                found = {corner: own[name] for corner, name in zip(layout, names, strict=True)}
                note(f"boxes are in columns {', '.join(found.values())}, as {', '.join(layout)} in {units}")
                break
    if found is None:
        return None
    if label is None:
        folded = {name.casefold(): name for name in header if name not in taken}
        label = next((folded[name] for name in CLASS_COLUMNS if name in folded), None)
        if label is None and len(task.labels) > 1 and task.kind == "localise":
            raise UserError(
                f"the table says where boxes are, but task {task.name!r} has {len(task.labels)} labels: "
                f"name the column "
                f"that says which with data.box_label_column"
            )
    return BoxColumns(found, label, units)


def row_boxes(
    table: Table, groups: Sequence[Sequence[int]], images: Sequence[str], columns: BoxColumns, task: Task
) -> list[AnnotatedImage]:
    """The boxes of every group of rows (an image each), called as the table calls them."""
    numbers = {corner: table.cells(column) for corner, column in columns.columns.items()}
    called = table.cells(columns.label)
    corners = tuple(columns.columns)
    scale = 0.01 if columns.units == "percent" else 1.0
    found, highest = [], 0.0
    for group, image in zip(groups, images, strict=True):
        boxes = []
        for row in group:
            cells = [numbers[corner][row] for corner in corners]
            empty = [cell.casefold() in BLANK for cell in cells]
            name = called[row] if columns.label else next(iter(task.labels), "lesion")
            if all(empty):
                if columns.label and name in task.labels and name.casefold() not in NOTHING:
                    raise UserError(f"{table.where(row)}: {shown(name)} has no box; expected four numbers")
                continue
            values = [
                _number(cell, columns.columns[corner], table, row) * scale
                for corner, cell in zip(corners, cells, strict=True)
            ]
            highest = max(highest, *values)
            if columns.label and name.casefold() in BLANK:
                raise UserError(f"{table.where(row)}: column {columns.label!r} is empty, but there is a box")
            boxes.append(_box(corners, values, name))
        units: Literal["pixels", "fraction"] = "pixels" if columns.units == "pixels" else "fraction"
        found.append(AnnotatedImage(image, tuple(boxes), table.where(group[0]), units=units))
    if columns.units == "pixels" and 0 < highest <= 1:
        raise UserError(
            f"{table.path}: all boxes lie between 0 and 1, so they are no pixels; set data.box_units: "
            f"fraction"
        )
    if columns.units == "fraction" and highest > 2:
        raise UserError(
            f"{table.path}: boxes reach to {highest:g}, so they are no fractions; mend data.box_units"
        )
    return found


def _number(cell: str, column: str, table: Table, row: int) -> float:
    try:
        value = float(cell)
    except ValueError:
        value = math.nan
    if not math.isfinite(value) or "_" in cell:
        comma = " (a decimal point, no comma)" if "," in cell else ""
        what = "empty, but other numbers of the box are not" if not cell else shown(cell)
        raise UserError(f"{table.where(row)}: column {column!r} is {what}; expected a number{comma}")
    return value


def _box(corners: tuple[Corner, ...], values: Sequence[float], name: str) -> Box:
    a, b, c, d = values
    if corners == LAYOUTS[0]:
        return Box(a, b, c, d, name)
    if corners == LAYOUTS[1]:
        return Box(a, b, a + c, b + d, name)
    return Box(a - c / 2, b - d / 2, a + c / 2, b + d / 2, name)
