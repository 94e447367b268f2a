"""The answers of a reader: a file that only grows, a line an answer, on the disk before it counts.

A crash in the middle of a write leaves a last line without its end. Its answer was never acknowledged, so the
reader is asked again; the torn bytes are put into a file beside it. Damage anywhere else is an error.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from vrft_aug.errors import UserError, shown
from vrft_aug.reader_study.material import ANSWERS, Material, StudyCase
from vrft_aug.reader_study.schedule import Slot

FLAGS = ("right", "wrong", "unsafe", "not in the picture")  # of reasons; several may apply
LONGEST = 2_000  # characters of a text that a reader writes


@dataclass(frozen=True)
class Given:
    """One answer as it was saved."""

    slot: Slot
    answer: str | None  # None: cannot tell; labels joined as in evaluation rows; of a rating None
    flags: tuple[str, ...]  # of a rating
    comment: str
    seconds: float  # that the page was in sight
    openings: int  # how often the case was shown before it was answered
    at: str  # ISO 8601, UTC


@dataclass
class ReaderLog:
    """What a reader has done, in order; `opened` counts how often each place was shown."""

    given: list[Given] = field(default_factory=list)
    opened: dict[int, int] = field(default_factory=dict)
    torn: int = 0  # bytes of a last line that a crash left


def log_path(folder: Path, reader: str) -> Path:
    """Where a reader's answers are."""
    return folder / ANSWERS / f"{reader}.jsonl"


def append(path: Path, line: dict[str, Any]) -> None:
    """Add a line; when this returns it is on the disk. What fails half-way is taken back; raises OSError."""
    new = not path.exists()
    path.parent.mkdir(parents=True, exist_ok=True)
    content = (json.dumps(line, ensure_ascii=False, allow_nan=False) + "\n").encode()
    handle = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        size = os.fstat(handle).st_size
        try:
            written = 0
            while written < len(content):
                written += os.write(handle, content[written:])
            os.fsync(handle)
        except OSError:
            os.ftruncate(handle, size)
            raise
    finally:
        os.close(handle)
    if new:
        _sync_folder(path.parent)


def read_log(folder: Path, material: Material, reader: str) -> ReaderLog:
    """Everything a reader has done, checked against the study; nothing is changed.

    Raises UserError, naming the line, for a damaged line before the last, and for an answer to something else
    than what the study asks at that place.
    """
    path, log, slots = log_path(folder, reader), ReaderLog(), material.slots(reader)
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return log
    except OSError as error:
        raise UserError(f"answers {path} cannot be read: {error.strerror}") from None
    *lines, tail = content.split(b"\n")
    log.torn = len(tail)
    for number, text in enumerate(lines, start=1):
        where = f"answers {path} line {number}"
        try:
            line = json.loads(text)
            if not isinstance(line, dict):
                raise ValueError
        except ValueError:
            raise UserError(
                f"{where} of {len(lines)} is damaged, which no crash does; restore the file from a copy, or "
                "move it away to begin this reader anew"
            ) from None
        if "opened" in line:
            place = line["opened"]
            if not isinstance(place, int) or isinstance(place, bool):
                raise UserError(f"{where} has opened {shown(place)}; expected a number")
            log.opened[place] = log.opened.get(place, 0) + 1
        else:
            log.given.append(_given(line, where, material, slots, len(log.given)))
    return log


def mend(folder: Path, reader: str) -> int:
    """Put a torn last line aside, so that the next one begins anew; returns its bytes, 0 without one."""
    path = log_path(folder, reader)
    content = path.read_bytes() if path.is_file() else b""
    tail = content[content.rfind(b"\n") + 1 :]
    if tail:
        with path.with_suffix(".torn").open("ab") as file:
            file.write(tail + b"\n")
            file.flush()
            os.fsync(file.fileno())
        with path.open("r+b") as file:
            file.truncate(len(content) - len(tail))
            os.fsync(file.fileno())
    return len(tail)


def _given(line: dict[str, Any], where: str, material: Material, slots: Sequence[Slot], place: int) -> Given:
    if place >= len(slots):
        raise UserError(f"{where} is one answer too many; the study asks this reader {len(slots)} times")
    slot = slots[place]
    case = material.cases[slot.case]
    asked = {"place": slot.place, "case": case.case, "doing": slot.doing}
    if wrong := [key for key, value in asked.items() if line.get(key) != value]:
        key = wrong[0]
        raise UserError(
            f"{where} has {key} {shown(line.get(key))}; the study asks for {asked[key]!r} there: the answers "
            "are of another study, or the file was changed"
        )
    answer, flags, seconds = line.get("answer"), line.get("flags", []), line.get("seconds")
    if slot.doing == "rating":
        if not isinstance(flags, list) or not flags or not set(flags) <= set(FLAGS):
            raise UserError(f"{where} has flags {shown(flags)}; expected some of {', '.join(FLAGS)}")
    elif not may_answer(material, case, answer):
        raise UserError(
            f"{where} has answer {shown(answer)}, which the task does not have; expected one of "
            f"{', '.join(case.options) or 'texts'}"
        )
    if not isinstance(seconds, int | float) or isinstance(seconds, bool) or seconds < 0:
        raise UserError(f"{where} has seconds {shown(seconds)}; expected a number")
    return Given(
        slot=slot,
        answer=answer,
        flags=tuple(flag for flag in FLAGS if flag in flags),
        comment=str(line.get("comment", "")),
        seconds=float(seconds),
        openings=int(line.get("openings", 1)),
        at=str(line.get("at", "")),
    )


def may_answer(material: Material, case: StudyCase, answer: Any) -> bool:
    """Whether a reader may answer that to a case; None is `cannot tell`."""
    if answer is None:
        return material.protocol.cannot_tell
    if not isinstance(answer, str) or len(answer) > LONGEST:
        return False
    if material.kind == "answer":
        return bool(answer.strip())
    if material.kind == "multilabel":
        named = answer.split(", ") if answer else []
        return sorted(set(named)) == named and set(named) <= set(case.options)
    return answer in case.options


def _sync_folder(folder: Path) -> None:
    """So that a new file is found again after the machine lost power, where the system can do so."""
    try:
        handle = os.open(folder, os.O_RDONLY)
    except OSError:
        return
    try:
        os.fsync(handle)
    except OSError:
        pass
    finally:
        os.close(handle)
