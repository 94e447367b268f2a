"""What was guessed of somebody's data, what could not be, and what the places and names in it hint at."""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from vrft_aug.data.file_index import FileIndex
from vrft_aug.data.images import SUFFIXES
from vrft_aug.data.splits import NAMES
from vrft_aug.errors import UserError

MODALITIES = (  # words of paths, columns and labels -> what the pictures are called; the first that is met
    ("fundus retina retinal retinopathy idrid aptos messidor eyepacs glaucoma", "fundus photograph"),
    ("oct", "OCT scan"),
    ("mammo mammogram mammography ddsm vindr-mammo", "mammogram"),
    ("busi", "breast ultrasound image"),
    ("ultrasound sonography sono", "ultrasound image"),
    ("cxr chest xray x-ray radiograph thorax pneumonia chexpert mimic-cxr", "chest radiograph"),
    ("derm dermatoscopy dermoscopy skin melanoma isic ham10000", "dermatoscopic image"),
    ("histology histopathology pathology wsi", "histology image"),
    ("blood smear leukocyte", "blood smear"),
    ("endoscopy colonoscopy polyp kvasir", "endoscopic image"),
    ("mri", "MR slice"),
    ("ct", "CT slice"),
)
RANDOM = "nothing tells splits: 65 % train, 15 % validation, 20 % test, at random"
PICTURES = (*SUFFIXES, ".dcm")
MOST_FILES = 20_000  # that are listed to see what a folder holds
LOOKED_AT = 50  # names of pictures that a folder is chosen by
MOST_FOLDERS = 200  # that are tried
IGNORED = ("__MACOSX",)


@dataclass(frozen=True)
class Guess:
    """A task and its data."""

    root: Path  # the folder that the paths in `data` begin in
    kind: str
    labels: tuple[str, ...]
    data: Mapping[str, Any]  # the settings of the reader
    said: tuple[str, ...] = ()  # what was guessed, a sentence each
    open: tuple[str, ...] = ()  # what was not, and who has to decide it
    knowledge: str | None = None
    maybe_knowledge: str | None = None  # its names fit, but nothing says that the pictures are of its kind
    judged_on: str = "test"
    hints: frozenset[str] = field(default=frozenset(), repr=False)

    @property
    def modality(self) -> str | None:
        """What the pictures seem to be."""
        return modality_of(self.hints)


def modality_of(hints: Iterable[str]) -> str | None:
    """The kind of picture that the words hint at; None where they do not."""
    known = set(hints)
    return next((name for words, name in MODALITIES if known & set(words.split())), None)


def words_of(*texts: str) -> frozenset[str]:
    """The words of paths, columns and labels, in small letters."""
    return frozenset(word for text in texts for word in re.findall(r"[a-z]+[0-9]*", text.casefold()))


def files_below(folder: Path) -> Iterator[Path]:
    """The files below a folder, by path, hidden ones left out; not more than `MOST_FILES`."""
    left = MOST_FILES
    for place, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith(".") and name not in IGNORED)
        for name in sorted(names):
            if not name.startswith("."):
                yield Path(place) / name
                left -= 1
                if not left:
                    return


def is_picture(path: Path) -> bool:
    """By its suffix."""
    return path.suffix.lower() in PICTURES


def picture_folders(root: Path) -> list[Path]:
    """The folder itself, and those below it that hold pictures or folders of them, the nearest first."""
    found = {root}
    for path in files_below(root):
        if is_picture(path):
            found |= {parent for parent in path.parents if parent.is_relative_to(root)}
    return sorted(found, key=lambda folder: (len(folder.parts), folder.as_posix()))[:MOST_FOLDERS]


def pictures_in(names: Sequence[str], root: Path) -> Path | None:
    """The folder below `root` that the names of pictures begin in: that with most of them; None: no name is
    found."""
    best, most = None, 0
    for folder in picture_folders(root):
        index = FileIndex(folder)
        there = sum(is_there(name, index) for name in names[:LOOKED_AT])
        if there > most:
            best, most = folder, there
    return best


def is_there(name: str, index: FileIndex) -> bool:
    """Whether a name is that of one file."""
    try:
        return index.find(name) is not None
    except UserError:  # several files are as near
        return False


def class_folders(paths: Iterable[tuple[str, ...]]) -> tuple[list[str], list[str]]:
    """Splits and classes that the folders of files are called after, from the parts of the files' paths."""
    parts = list(paths)
    splits = sorted({NAMES[part[0].casefold()] for part in parts if part[0].casefold() in NAMES})
    depth = 1 if splits else 0
    return splits, sorted({part[depth] for part in parts if len(part) > depth + 1})


def judged_split(splits: Collection[str]) -> str:
    """The split to judge on: test, but where the data has splits and no such one."""
    return "validation" if splits and "test" not in splits else "test"
