"""The rollouts of a run in memory, read as they are written; a run in progress is followed."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock
from typing import Any

from vrft_aug.run_logs import ROLLOUTS

STEPLESS = "evaluation"  # the stage that evaluated cases are shown under, which has no steps


@dataclass(frozen=True, slots=True)
class Entry:
    """One completion: a line of rollouts.jsonl, or a case of evaluation.json."""

    stage: str
    step: int
    task: str
    case: str
    completion: str
    answer: Any  # a label or text, a list of labels, a list of boxes {"bbox", "label"}, or None
    reason: str | None  # why there is no answer
    total: float | None  # None: not scored (evaluation)
    terms: Mapping[str, float | None] = field(default_factory=dict)
    advantage: float | None = None
    tokens: int | None = None
    finished: bool = True


@dataclass
class Group:
    """The completions of one prompt in one step, by their places among the entries."""

    number: int  # its place among the groups of the run: what a link names
    stage: str
    step: int
    task: str
    case: str
    places: list[int] = field(default_factory=list)


class RolloutFile:
    """All whole lines of a rollouts.jsonl, and the groups they form; `refresh` reads what was added.

    A file that was cut back (a run that resumed) or replaced is read anew. Lines that are no rollouts are
    passed over, as is one that is still being written.
    """

    def __init__(self, run: Path, default_task: Mapping[str, str]) -> None:
        self.path = run / ROLLOUTS
        self.default_task = default_task  # stage -> task, for lines that do not name theirs
        self.lock = Lock()
        self._forget()

    def _forget(self) -> None:
        self.entries: list[Entry] = []
        self.groups: list[Group] = []
        self._by_key: dict[tuple[str, int, str, str], Group] = {}
        self._offset = 0
        self._file: tuple[int, int] | None = None  # device and inode

    def refresh(self) -> bool:
        """Read what is new; whether there was anything."""
        with self.lock:
            try:
                state = self.path.stat()
            except FileNotFoundError:
                changed = bool(self.entries)
                self._forget()
                return changed
            same = self._file in (None, (state.st_dev, state.st_ino)) and state.st_size >= self._offset
            if not same:
                self._forget()
            self._file = (state.st_dev, state.st_ino)
            if state.st_size == self._offset:
                return not same
            with self.path.open("rb") as file:
                file.seek(self._offset)
                whole, newline, _ = file.read().rpartition(b"\n")
            self._offset += len(whole) + len(newline)
            for line in whole.split(b"\n"):
                entry = _entry(line, self.default_task)
                if entry is not None:
                    self._add(entry)
            return True

    def _add(self, entry: Entry) -> None:
        key = (entry.stage, entry.step, entry.task, entry.case)
        if key not in self._by_key:
            self._by_key[key] = Group(len(self.groups), *key)
            self.groups.append(self._by_key[key])
        self._by_key[key].places.append(len(self.entries))
        self.entries.append(entry)

    def add_all(self, entries: Sequence[Entry]) -> None:
        """Entries from elsewhere (an evaluation), in place of what was read."""
        with self.lock:
            self._forget()
            for entry in entries:
                self._add(entry)


def _entry(line: bytes, default_task: Mapping[str, str]) -> Entry | None:
    try:
        found = json.loads(line)
        stage, terms = str(found["stage"]), found.get("terms") or {}
        return Entry(
            stage=stage,
            step=int(found["step"]),
            task=str(found.get("task") or default_task.get(stage, "")),
            case=str(found["case"]),
            completion=str(found["completion"]),
            answer=found.get("answer"),
            reason=found.get("reason"),
            total=_number(found.get("total")),
            terms={str(name): _number(value) for name, value in terms.items()},
            advantage=_number(found.get("advantage")),
            tokens=found.get("tokens"),
            finished=bool(found.get("finished", True)),
        )
    except (ValueError, KeyError, TypeError, AttributeError):
        return None


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) else None
