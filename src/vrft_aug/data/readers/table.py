"""The reader of a table that describes images, one row a case, or several where rows are boxes or
questions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath

from vrft_aug.data.file_index import FileIndex, find_files
from vrft_aug.data.images import FileImage, header_size, read_header
from vrft_aug.data.masks import MaskFiles, list_masks
from vrft_aug.data.notes import note, some
from vrft_aug.data.readers.box_rows import row_boxes
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
from vrft_aug.data.readers.case_names import data_name
from vrft_aug.data.readers.coco_boxes import read_coco_file
from vrft_aug.data.readers.table_files import Table
from vrft_aug.data.readers.table_groups import Rows, group_rows
from vrft_aug.data.readers.table_join import joined_header, read_joined
from vrft_aug.data.readers.table_labels import (
    LABELLED,
    Outcomes,
    Problem,
    row_labels,
    tell_left_out,
)
from vrft_aug.data.readers.table_plan import Plan, coco_file, kept_columns, make_plan, wanted_columns
from vrft_aug.data.readers.table_settings import TableSettings
from vrft_aug.data.splits import assign, given_splits
from vrft_aug.errors import UserError, shown
from vrft_aug.nouns import Box, Case, Target, Task


class CsvData(TableSettings):
    """A folder of images with a table; all paths below the data root."""


def read_table(config: CsvData, task: Task, root: Path, split: str) -> list[Case]:
    """The cases of one split, in the order of the table; ids such as idrid/test/IDRiD_001.

    Where the table has no validation rows they are carved out of train by patient (by image where patients
    are unknown), see `splits.assign`. A localise task takes its boxes from columns, a COCO file or masks, and
    leaves out images that the file does not list or that have no mask. Raises UserError where anything is
    absent or does not fit.
    """
    wanted = wanted_columns(config, task)
    header = joined_header(config, root, wanted.values())
    plan = make_plan(config, task, root, header)
    keep = kept_columns(config, task, plan, root, header)
    table = read_joined(config, root, wanted.values(), keep)
    outcomes = row_labels(table, plan.labels, config.label_rules(), task) if plan.labels else []
    tell_left_out(outcomes, config.label_rules())
    rows = group_rows(config, table, plan, outcomes)
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
        pictures = [FileImage(file, ids[place], config.page) for file in files[place]]
        if found is not None:
            first, path = files[place][0], root / str(config.boxes)
            found = in_pixels(found, first, ids[place], place in looked, path, config.box_pixels)
            assert found.size is not None
            pictures[0] = BoxedFileImage(
                first, ids[place], config.page, expected=found.size, annotations=str(config.boxes)
            )
        elif place in looked:
            for file in files[place]:
                header_size(file, ids[place], config.page)  # so that what is no picture is found now
        target = _target(config, task, table, rows.groups[i], outcomes, found.boxes if found else None)
        cases.append(
            _case(config, ids[place], tuple(pictures), target, rows.patients[i], table, rows.groups[i][0])
        )
    return cases


def _parts(config: CsvData, table: Table, plan: Plan, rows: Rows, outcomes: Outcomes) -> list[str]:
    """The split of every case."""
    given = None
    if plan.split is not None:
        named = given_splits(table.cells(plan.split), config, table.where)
        given = [named[group[0]] for group in rows.groups]
        for group, split in zip(rows.groups, given, strict=True):
            if any(named[row] != split for row in group):
                raise UserError(f"{table.where(group[0])}: its {len(group)} rows are in different splits")
    strata = [_stratum(outcomes[group[0]]) if outcomes else "" for group in rows.groups]

    def where(i: int) -> str:
        return table.where(rows.groups[i][0])

    return assign(config, rows.names, rows.patients, given, strata, where, f"column {plan.split!r}")


def _stratum(outcome: object) -> str:
    if isinstance(outcome, frozenset):
        return "|".join(sorted(outcome))
    return outcome if isinstance(outcome, str) else ""


def _ids(config: CsvData, split: str, rows: Rows, chosen: Sequence[int]) -> list[str]:
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
    config: CsvData, root: Path, rows: Rows, chosen: Sequence[int], ids: Sequence[str]
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
    picture = id.rpartition("/q")[0] if config.question_column else None  # several questions about one
    return Case(
        id=id,
        images=images,
        target=target,
        patient=patient or None,
        question=question or None,
        picture=picture,
    )


def _localised(
    config: CsvData,
    task: Task,
    root: Path,
    split: str,
    table: Table,
    plan: Plan,
    rows: Rows,
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
    elif (coco := coco_file(config)) is not None:
        source = root / coco
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
            header = read_header(file, id, config.page)
            boxes = masks.boxes(firsts[i], header, id)
            if boxes is None:
                continue
            annotated_image = AnnotatedImage(firsts[i], boxes, str(file), header.size)
        else:
            one = _of(found, firsts[i])
            assert one is not None
            annotated_image = in_pixels(one, file, id, place in looked, source, config.box_pixels)
        assert annotated_image.size is not None
        picture = BoxedFileImage(
            file, id, config.page, expected=annotated_image.size, annotations=str(source)
        )
        target = _target(config, task, table, rows.groups[i], [], annotated_image.boxes)
        cases.append(_case(config, id, (picture,), target, rows.patients[i], table, rows.groups[i][0]))
    return cases


def _of(found: Mapping[str, AnnotatedImage], image: str) -> AnnotatedImage | None:
    return found.get(image) or found.get(PurePosixPath(image).name)


def _findings(config: CsvData, task: Task, root: Path, rows: Rows) -> Mapping[str, AnnotatedImage]:
    return _joined_boxes(config, task, root, rows) if coco_file(config) is not None else {}


def _joined_boxes(config: CsvData, task: Task, root: Path, rows: Rows) -> Mapping[str, AnnotatedImage]:
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
            f"0 of {len(rows.images):,} names match: {config.table} has {shown(rows.images[0][0])}, {path} "
            f"has "
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
    if task.kind in ("answer", "choice") and not text:
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
                f"{table.where(row)}: its {len(own)} rows have labels "
                f"{some(sorted(map(str, set(own))))}; a "
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
