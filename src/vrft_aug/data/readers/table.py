"""The reader of a table that describes images, one row a case, or several where rows are boxes or questions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from vrft_aug.data.file_index import FileIndex, find_files
from vrft_aug.data.images import FileImage, header_size
from vrft_aug.data.masks import MaskFiles, list_masks
from vrft_aug.data.notes import note
from vrft_aug.data.readers.box_rows import BoxColumns, box_columns, row_boxes
from vrft_aug.data.readers.boxed_cases import (
    AnnotatedImage,
    BoxedFileImage,
    categories_of,
    in_pixels,
    name_boxes,
    refuse_boxless,
    refuse_twice,
    sampled,
)
from vrft_aug.data.readers.case_names import case_names, data_name
from vrft_aug.data.readers.coco_boxes import read_coco_file
from vrft_aug.data.readers.table_files import Table, check_columns
from vrft_aug.data.readers.table_join import joined_header, read_joined
from vrft_aug.data.readers.table_labels import (
    LABELLED,
    LeftOut,
    Outcomes,
    Problem,
    label_columns,
    row_labels,
    tell_left_out,
)
from vrft_aug.data.readers.table_settings import TableSettings
from vrft_aug.data.splits import assign, given_split, known_patient, patient_in
from vrft_aug.errors import UserError, shown
from vrft_aug.nouns import Box, Case, Target, Task

PATIENT_COLUMNS = ("patient", "patientid", "patientnumber", "subject", "subjectid", "lesionid", "pid", "mrn")


class CsvData(TableSettings):
    """A folder of images with a table; all paths below the data root."""


@dataclass(frozen=True)
class _Plan:
    """Which columns mean what."""

    labels: tuple[str, ...]
    split: str | None
    boxes: BoxColumns | None


@dataclass(frozen=True)
class _Rows:
    """The table grouped into cases: group i are the rows of the case `names[i]` with the pictures `images[i]`."""

    groups: list[list[int]]
    images: list[tuple[str, ...]]
    names: list[str]
    patients: list[str]


def read_table(config: CsvData, task: Task, root: Path, split: str) -> list[Case]:
    """The cases of one split, in the order of the table; ids such as idrid/test/IDRiD_001.

    Where the table has no validation rows they are carved out of train by patient (by image where patients
    are unknown), see `splits.assign`. A localise task takes its boxes from columns, a COCO file or masks, and
    leaves out images that the file does not list or that have no mask. Raises UserError where anything is absent
    or does not fit.
    """
    wanted = _wanted(config, task)
    header = joined_header(config, root, wanted.values())
    plan = _plan(config, task, root, header)
    keep = _kept(config, task, plan, root, header)
    table = read_joined(config, root, wanted.values(), keep)
    outcomes = row_labels(table, plan.labels, config.label_rules(), task) if plan.labels else []
    tell_left_out(outcomes, config.label_rules())
    rows = _rows(config, task, table, plan, outcomes)
    parts = _parts(config, table, plan, rows, outcomes)
    chosen = [i for i, part in enumerate(parts) if part == split]
    if task.kind == "localise":
        return _localised(config, task, root, split, table, plan, rows, chosen)
    boxed = _findings(config, task, root, rows)
    ids = _ids(config, split, rows, chosen)
    files = _files(config, root, rows, chosen, ids)
    looked = sampled(len(chosen))
    cases = []
    for place, i in enumerate(chosen):
        found = boxed.get(rows.images[i][0]) or boxed.get(files[place][0].name)
        pictures = [FileImage(file, ids[place]) for file in files[place]]
        if found is not None:
            found = in_pixels(found, files[place][0], ids[place], place in looked, root / str(config.boxes))
            assert found.size is not None
            pictures[0] = BoxedFileImage(
                files[place][0], ids[place], size=found.size, annotations=str(config.boxes)
            )
        elif place in looked:
            for file in files[place]:
                header_size(file, ids[place])  # so that what is no picture is found now
        target = _target(config, task, table, rows.groups[i], outcomes, found.boxes if found else None)
        cases.append(
            _case(config, ids[place], tuple(pictures), target, rows.patients[i], table, rows.groups[i][0])
        )
    return cases


def _wanted(config: CsvData, task: Task) -> dict[str, str]:
    """The columns that the settings name, by setting; what tells separators apart."""
    labels = config.label_column if isinstance(config.label_column, tuple) else (config.label_column or "",)
    named = {f"image_column {i}": name for i, name in enumerate(config.image_columns)}
    named |= {f"label_column {i}": name for i, name in enumerate(labels)}
    named |= {f"label {label}": label for label in task.labels}
    for setting in ("split_column", "patient_column", "question_column", "text_column", "box_label_column"):
        named[setting] = getattr(config, setting) or ""
    named |= {f"box_columns.{corner}": name for corner, name in config.box_columns.items()}
    return {setting: name for setting, name in named.items() if name}


def _plan(config: CsvData, task: Task, root: Path, header: Sequence[str]) -> _Plan:
    if task.kind == "answer" and config.text_column is None:
        raise UserError(f"task {task.name!r} is of kind answer and needs data.text_column")
    labels = label_columns(config.label_column, header, task)
    split = config.split_column
    if split == "split" and split not in header:  # its default name
        note("there is no column 'split', so the splits are dealt")
        split = None
    elsewhere = bool(config.boxes) + config.mask_rules().used
    taken = (*config.image_columns, *labels, *(name for name in (split, config.patient_column) if name))
    taken = taken if task.kind != "localise" else (*config.image_columns,)
    boxes = None
    if not elsewhere:
        boxes = box_columns(
            config.box_columns, config.box_label_column, config.box_units, header, task, taken
        )
    if task.kind == "localise" and elsewhere + (boxes is not None) != 1:
        raise UserError(
            f"task {task.name!r} is of kind localise and needs data.boxes, a COCO file, or data.masks, or columns of "
            f"boxes (data.box_columns): one of them, not {elsewhere + (boxes is not None)}"
        )
    if task.kind == "localise" and len(config.image_columns) > 1:
        raise UserError("boxes belong to one picture; a localise task takes one data.image_column")
    return _Plan(labels, split, boxes)


def _kept(config: CsvData, task: Task, plan: _Plan, root: Path, header: Sequence[str]) -> list[str]:
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
                f"column {like[0]!r} looks like patients; name it as data.patient_column so that no patient is in "
                "two splits", "warning",
            )  # fmt: skip
    return [name for name in dict.fromkeys(columns.values()) if name is not None]


def _rows(config: CsvData, task: Task, table: Table, plan: _Plan, outcomes: Outcomes) -> _Rows:
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
            f"data.patient_pattern {config.patient_pattern!r} finds no patient in any of {len(images):,} paths, such as "
            f"{shown(images[0][0])}"
        )
    return _Rows(groups, images, names, patients)


def _pictures(config: CsvData, table: Table, cells: list[str], row: int) -> tuple[str, ...]:
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
                f"{table.where(group[0])}: case {name} is there twice, first in {table.where(first[name])}; an image has "
                "one row"
            )
        first[name] = group[0]


def _parts(config: CsvData, table: Table, plan: _Plan, rows: _Rows, outcomes: Outcomes) -> list[str]:
    """The split of every case."""
    given = None
    if plan.split is not None:
        cells = table.cells(plan.split)
        given = []
        for group in rows.groups:
            own = {given_split(cells[row], config, lambda row=row: table.where(row)) for row in group}  # type: ignore[misc]
            if len(own) > 1:
                raise UserError(f"{table.where(group[0])}: its rows are in splits {', '.join(sorted(own))}")
            given.append(own.pop())
    strata = [_stratum(outcomes[group[0]]) if outcomes else "" for group in rows.groups]

    def where(i: int) -> str:
        return table.where(rows.groups[i][0])

    return assign(config, rows.names, rows.patients, given, strata, where, f"column {plan.split!r}")


def _stratum(outcome: object) -> str:
    if isinstance(outcome, frozenset):
        return "|".join(sorted(outcome))
    return outcome if isinstance(outcome, str) else ""


def _ids(config: CsvData, split: str, rows: _Rows, chosen: Sequence[int]) -> list[str]:
    """`<data>/<split>/<name>`, with /q<n> for the n-th question about an image in the whole table."""
    ids = [f"{data_name(config.table)}/{split}/{rows.names[i]}" for i in chosen]
    if config.question_column is None:
        return ids
    asked: Counter[str] = Counter()
    numbers = []
    for name in rows.names:
        asked[name] += 1
        numbers.append(asked[name])
    return [f"{id}/q{numbers[i]}" for id, i in zip(ids, chosen, strict=True)]


def _files(
    config: CsvData, root: Path, rows: _Rows, chosen: Sequence[int], ids: Sequence[str]
) -> list[tuple[Path, ...]]:
    index = FileIndex(root / config.images)
    names = [(image, id) for i, id in zip(chosen, ids, strict=True) for image in rows.images[i]]
    found = iter(find_files(index, [n for n, _ in names], [id for _, id in names], Path(config.table).name))
    return [tuple(next(found) for _ in rows.images[i]) for i in chosen]


def _case(
    config: CsvData,
    id: str,
    images: tuple[FileImage, ...],
    target: Target,
    patient: str,
    table: Table,
    row: int,
) -> Case:
    question = table.cells(config.question_column)[row] if config.question_column else ""
    return Case(id=id, images=images, target=target, patient=patient or None, question=question or None)


def _localised(
    config: CsvData,
    task: Task,
    root: Path,
    split: str,
    table: Table,
    plan: _Plan,
    rows: _Rows,
    chosen: Sequence[int],
) -> list[Case]:
    """The cases with boxes; images that are not annotated are none."""
    firsts = [images[0] for images in rows.images]
    found: Mapping[str, AnnotatedImage] = {}
    masks: MaskFiles | None = None
    source = root / config.table
    if plan.boxes is not None:
        annotated = row_boxes(table, rows.groups, firsts, plan.boxes, task)
        categories = categories_of(annotated)
        annotated = name_boxes(annotated, categories, source, task, config.box_names)
        refuse_boxless(config, task, annotated, categories, source)
        found = {image.file_name: image for image in annotated}
    elif config.boxes is not None:
        source = root / config.boxes
        found = _joined_boxes(config, task, root, rows)
    else:
        masks = list_masks(config.mask_rules(), task, root, firsts)
    named = [i for i in chosen if masks is not None or _of(found, firsts[i]) is not None]
    ids = _ids(config, split, rows, named)
    files = _files(config, root, rows, named, ids)
    looked = sampled(len(named))
    cases = []
    for place, i in enumerate(named):
        file, id = files[place][0], ids[place]
        if masks is not None:
            size = header_size(file, id)
            boxes = masks.boxes(firsts[i], size, id)
            if boxes is None:
                continue
            annotated_image = AnnotatedImage(firsts[i], boxes, str(file), size)
        else:
            one = _of(found, firsts[i])
            assert one is not None
            annotated_image = in_pixels(one, file, id, place in looked, source)
        assert annotated_image.size is not None
        picture = BoxedFileImage(file, id, size=annotated_image.size, annotations=str(source))
        target = _target(config, task, table, rows.groups[i], [], annotated_image.boxes)
        cases.append(_case(config, id, (picture,), target, rows.patients[i], table, rows.groups[i][0]))
    return cases


def _of(found: Mapping[str, AnnotatedImage], image: str) -> AnnotatedImage | None:
    return found.get(image) or found.get(PurePosixPath(image).name)


def _findings(config: CsvData, task: Task, root: Path, rows: _Rows) -> Mapping[str, AnnotatedImage]:
    return _joined_boxes(config, task, root, rows) if config.boxes is not None else {}


def _joined_boxes(config: CsvData, task: Task, root: Path, rows: _Rows) -> Mapping[str, AnnotatedImage]:
    """By file name as the COCO file has it, and by the bare name where only one image has that."""
    path = root / str(config.boxes)
    images, categories = read_coco_file(path, root)
    refuse_twice(images, path)
    images = name_boxes(images, categories, path, task, config.box_names)
    refuse_boxless(config, task, images, categories, path)
    bare = Counter(PurePosixPath(image.file_name).name for image in images)
    found = {image.file_name: image for image in images}
    by_name = {PurePosixPath(image.file_name).name: image for image in images}
    found = {name: image for name, image in by_name.items() if bare[name] == 1} | found
    matched = sum(_of(found, pictures[0]) is not None for pictures in rows.images)
    if images and rows.images and not matched:
        raise UserError(
            f"0 of {len(rows.images):,} names match: {config.table} has {shown(rows.images[0][0])}, {path} has "
            f"{shown(images[0].file_name)}; expected the same file names in both"
        )
    if matched < len(rows.images):
        note(f"{len(rows.images) - matched:,} of {len(rows.images):,} images are not in {path.name}")
    return found


def _target(
    config: CsvData,
    task: Task,
    table: Table,
    group: Sequence[int],
    outcomes: Outcomes,
    boxes: tuple[Box, ...] | None,
) -> Target:
    row = group[0]
    text = table.cells(config.text_column)[row] if config.text_column else None
    if task.kind == "answer" and not text:
        raise UserError(f"{table.where(row)}: column {config.text_column!r} is empty; expected the answer")
    label: str | None = None
    labels: frozenset[str] | None = None
    if task.kind in LABELLED:
        own = [outcomes[i] for i in group]
        for i, one in zip(group, own, strict=True):
            if isinstance(one, Problem):
                raise UserError(f"{table.where(i)}: {one.text}")
        if task.kind == "multilabel":
            labels = frozenset(name for one in own if isinstance(one, frozenset) for name in one)
        elif len(set(own)) > 1:
            raise UserError(
                f"{table.where(row)}: its {len(own)} rows have labels {', '.join(sorted(map(str, set(own))))}; a "
                f"{task.kind} task needs one (multilabel takes several)"
            )
        elif isinstance(own[0], str):
            label = own[0]
    return Target(
        label=label, labels=labels, boxes=boxes, text=text or None, absent=_ruled_out(config, task, boxes)
    )


def _ruled_out(config: CsvData, task: Task, boxes: tuple[Box, ...] | None) -> frozenset[str]:
    """The findings that a picture is known not to have: those without a box, where boxes are complete."""
    if task.kind == "localise" or boxes is None or not config.boxes_complete:
        return frozenset()
    return frozenset(config.box_names.values()) - {box.label for box in boxes if box.label is not None}
