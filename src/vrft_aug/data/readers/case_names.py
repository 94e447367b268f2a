"""The names that cases get after their images."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from pathlib import PurePosixPath

from vrft_aug.data.images import SUFFIXES

_UNTIDY = re.compile(r"//|(^|/)\.(/|$)|/$|^$")  # what a path object would write otherwise


def case_names(images: Sequence[str]) -> list[str]:
    """What cases are called after their image files: the stem, or the path without its suffix where two
    different files share a stem."""
    paths = {image: without_suffix(image) for image in set(images)}
    bare = {image: path.rpartition("/")[2] for image, path in paths.items()}
    stems = Counter(path.rpartition("/")[2] for path in set(paths.values()))
    unique = all(count == 1 for count in stems.values())
    return [bare[image] if unique else paths[image] for image in images]


def without_suffix(image: str) -> str:
    """The path of an image without the suffix of a picture; a name that ends otherwise as it is."""
    path = image.replace("\\", "/")
    stem, dot, suffix = path.rpartition(".")
    plain = stem if dot and stem.rpartition("/")[2] and f".{suffix.lower()}" in SUFFIXES else path
    return PurePosixPath(plain).as_posix() if _UNTIDY.search(plain) else plain


def data_name(file: str) -> str:
    """What the ids of a table's cases begin with: the folder that it lies in, or its own stem."""
    path = PurePosixPath(file)
    return path.parent.name or path.stem
