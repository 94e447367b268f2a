"""Files that are written whole or not at all."""

from __future__ import annotations

import errno
import os
import threading
from contextlib import suppress
from pathlib import Path


def write_text(path: Path, text: str) -> None:
    """Write UTF-8 text so that a reader, or a run killed in between, sees the old file or the new one."""
    write_bytes(path, text.encode())


def write_bytes(path: Path, content: bytes) -> None:
    """Write bytes likewise; also safe where several threads or processes write the same file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.{threading.get_ident()}")
    try:
        with temporary.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        error.filename = str(path)  # what the user knows of
        raise
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def check_place(*paths: Path | None) -> None:
    """Raise OSError, as writing would, where one of the files or folders could not be written; makes nothing.

    For what is computed for minutes before it is written.
    """
    for path in paths:
        if path is None:
            continue
        nearest = next(place for place in (path, *path.absolute().parents) if place.exists())
        if nearest != path and not nearest.is_dir():
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(path))
        if not os.access(nearest if nearest.is_dir() else nearest.absolute().parent, os.W_OK | os.X_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
