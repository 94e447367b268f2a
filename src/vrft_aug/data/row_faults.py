"""Rows that cannot be used: the first ends the reading, or, for an audit, each is kept and left out.

A reader wraps what it does with one row into `each_row`. Who wants to hear of all of them (`vrft data`) reads
inside `faulty_rows`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

from vrft_aug.errors import UserError

_kept: ContextVar[list[RowFault] | None] = ContextVar("faulty rows", default=None)


@dataclass(frozen=True)
class RowFault:
    """A row that was left out."""

    kind: str  # what is counted together: "two options are alike"
    text: str  # the line that names file and row


class BadRow(UserError):
    """A UserError about one row, of a kind that is counted."""

    def __init__(self, kind: str, text: str) -> None:
        super().__init__(text)
        self.kind = kind


@contextmanager
def each_row() -> Iterator[None]:
    """Around one row: its UserError goes on, or inside `faulty_rows` is kept and the row left out."""
    kept = _kept.get()
    try:
        yield
    except UserError as error:
        if kept is None:
            raise
        kind = error.kind if isinstance(error, BadRow) else "cannot be used"
        fault = RowFault(kind, " ".join(str(error).split()))
        if fault not in kept[-1:]:
            kept.append(fault)


@contextmanager
def faulty_rows() -> Iterator[list[RowFault]]:
    """The faults of all rows that are read inside; they no longer end the reading."""
    kept: list[RowFault] = []
    token = _kept.set(kept)
    try:
        yield kept
    finally:
        _kept.reset(token)
