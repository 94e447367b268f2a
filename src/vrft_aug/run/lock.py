"""One command at a time writes into a run folder; a lock that a killed owner does not leave behind."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from filelock import FileLock, Timeout

from vrft_aug.errors import UserError
from vrft_aug.files import write_text
from vrft_aug.processes import processes

LOCK, HOLDER = ".vrft-lock", ".vrft-lock-holder"  # the second says who holds the first, for the message alone


@contextmanager
def run_locked(run: Path, what: str) -> Iterator[None]:
    """Hold a run folder while `what` (such as "vrft train") writes into it; makes the folder.

    The operating system gives the lock back when its owner ends, however that ends. Raises UserError where
    another process holds it, or where the folder cannot be written to. A folder that was made for the lock
    and holds nothing else in the end is removed again. Of several processes that were launched together the
    main one holds it for all.
    """
    if not processes().main:
        yield
        return
    try:
        made = _make(run)
        lock = FileLock(run / LOCK, timeout=0)
        lock.acquire()
    except Timeout:
        raise UserError(f"{run} is being written by {_holder(run)}; wait for it, or stop it first") from None
    except OSError as error:
        raise UserError(
            f"{run} cannot be written to ({error.strerror or error}); choose another folder with --output"
        ) from None
    since = datetime.now(UTC).isoformat(timespec="seconds")
    holder = {"what": what, "pid": os.getpid(), "host": socket.gethostname(), "since": since}
    try:
        write_text(run / HOLDER, json.dumps(holder))
        yield
    finally:
        (run / HOLDER).unlink(missing_ok=True)
        if made and [path.name for path in run.iterdir()] == [LOCK]:
            (run / LOCK).unlink()
            for folder in made:
                folder.rmdir()
        lock.release()


def _make(run: Path) -> list[Path]:
    """Make the folder; those that had to be made, the innermost first."""
    missing = [folder for folder in (run, *run.parents) if not folder.exists()]
    run.mkdir(parents=True, exist_ok=True)
    return missing


def _holder(run: Path) -> str:
    try:
        said = json.loads((run / HOLDER).read_text(encoding="utf-8"))
        return f"{said['what']} (process {said['pid']} on {said['host']}, since {said['since']})"
    except (OSError, ValueError, KeyError):
        return "another vrft command"
