"""Which mask files belong to which image: each folder is listed once, and a file has one owner."""

from __future__ import annotations

import fnmatch
import glob
import re
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path, PurePosixPath

STEM = "{stem}"


def masks_of(pattern: str, root: Path, stems: Iterable[str]) -> dict[str, list[Path]]:
    """Stem of an image -> its files below `root`, sorted; {stem} stands for the stem, * for anything.

    A file that fits several stems (IMG_1* also fits IMG_10) belongs to the longest.
    """
    wanted = set(stems)
    folder, last = _split(pattern)
    if STEM in folder:  # a folder for each image
        found = {stem: sorted(root.glob(_filled(pattern, stem))) for stem in wanted}
        return {stem: files for stem, files in found.items() if files}
    owners: defaultdict[str, list[Path]] = defaultdict(list)
    before, after = last.split(STEM, 1)
    for place in _folders(root, folder):
        for path in place.iterdir() if place.is_dir() else ():
            stem = _owner(path.name, before, after, wanted)
            if stem is not None:
                owners[stem].append(path)
    return {stem: sorted(files) for stem, files in owners.items()}


def nearest_names(pattern: str, root: Path) -> list[str]:
    """What lies where the pattern looks: files of its folder, or where that is absent the folders beside
    it."""
    folder, _ = _split(pattern)
    place = root / folder.split(STEM)[0].split("*")[0]
    while not place.is_dir() and place != root and place.parent != place:
        place = place.parent
    found = (
        sorted(path.relative_to(root).as_posix() + ("/" if path.is_dir() else "") for path in place.iterdir())
        if place.is_dir()
        else []
    )
    return found


def _split(pattern: str) -> tuple[str, str]:
    path = PurePosixPath(pattern)
    return path.parent.as_posix(), path.name


def _filled(pattern: str, stem: str) -> str:
    return pattern.replace(STEM, glob.escape(stem))


def _folders(root: Path, folder: str) -> list[Path]:
    return sorted(root.glob(folder)) if glob.has_magic(folder) else [root / folder]


def _owner(name: str, before: str, after: str, stems: set[str]) -> str | None:
    """The longest stem such that the name is `before` + stem + `after`, which may hold wildcards."""
    begins = re.compile(fnmatch.translate(before)) if glob.has_magic(before) else None
    starts = [len(before)] if begins is None and name.startswith(before) else []
    if begins is not None:
        starts = [i for i in range(len(name) + 1) if begins.match(name[:i])]
    wild = glob.has_magic(after) or STEM in after
    best: str | None = None
    for start in starts:
        ends = range(len(name), start, -1) if wild else [len(name) - len(after)]
        for end in ends:
            stem = name[start:end]
            if stem in stems and (best is None or len(stem) > len(best)):
                rest = after.replace(STEM, glob.escape(stem))
                if fnmatch.fnmatchcase(name[end:], rest):
                    best = stem
    return best
