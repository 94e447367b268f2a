"""The reader of DICOM files: a folder tree or a DICOMDIR, labels from a table or from folders.

Nothing of a header leaves this room: cases are called by keyed hashes, so are patients, and messages say how
many files match or what DICOM's own words for a view are, never what a file says.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

from pydantic import Field

from vrft_aug.data.dicom.dicom_pixels import DicomImage
from vrft_aug.data.dicom.instances import DEFINED, Instance, find_instances
from vrft_aug.data.notes import note, some
from vrft_aug.data.pseudonyms import patient_key, pseudonym
from vrft_aug.data.readers.labelled_files import Item, LabelledFiles, Truth, label_items
from vrft_aug.data.slices import FrameChoice, choose
from vrft_aug.errors import UserError
from vrft_aug.nouns import Case, Target, Task

Word = Literal["laterality", "view", "modality"]  # attributes whose values DICOM defines


class DicomData(LabelledFiles):
    """DICOM files; `join` also takes the names in dicom/instances.py, such as accession_number and view."""

    window: tuple[float, float] | None = None  # centre and width after rescaling; null: the file's own
    stored_window: int = Field(default=0, ge=0)  # which of several windows or VOI LUTs of a file
    frames: FrameChoice | Literal["each"] | None = None  # of multi-frame files; null: they are refused
    only: dict[Word, tuple[str, ...]] = Field(default_factory=dict)  # other files are left out
    label_header: Word | None = None  # in place of a table: label_names maps its words to labels


def read_dicom(config: DicomData, task: Task, root: Path, split: str) -> list[Case]:
    """The cases of one split, one a file (or a frame); ids such as dicom/train/5f0c9e8b7a6d4e3f.

    A case has the frames that are chosen as its pictures. Patients are keyed hashes of the patient's id, or
    of the study where a file has none, and are never in two splits. Raises UserError where files, labels or
    settings do not fit.
    """
    if task.kind == "localise":
        raise UserError(
            f"task {task.name!r} is of kind localise, which reader dicom does not do; readers csv and coco "
            "take DICOM files as images"
        )
    check_window(config.window)
    found = chosen_instances(config.only, find_instances(root / config.folder))
    key = patient_key(root)
    items = [_item(one, key) for one in found]
    if config.label_header is not None:
        if config.table is not None:
            raise UserError("data.label_header and data.table contradict each other; remove one of them")
        items = [_filed(config, task, one, item) for one, item in zip(found, items, strict=True)]
    truths = label_items(config, task, root, items)
    tell_burned_in(found)
    cases: list[Case] = []
    for one, item, truth in zip(found, items, truths, strict=True):
        if truth is not None and truth.split == split:
            cases += _cases(config, one, item, truth)
    return cases


def check_window(window: tuple[float, float] | None) -> None:
    """Raise UserError for a window without a width."""
    if window is not None and not window[1] >= 1:
        raise UserError(f"data.window is {list(window)}; expected [centre, width] with a width of 1 or more")


def chosen_instances(only: Mapping[Word, Sequence[str]], found: Sequence[Instance]) -> list[Instance]:
    """The files whose words are those that the recipe wants; UserError where none are."""
    kept = list(found)
    for name, words in only.items():
        wanted = {word.strip().upper() for word in words}
        left = [one for one in kept if one.values[name].upper() in wanted]
        if not left:
            has = Counter(_word(name, one.values[name]) for one in kept)
            listed = ", ".join(f"{word} ({count:,})" for word, count in has.most_common(8))
            raise UserError(f"data.only: no file has {name} {' or '.join(words)}; they have {listed}")
        if len(left) < len(kept):
            note(f"{len(kept) - len(left):,} DICOM files of another {name} are left out")
        kept = left
    return kept


def _word(name: str, value: str) -> str:
    """A value if it is one of DICOM's own words; any other is not told."""
    return value.upper() if value.upper() in DEFINED[name] else "none" if not value else "another word"


def _item(one: Instance, key: bytes) -> Item:
    return Item(
        name=one.name,
        case=pseudonym(key, "picture", one.values["sop_instance_uid"] or one.name),
        patient=patient_of(one, key),
        keys=one.values,
    )


def patient_of(one: Instance, key: bytes) -> str:
    """The keyed hash of the patient, of the study where a file names none; "" where it says neither."""
    owner = (one.issuer, one.values["patient_id"])
    if not one.values["patient_id"]:
        owner = ("study", one.values["study_instance_uid"])
    return pseudonym(key, "patient", *owner) if owner[1] else ""


def tell_burned_in(found: Sequence[Instance]) -> None:
    """Warn of files that say that text is burned into their pixels."""
    if burned := sum(one.burned_in for one in found):
        note(
            f"{burned:,} of {len(found):,} DICOM files say that text is burned into their pixels, which may "
            "name the patient and be seen by the model",
            "warning",
        )


def _filed(config: DicomData, task: Task, one: Instance, item: Item) -> Item:
    """The item as if it lay in a folder called by its word."""
    name = config.label_header
    assert name is not None
    word = _word(name, one.values[name])
    label = config.label_names.get(word, word)
    if label.casefold() not in (own.casefold() for own in task.labels):
        raise UserError(
            f"{one.path}: its {name} is {word!r}, which is no label of task {task.name!r}: "
            f"{some(task.labels, 12)}; data.label_names maps words to labels, data.only leaves files out"
        )
    return Item(f"{word}/{item.case}", item.case, item.patient, item.keys)


def _cases(config: DicomData, one: Instance, item: Item, truth: Truth) -> list[Case]:
    id = f"dicom/{truth.split}/{item.case}"
    target = Target(
        label=truth.outcome if isinstance(truth.outcome, str) else None,
        labels=truth.outcome if isinstance(truth.outcome, frozenset) else None,
        text=truth.text,
    )
    if config.frames is None and one.frames != 1:
        raise UserError(
            f"{one.path} has {one.frames} frames, and a case is one picture; expected data.frames: middle, "
            "each, a number of evenly spaced ones, or a list counted from 0"
        )
    if config.frames == "each":
        return [
            Case(
                f"{id}/{frame}", (_image(config, one, f"{id}/{frame}", frame),), target, item.patient or None
            )
            for frame in range(one.frames)
        ]
    frames = [0] if config.frames is None else choose(config.frames, one.frames, f"{one.path}", "data.frames")
    images = tuple(_image(config, one, id, frame) for frame in frames)
    return [Case(id, images, target, item.patient or None)]


def _image(config: DicomData, one: Instance, case: str, frame: int) -> DicomImage:
    return DicomImage(one.path, case, frame, config.window, config.stored_window)
