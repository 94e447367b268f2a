"""A running reader study: what each reader is shown now, and their answers taken, each once.

A reader's place is how many answers of theirs are on the disk, so that a closed tab, a crashed browser and a
killed server all go on at the first case without an answer.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Lock
from typing import Any, Literal

from vrft_aug.errors import UserError
from vrft_aug.reader_study.answer_log import (
    FLAGS,
    LONGEST,
    Given,
    ReaderLog,
    append,
    log_path,
    may_answer,
    mend,
    read_log,
)
from vrft_aug.reader_study.material import (
    ANSWERS,
    FROZEN,
    Material,
    StudyCase,
    changes,
    load_material,
    save_material,
)
from vrft_aug.reader_study.schedule import Slot

Taken = Literal["saved", "before", "incomplete"]
Clock = Callable[[], datetime]


@dataclass(frozen=True)
class Now:
    """What a reader is to do now: a slot, or to wait for a session, or nothing more."""

    slot: Slot | None
    case: StudyCase | None
    opens: datetime | None = None  # when the next session may begin
    done: int = 0  # of this session
    of: int = 0
    session: int = 1
    sessions: int = 1


class Desk:
    """Readers and their answers. Safe for several threads; a folder belongs to one process at a time."""

    def __init__(self, folder: Path, material: Material, clock: Clock = lambda: datetime.now(UTC)) -> None:
        self.folder = folder
        self.material = material
        self.mended: dict[str, int] = {}  # reader -> bytes of a torn last line that were put aside
        self._clock = clock
        self._lock = Lock()
        self._slots = {reader: material.slots(reader) for reader in material.protocol.readers}
        self._logs: dict[str, ReaderLog] = {}
        self._opened_at: dict[tuple[str, int], datetime] = {}
        for reader in self._slots:
            self._logs[reader] = read_log(folder, material, reader)
        for reader in self._slots:  # only when all can be read
            if torn := mend(folder, reader):
                self.mended[reader] = torn

    @property
    def readers(self) -> tuple[str, ...]:
        """Their code names."""
        return tuple(self._slots)

    def progress(self, reader: str) -> tuple[int, int]:
        """How much a reader has done, of how much."""
        return len(self._logs[reader].given), len(self._slots[reader])

    def now(self, reader: str) -> Now:
        """What a reader is to do now."""
        given, slots = self._logs[reader].given, self._slots[reader]
        sessions = slots[-1].session
        if len(given) == len(slots):
            return Now(None, None, session=sessions, sessions=sessions)
        slot = slots[len(given)]
        of_session = [one for one in slots if one.session == slot.session]
        done = slot.place - of_session[0].place
        opens = self._opens(given, slot) if done == 0 else None
        if opens is not None and self._clock() < opens:
            return Now(None, None, opens, 0, len(of_session), slot.session, sessions)
        case = self.material.cases[slot.case]
        return Now(slot, case, None, done, len(of_session), slot.session, sessions)

    def _opens(self, given: list[Given], slot: Slot) -> datetime | None:
        """When the session that begins with a slot may begin; ratings need no washout."""
        days = self.material.protocol.washout_days
        if not given or slot.doing == "rating" or not days:
            return None
        return datetime.fromisoformat(given[-1].at) + timedelta(days=days)

    def open(self, reader: str, place: int) -> None:
        """Note that a case was shown, which tells interrupted readings from others."""
        with self._lock:
            if self.progress(reader)[0] != place:
                return
            now, log = self._clock(), self._logs[reader]
            append(log_path(self.folder, reader), {"opened": place, "at": now.isoformat()})
            log.opened[place] = log.opened.get(place, 0) + 1
            self._opened_at.setdefault((reader, place), now)

    def take(
        self,
        reader: str,
        place: int,
        *,
        answers: list[str],
        flags: list[str],
        comment: str,
        seconds: float | None,
    ) -> Taken:
        """Save an answer to the case at a place of the reader's order; on the disk when this returns.

        `before`: there is an answer already (a double press, another tab), and nothing is changed;
        `incomplete`: nothing that could be saved was said. `seconds` are the page's own count. Raises OSError
        where it cannot be written, and then nothing of it is.
        """
        with self._lock:
            now = self.now(reader)
            if now.slot is None or now.slot.place != place or now.case is None:
                return "before"
            answer, known = self._answer(now.slot, now.case, answers, flags)
            if not known:
                return "incomplete"
            at, log = self._clock(), self._logs[reader]
            given = Given(
                slot=now.slot,
                answer=answer,
                flags=tuple(flag for flag in FLAGS if flag in flags) if now.slot.doing == "rating" else (),
                comment=comment.strip()[:LONGEST],
                seconds=self._seconds(reader, place, at, seconds),
                openings=log.opened.get(place, 1),
                at=at.isoformat(),
            )
            append(log_path(self.folder, reader), line_of(given, now.case))
            log.given.append(given)
            return "saved"

    def _answer(
        self, slot: Slot, case: StudyCase, answers: list[str], flags: list[str]
    ) -> tuple[str | None, bool]:
        """The answer as it is saved, and whether it is one."""
        if slot.doing == "rating":
            return None, bool(flags) and set(flags) <= set(FLAGS)
        answers = [one for one in answers if one.strip()]  # an empty text field beside a ticked box
        if answers == [CANNOT_TELL]:
            return None, self.material.protocol.cannot_tell
        if self.material.kind == "answer":
            answer = answers[0].strip() if answers else ""
        elif any(not _is_number(one) or int(one) > len(case.options) for one in answers) or not answers:
            return None, False
        elif answers == [NONE_OF_THEM]:
            answer = ""
            if self.material.kind != "multilabel":
                return None, False
        elif NONE_OF_THEM in answers or (self.material.kind != "multilabel" and len(answers) > 1):
            return None, False
        else:
            answer = ", ".join(sorted({case.options[int(one) - 1] for one in answers}))
        return answer, may_answer(self.material, case, answer)

    def _seconds(self, reader: str, place: int, at: datetime, told: float | None) -> float:
        """The page's own count where it is possible, else the time since the case was first shown."""
        opened = self._opened_at.get((reader, place))
        most = (at - opened).total_seconds() if opened is not None else math.inf
        if told is not None and math.isfinite(told) and told >= 0:
            # A page that was open before the server was started anew has counted longer than the server.
            restarted = self._logs[reader].opened.get(place, 1) > 1
            return round(told if restarted else min(told, most), 3)
        return round(most, 3) if math.isfinite(most) else 0.0


