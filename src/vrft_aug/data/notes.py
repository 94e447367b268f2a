"""What a reader has to say about data that it could read: rows left out, rules that applied, what looks odd.

A reader calls `note`; who wants to hear (`vrft check`) reads the data inside `collecting`. Elsewhere notes go
nowhere. What makes data unusable is no note but a UserError.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Literal

LONG = 60  # characters of a name in a list
LINE = 200  # of a list of more than three
_heard: ContextVar[list[Note] | None] = ContextVar("notes on data", default=None)


@dataclass(frozen=True)
class Note:
    """One sentence on the data; a warning is something that the user probably does not want."""

    text: str
    level: Literal["info", "warning"] = "info"


def note(text: str, level: Literal["info", "warning"] = "info") -> None:
    """Tell a collector, if there is one; what it has heard already is not said again."""
    heard = _heard.get()
    if heard is not None and Note(text, level) not in heard:
        heard.append(Note(text, level))


@contextmanager
def collecting() -> Iterator[list[Note]]:
    """The notes of everything that is read inside."""
    notes: list[Note] = []
    token = _heard.set(notes)
    try:
        yield notes
    finally:
        _heard.reset(token)


def some(values: Sequence[object], most: int = 3) -> str:
    """The first three of a list, and how many more there are; fewer where they are long."""
    texts = [text if len(text) <= LONG else f"{text[: LONG - 3]}..." for text in map(str, values[:most])]
    while len(texts) > 3 and sum(map(len, texts)) > LINE:
        texts.pop()
    listed, left = ", ".join(texts), len(values) - len(texts)
    return f"{listed} and {left:,} more" if left else listed
