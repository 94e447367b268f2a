"""Rows of arrays in .npz files, without reading the whole file for each, and never unpickling."""

from __future__ import annotations

import hashlib
import os
import shutil
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib import format as npy

from vrft_aug.errors import UserError

Array = np.ndarray[Any, np.dtype[Any]]
IN_MEMORY = 1 << 28  # bytes; a larger array is unpacked once into the cache folder and memory-mapped
BROKEN = (zipfile.BadZipFile, zlib.error, EOFError, OSError, ValueError, KeyError, NotImplementedError)


def read_header(path: Path, key: str) -> tuple[tuple[int, ...], np.dtype[Any]]:
    """Shape and dtype of an array without reading its values; UserError where it is broken or pickled."""
    with _reading(path, key), zipfile.ZipFile(path) as archive, archive.open(f"{key}.npy") as member:
        version = npy.read_magic(member)
        read = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
        shape, _, dtype = read(member)
    if dtype.hasobject:
        raise UserError(
            f"{path}: array {key!r} holds pickled objects, which are not loaded; expected numbers"
        )
    return shape, dtype


def read_array(path: Path, key: str) -> Array:
    """A whole array; UserError where it is broken or pickled."""
    read_header(path, key)
    with _reading(path, key), np.load(path, allow_pickle=False) as archive:
        values: Array = archive[key]
        return values


def read_row(path: Path, key: str, index: int) -> Array:
    """`array[index]`; the last arrays used stay open in this process."""
    row: Array = np.asarray(_opened(path, key)[index])
    return row


@lru_cache(maxsize=3)
def _opened(path: Path, key: str) -> Array:
    """The array in memory, or memory-mapped from the cache folder where it is large."""
    shape, dtype = read_header(path, key)
    if int(np.prod(shape)) * dtype.itemsize <= IN_MEMORY:
        return read_array(path, key)
    unpacked = _unpacked_path(path, key)
    if not unpacked.is_file():
        with _reading(path, key):
            _unpack(path, key, unpacked)
    mapped: Array = np.load(unpacked, mmap_mode="r", allow_pickle=False)
    return mapped


def _unpacked_path(path: Path, key: str) -> Path:
    """Where the array lies unpacked; another name as soon as the archive changes."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "vrft-aug"
    status = path.stat()
    what = f"{path.resolve()}|{status.st_size}|{status.st_mtime_ns}|{key}"
    return cache / f"{path.stem}-{key}-{hashlib.sha256(what.encode()).hexdigest()[:16]}.npy"


def _unpack(path: Path, key: str, destination: Path) -> None:
    destination.parent.mkdir(parents=True, exist_ok=True)
    temporary = destination.with_suffix(f".{os.getpid()}")
    try:
        with (
            zipfile.ZipFile(path) as archive,
            archive.open(f"{key}.npy") as member,
            temporary.open("wb") as file,
        ):
            shutil.copyfileobj(member, file, 1 << 22)
        temporary.replace(destination)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def _reading(path: Path, key: str) -> Iterator[None]:
    """Turn what a broken archive raises into one line."""
    try:
        yield
    except BROKEN as error:
        reason = " ".join(str(error).strip("'\"").split())
        raise UserError(
            f"{path}: array {key!r} cannot be read ({reason}); the file is truncated, damaged or no .npz, "
            f"get it again"
        ) from None
