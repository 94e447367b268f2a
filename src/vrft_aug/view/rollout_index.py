"""The rollouts of a run in memory, read as they are written; a run in progress is followed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock

from vrft_aug.run.layout import ROLLOUTS
from vrft_aug.run.rollout_lines import RolloutLine, parse_line

STEPLESS = "evaluation"  # the stage that evaluated cases are shown under, which has no steps


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
        self.entries: list[RolloutLine] = []
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
                entry = parse_line(line, self.default_task)
                if entry is not None:
                    self._add(entry)
            return True

    def _add(self, entry: RolloutLine) -> None:
        key = (entry.stage, entry.step, entry.task, entry.case)
        if key not in self._by_key:
            self._by_key[key] = Group(len(self.groups), *key)
            self.groups.append(self._by_key[key])
        self._by_key[key].places.append(len(self.entries))
        self.entries.append(entry)

    def add_all(self, entries: Sequence[RolloutLine]) -> None:
        """Entries from elsewhere (an evaluation), in place of what was read."""
        with self.lock:
            self._forget()
            for entry in entries:
                self._add(entry)
