"""A task from a folder, whatever is in it, or from one file."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from vrft_aug.data.dicom.quiet_pydicom import is_dicom
from vrft_aug.data.notes import some
from vrft_aug.data.readers.record_files import read_records
from vrft_aug.data.readers.record_layouts import layouts, value_at
from vrft_aug.data.splits import NAMES
from vrft_aug.errors import UserError
from vrft_aug.preview.guess import from_table
from vrft_aug.preview.guess.from_arrays import guess_npz
from vrft_aug.preview.guess.from_boxes import (
    Annotated,
    annotated,
    content_of,
    guess_boxes,
    guess_yolo,
    is_yolo,
)
from vrft_aug.preview.guess.from_scans import guess_scans, is_volume
from vrft_aug.preview.guess.guessed import (
    IGNORED,
    LOOKED_AT,
    RANDOM,
    Guess,
    class_folders,
    files_below,
    is_picture,
    judged_split,
    pictures_in,
    words_of,
)
from vrft_aug.preview.guess.label_order import name_labels

BOXES = (".json", ".xml")
TABLES = (".json", ".jsonl", ".ndjson", ".parquet", ".csv", ".tsv", ".xlsx", ".npz")
QUESTIONS = (".json", ".jsonl", ".ndjson", ".parquet", ".csv", ".tsv")
MOST_ANNOTATIONS = 2_000
NO_CLASSES = ("images", "image", "imgs", "img", "masks", "mask", "labels", "annotations", "jpegimages")
MOST_LETTERS = 400  # of a path; longer texts are pictures in base64
EXPECTED = (
    "expected a table with a column of picture names, a folder a class, boxes (COCO, YOLO, VOC, LabelMe, "
    "VIA, Label Studio, CVAT), questions, an .npz file, DICOM or NIfTI files"
)


def guess(path: Path) -> Guess:
    """What lies at a path, and the task that can be made of it; UserError where that does not show."""
    if path.is_dir():
        return guess_folder(path)
    if not path.is_file():
        raise UserError(f"{path} does not exist; expected a folder, or a file of labels, boxes or questions")
    suffix = path.suffix.lower()
    if suffix == ".npz":
        return guess_npz(path)
    if suffix in QUESTIONS and (asked := _questions(path)) is not None:
        return asked
    if suffix in BOXES and (found := annotated(content_of(path))) is not None:
        return guess_boxes([path], path.parent, {"annotations": path.name}, [found])
    if suffix in from_table.SUFFIXES:
        return from_table.guess_table(path)
    raise UserError(f"{path} is nothing that labels are read from; {EXPECTED}")


def guess_folder(folder: Path) -> Guess:
    """The task of a folder: of a table, boxes or questions in it, else of the names of its folders."""
    files = list(files_below(folder))
    if not files:
        raise UserError(f"{folder} is empty; {EXPECTED}")
    if any(is_volume(path) or is_dicom(path) for path in files[:50]):
        return guess_scans(folder, files)
    if is_yolo(folder):
        return guess_yolo(folder)
    others = [
        path for path in files if path.suffix.lower() in TABLES and len(path.relative_to(folder).parts) <= 2
    ]
    boxes = _boxes(folder, files)
    if boxes is not None:
        return _beside(boxes, folder, others)
    refusals = []
    for path in others:
        try:
            return _beside(guess(path), folder, [one for one in others if one != path])
        except UserError as error:
            refusals.append(str(error))
    classes = _class_folders(folder, files)
    if classes is not None:
        return classes
    pictures = sum(is_picture(path) for path in files)
    why = f"; {refusals[0].split('; expected')[0]}" if refusals else ""
    raise UserError(
        f"{folder} has {pictures:,} pictures and nothing that says what they show{why[:200]}; {EXPECTED}"
    )


def _beside(found: Guess, folder: Path, others: Sequence[Path]) -> Guess:
    """The guess, with the other files in the folder that one can begin from."""
    names = [path.relative_to(folder).as_posix() for path in others if path.name not in found.data.values()]
    if not names:
        return found
    return replace(
        found, open=(*found.open, f"not looked at: {some(names)}; `--from` one of them reads that")
    )


def _class_folders(folder: Path, files: Sequence[Path]) -> Guess | None:
    """A folder a class, perhaps below folders of splits."""
    pictures = [path.relative_to(folder) for path in files if is_picture(path)]
    tops = {path.parts[0] for path in pictures if len(path.parts) > 1 and path.parts[0] not in IGNORED}
    splits, classes = class_folders(path.parts for path in pictures if path.parts[0] in tops)
    if splits and not all(name.casefold() in NAMES for name in tops):
        return None
    if any(name.casefold() in NO_CLASSES for name in classes):
        return None
    if len(classes) < 2:
        around = folder / classes[0] if len(classes) == 1 and not splits else folder  # one folder around all
        inside = around != folder and all(len(path.parts) > 2 for path in pictures)
        return _class_folders(around, files) if inside else None
    hints = words_of(*folder.resolve().parts[-2:], *classes)
    labels = name_labels(classes, hints)
    data: dict[str, Any] = {"reader": "folder", "images": "."}
    if labels.label_names:
        data["label_names"] = dict(labels.label_names)
    if splits:
        said = f"splits are folders: {', '.join(splits)}"
    else:
        data["random_split"] = {"seed": 0}
        said = RANDOM
    return Guess(
        folder, labels.kind, labels.labels, data,
        ("labels are the names of folders", said, *labels.said),
        ("where a patient has several pictures, say so with patient_pattern", *labels.open),
        labels.knowledge, labels.maybe_knowledge, judged_split(splits), hints,
    )  # fmt: skip


def _boxes(folder: Path, files: Sequence[Path]) -> Guess | None:
    """Files of boxes of one format: one, one a split, or one a picture."""
    candidates = [path for path in files if path.suffix.lower() in BOXES][:MOST_ANNOTATIONS]
    known: list[tuple[Path, Annotated]] = []
    for path in candidates:
        if (one := annotated(content_of(path))) is not None:
            known.append((path, one))
    if not known:
        return None
    reader = known[0][1].reader
    same = [(path, found) for path, found in known if found.reader == reader]
    paths, found = [path for path, _ in same], [one for _, one in same]
    data: dict[str, Any]
    if reader in ("voc", "labelme") and len(paths) > 1:  # a file a picture
        top = Path(
            *itertools.takewhile(lambda part: all(part in p.parts for p in paths), paths[0].parent.parts)
        )
        data = {"annotations": top.relative_to(folder).as_posix()}
    elif len(paths) == 1:
        data = {"annotations": paths[0].relative_to(folder).as_posix()}
    else:
        splits = {split: path for path in paths if (split := _split_of(path, folder)) is not None}
        if reader != "coco" or len(splits) < len(paths):
            names = ", ".join(path.relative_to(folder).as_posix() for path in paths[:3])
            raise UserError(
                f"{folder} has {len(paths)} files of {reader} boxes ({names}), which are no split each; "
                "name one of them"
            )
        data = {
            "annotations": {
                s: splits[s].relative_to(folder).as_posix() for s in NAMES.values() if s in splits
            }
        }
    return guess_boxes(paths, folder, data, found)


def _split_of(path: Path, folder: Path) -> str | None:
    words = [*path.relative_to(folder).parts[:-1], *path.stem.replace("-", "_").replace(".", "_").split("_")]
    found = {
        NAMES[word.rstrip("0123456789").casefold()]
        for word in words
        if word.rstrip("0123456789").casefold() in NAMES
    }
    return found.pop() if len(found) == 1 else None


def _questions(path: Path) -> Guess | None:
    """Questions of a layout that is known; None where the file holds none."""
    try:
        records = read_records(path, path.parent)
    except UserError:
        return None
    keys = set(records[0].value)
    name = next((name for name, one in layouts().items() if one.has and set(one.has) <= keys), None)
    if name is None:
        return None
    layout = layouts()[name]
    choice = layout.options is not None
    values = [value_at(record, layout.image) for record in records[:LOOKED_AT]]
    named = [
        one
        for value in values
        for one in (value if isinstance(value, list) else [value])
        if isinstance(one, str)
    ]
    folder = pictures_in([one for one in named if len(one) < MOST_LETTERS], path.parent)
    images = folder.relative_to(path.parent).as_posix() if folder is not None else "."
    unknown = (
        "images: the folder that the names of pictures begin in was not found"
        if folder is None and named
        else ""
    )
    return Guess(
        path.parent, "choice" if choice else "answer", (),
        {"reader": "json", "table": path.name, "layout": name, "images": images},
        (f"questions of layout {name}, {len(records):,} records",), (unknown,) if unknown else (),
        hints=words_of(*path.resolve().parts[-2:]),
    )  # fmt: skip
