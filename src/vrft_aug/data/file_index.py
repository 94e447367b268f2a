"""From the names of images, as tables write them, to files: one listing a folder, no look at each file.

A name is taken as it stands first; else the first of these that fits one file:
`\\` for `/`, without its suffix, in another case of letters or another Unicode form, and, where it is an
absolute path of another machine or begins with the name of the folder itself, without its first parts.
"""

from __future__ import annotations

import os
import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from vrft_aug.data.images import SUFFIXES
from vrft_aug.data.notes import some
from vrft_aug.errors import UserError, nearest, shown

FOREIGN = re.compile(r"^(/|[A-Za-z]:/|//)")  # an absolute path, of whatever system
WEB = re.compile(r"^[a-z][a-z0-9+.-]*://", re.IGNORECASE)
UPLOADED = re.compile(r"^[0-9a-f]{8}-(?=.)")  # what Label Studio puts before the names of uploaded files
MOST_NAMES = 5_000  # of a folder that a near name is looked for among


@dataclass(frozen=True)
class _Listing:
    """The files of a folder."""

    names: frozenset[str]
    folded: dict[str, list[str]] = field(default_factory=dict)  # filled when first needed
    stems: dict[str, list[str]] = field(default_factory=dict)

    def fold(self) -> None:
        if not self.folded:
            for name in self.names:
                self.folded.setdefault(_key(name), []).append(name)
                stem, suffix = os.path.splitext(name)  # noqa: PTH122 (a name, a million times)
                if suffix.lower() in SUFFIXES:
                    self.stems.setdefault(_key(stem), []).append(name)


class FileIndex:
    """The files below one folder, listed as they are asked for."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._listings: dict[str, _Listing] = {}

    def find(self, name: str) -> Path | None:
        """The file of a name; None where there is none, UserError where several are as near."""
        for candidate in self._candidates(name):
            folder, _, last = candidate.rpartition("/")
            if last in self._list(folder).names:
                return self.folder / candidate
            if (found := self._near(folder, last)) is not None:
                return self.folder / found if not folder else self.folder / folder / found
        return None

    def names(self, folder: str = "") -> list[str]:
        """The names of the files in a folder below, sorted."""
        return sorted(self._list(folder).names)

    def _candidates(self, name: str) -> Iterator[str]:
        yield name
        path = name.replace("\\", "/")
        if path != name:
            yield path
        parts = [part for part in path.split("/") if part not in ("", ".")]
        if FOREIGN.match(path):
            yield from ("/".join(parts[drop:]) for drop in range(1, len(parts)))
        elif len(parts) > 1 and _key(parts[0]) == _key(self.folder.name):
            yield "/".join(parts[1:])
        if parts and UPLOADED.match(parts[-1]):
            yield UPLOADED.sub("", parts[-1])

    def _near(self, folder: str, last: str) -> str | None:
        """The one file of a folder that a name means though it is written otherwise."""
        listing = self._list(folder)
        suffixed = os.path.splitext(last)[1].lower() in SUFFIXES  # noqa: PTH122
        if not suffixed:
            for suffix in SUFFIXES:
                if last + suffix in listing.names:
                    return last + suffix
        listing.fold()
        found = listing.folded.get(_key(last), []) or ([] if suffixed else listing.stems.get(_key(last), []))
        if len(found) > 1:
            raise UserError(
                f"{shown(last)} may be {some(sorted(found))} in {self.folder / folder}; write the name in "
                f"full"
            )
        return found[0] if found else None

    def _list(self, folder: str) -> _Listing:
        if folder not in self._listings:
            try:
                with os.scandir(self.folder / folder) as entries:
                    names = frozenset(entry.name for entry in entries if not entry.is_dir())
            except (OSError, ValueError):  # absent, no folder, or a name that can be none
                names = frozenset()
            self._listings[folder] = _Listing(names)
        return self._listings[folder]


def find_files(index: FileIndex, names: Sequence[str], ids: Sequence[str], source: Path | str) -> list[Path]:
    """The files of all names, `ids[i]` the case of `names[i]` and `source` what names them.

    Raises UserError where any file is absent, saying how many, with one name of each side, and where two
    different names would be the same file.
    """
    found = [index.find(name) for name in names]
    absent = [i for i, path in enumerate(found) if path is None]
    if absent:
        first = absent[0]
        raise UserError(_missing(index, names, absent, f"of case {ids[first]} ", source))
    files = [path for path in found if path is not None]
    owners: dict[Path, str] = {}
    for name, path in zip(names, files, strict=True):
        if owners.setdefault(path, name) != name:
            raise UserError(
                f"{source}: names {shown(owners[path])} and {shown(name)} are both found as {path}; "
                f"expected a file for each, or data.images at the folder that the names begin in"
            )
    return files


def _missing(
    index: FileIndex, names: Sequence[str], absent: Sequence[int], case: str, source: Path | str
) -> str:
    name = names[absent[0]]
    if WEB.match(name):
        return f"{source} names {shown(name)}; images are not fetched from the web: download them first"
    if not name.strip():
        return (
            f"{source} names no image for {len(absent):,} of {len(names):,} cases, the first: {case.strip()}"
        )
    folder = name.replace("\\", "/").rpartition("/")[0]
    there = index.names(folder) or index.names()
    has = f"; {index.folder} has {shown(there[0])}" if there else f"; {index.folder} has no files"
    near = nearest(name.replace("\\", "/").rpartition("/")[2], there[:MOST_NAMES])
    matched = len(names) - len(absent)
    path = str(index.folder / name)
    path = path if len(path) <= 120 else f"...{path[-117:]}"
    return (
        f"image {path} {case}does not exist: {matched:,} of {len(names):,} names in {source} match"
        f"{has}{near}; check data.images"
    )


def _key(name: str) -> str:
    return unicodedata.normalize("NFC", name).casefold()
