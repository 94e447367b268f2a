"""A task from DICOM or NIfTI files, labelled by a table or by the names of folders."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from vrft_aug.errors import UserError
from vrft_aug.preview.guess.from_table import SUFFIXES, guess_table
from vrft_aug.preview.guess.guessed import Guess, class_folders, judged_split, words_of
from vrft_aug.preview.guess.label_order import name_labels

VOLUMES = (".nii", ".nii.gz")
TABLE_KEYS = ("image_column", "patient_column", "images", "random_split")


def is_volume(path: Path) -> bool:
    """Whether it is NIfTI, by its name."""
    return path.name.lower().endswith(VOLUMES)


def guess_scans(folder: Path, files: Sequence[Path]) -> Guess:
    """The task of a folder of scans."""
    volumes = any(map(is_volume, files))
    data: dict[str, Any] = {"reader": "volume" if volumes else "dicom", "folder": "."}
    open_ = [
        "slices: the middle one of each volume is shown; montage: true, or several, may show more"
        if volumes
        else "reader dicom takes each file as a case; reader volume takes each series of CT or MR as one"
    ]
    tables = [path for path in files if path.suffix.lower() in SUFFIXES and path.parent == folder]
    if tables:
        found = guess_table(tables[0])
        if found.kind not in ("classify", "grade", "multilabel"):
            raise UserError(f"{tables[0]} has no column of labels for the scans in {folder}; add one")
        column = found.data["image_column"]
        kept = {key: value for key, value in found.data.items() if key not in TABLE_KEYS}
        data |= {"folder": found.data["images"], **kept, "reader": data["reader"], "join": {"file": column}}
        if data.get("split_column") is None:
            data["random_split"] = {"seed": 0}
        said = (
            "scans are joined to the table by the names of files",
            "patients come from headers, as keyed hashes: none is in two splits",
        )
        return replace(found, data=data, said=(*said, *found.said), open=(*open_, *found.open))
    scans = (path for path in files if path.suffix.lower() not in SUFFIXES)
    splits, classes = class_folders(path.relative_to(folder).parts for path in scans)
    if len(classes) < 2:
        raise UserError(
            f"{folder} has scans and nothing that says what they show; expected a table in it with their "
            "names and labels, or a folder a class"
        )
    hints = words_of(*folder.resolve().parts[-2:], *classes)
    labels = name_labels(classes, hints)
    if labels.label_names:
        data["label_names"] = dict(labels.label_names)
    if not splits:
        data["random_split"] = {"seed": 0}
    told = (
        "labels are the names of folders",
        f"splits are folders: {', '.join(splits)}" if splits else "splits are made at random, by patient",
    )
    return Guess(
        folder, labels.kind, labels.labels, data, (*told, *labels.said), (*open_, *labels.open),
        labels.knowledge, labels.maybe_knowledge, judged_split(splits), hints,
    )  # fmt: skip