NONE_OF_THEM = "0"  # of a multilabel task; the options count from 1
CANNOT_TELL = "cannot tell"


def line_of(given: Given, case: StudyCase) -> dict[str, Any]:
    """The line of an answer, as JSON takes it."""
    line: dict[str, Any] = {
        "place": given.slot.place,
        "session": given.slot.session,
        "case": case.case,
        "doing": given.slot.doing,
    }
    if given.slot.doing == "rating":
        line |= {"flags": list(given.flags), "comment": given.comment}
    else:
        line["answer"] = given.answer
    return line | {"seconds": given.seconds, "openings": given.openings, "at": given.at}


def open_desk(folder: Path, material: Material, clock: Clock = lambda: datetime.now(UTC)) -> Desk:
    """Begin a reader study in a folder, or go on with it. The folder has to be held (`run_locked`).

    Raises UserError where the study is not the one that the folder's answers are of, and for answers that are
    damaged.
    """
    if (folder / FROZEN).is_file():
        old = load_material(folder)
        changed, answered = changes(old, material), any((folder / ANSWERS).glob("*.jsonl"))
        if changed and answered:
            raise UserError(
                f"{folder} holds answers to this reader study as it was; changed since: "
                f"{', '.join(changed)}. Take the change back, or name another folder with --output"
            )
    elif folder.is_dir() and any(not path.name.startswith(".") for path in folder.iterdir()):
        raise UserError(f"{folder} is not empty and holds no {FROZEN}; choose another --output")
    desk = Desk(folder, material, clock)
    save_material(material, folder)
    return desk


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdecimal() and len(text) < 6
