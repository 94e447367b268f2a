"""Cases of a folder or a file that no recipe describes: what its names say, and no more."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from vrft_aug.data.images import SUFFIXES, FileImage
from vrft_aug.data.splits import NAMES, SPLITS
from vrft_aug.errors import UserError
from vrft_aug.nouns import Case, Target, Task
from vrft_aug.preview.audit.task_reading import ReadTask

FEWEST_OF_A_LABEL = 2  # pictures of the average folder, below which folders are no classes


def read_path(path: Path) -> ReadTask:
    """The pictures of a folder, in all folders below; or one picture.

    A part of the path called train, val, test or the like is the split (else all is train); the folder that a
    picture lies in is its label where there are several such. Raises UserError where there is no picture.
    """
    files = [path] if path.is_file() else sorted(_pictures(path))
    top = path.parent if path.is_file() else path
    if not files:
        raise UserError(
            f"{path} has no pictures in it ({', '.join(SUFFIXES[:3])}, ...); expected a recipe, pictures, "
            "or data that vrft init --from knows"
        )
    folders = [_folder(file.relative_to(top)) for file in files]
    classes = Counter(folders)
    labelled = 2 <= len(classes) <= len(files) / FEWEST_OF_A_LABEL
    task = Task(
        "pictures", "classify" if labelled else "answer", "", tuple(sorted(classes)) if labelled else ()
    )
    cases: dict[str, list[Case]] = {split: [] for split in SPLITS}
    for file, folder in zip(files, folders, strict=True):
        name = file.relative_to(top)
        target = Target(label=folder) if labelled else Target()
        id = name.as_posix()
        cases[_split(name)].append(Case(id, (FileImage(file, id),), target))
    how = "labels are the folders" if labelled else "no labels: the folders tell none apart"
    return ReadTask(task, {split: own for split, own in cases.items() if own}, notes=(how,))


def is_picture(path: Path) -> bool:
    """Whether it is one file, by its name a picture."""
    return path.is_file() and path.name.lower().endswith(SUFFIXES)


def _pictures(folder: Path) -> Iterator[Path]:
    for place, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith((".", "__MACOSX")))
        for name in names:
            if not name.startswith(".") and name.lower().endswith(SUFFIXES):
                yield Path(place, name)


def _split(name: Path) -> str:
    known = (NAMES[part.casefold()] for part in name.parts[:-1] if part.casefold() in NAMES)
    return next(known, "train")


def _folder(name: Path) -> str:
    """The folder that a picture lies in, without the folders of splits and such as hold pictures alone."""
    plain = [part for part in name.parts[:-1] if part.casefold() not in (*NAMES, "images", "img", "data")]
    return plain[-1] if plain else ""
