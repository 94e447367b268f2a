"""The one exception that a user's mistake ends in, and how its message words what was given."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class UserError(Exception):
    """Input given by the user is wrong; the command line prints the message alone and exits with 2.

    The message is one line: what was given, what was expected, which file and case, what to try.
    Everything else that goes wrong is a bug of ours and keeps its traceback.
    """


def nearest(given: str, known: Iterable[str]) -> str:
    """`; did you mean 'x'?` where a known name is close to the one given, else an empty string."""
    close = difflib.get_close_matches(given, list(known), n=1, cutoff=0.6)
    return f"; did you mean {close[0]!r}?" if close else ""


def shown(value: object) -> str:
    """A value as it was given, cut to a length that fits into a line."""
    if value is None or value == "":
        return "empty"
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, list | tuple):
        return "a list"
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
