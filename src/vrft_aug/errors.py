"""The one exception that a user's mistake ends in, and how its message words what was given."""

from __future__ import annotations

import difflib
import errno
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pydantic import ValidationError


class UserError(Exception):
    """Input given by the user is wrong; the command line prints the message alone and exits with 2.

    The message is one line: what was given, what was expected, which file and case, what to try.
    Everything else that goes wrong is a bug of ours and keeps its traceback.
    """


class OwnCodeError(UserError):
    """A function of the user's own went wrong; the cause, with the user's code in its trace, is chained.

    The command line prints the line alone, and with `--debug` the trace of the user's code.
    """


class Stopped(Exception):
    """A run that was told to end has saved what it has; the command line prints that, and exits with 143."""


def told_by_system(error: BaseException) -> str | None:
    """What the operating system refused, in one line: a full disk, a closed place; None for other errors.

    Libraries that write weights word a full disk in their own ways, which are known here.
    """
    if isinstance(error, OSError) and error.errno in _REFUSED:
        where = f"{error.filename} cannot be used" if error.filename else "the operating system refuses"
        reason, full = error.strerror or str(error), error.errno in _FULL
    elif _DISK_FULL.search(str(error)):
        where, reason, full = "a file cannot be written", "no space left on device", True
    else:
        return None
    if full:
        return (
            f"{where}: {reason}; what was complete before is kept: free some space, then go on "
            "(of a training: with --resume)"
        )
    return f"{where}: {reason}; choose another place (--output), or change who may write there"


_FULL = (errno.ENOSPC, errno.EDQUOT)
_REFUSED = (
    *_FULL, errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EISDIR, errno.ENAMETOOLONG,
    errno.ELOOP, errno.EFBIG, errno.EEXIST,
)  # fmt: skip
_DISK_FULL = re.compile(
    r"No space left on device|PytorchStreamWriter failed writing|inline_container.*unexpected pos"
)


def nearest(given: str, known: Iterable[str]) -> str:
    """`; did you mean 'x'?` where a known name is close to the one given, else an empty string."""
    close = difflib.get_close_matches(given, list(known), n=1, cutoff=0.6)
    return f"; did you mean {close[0]!r}?" if close else ""


def shown(value: object) -> str:
    """A value as it was given, cut to a length that fits into a line."""
    if value is None or value == "":
        return "empty"
    if isinstance(value, bool):
        return str(value).lower()  # as files write it
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, list | tuple):
        return "a list"
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


@dataclass(frozen=True)
class Fault:
    """The first thing that is wrong with a file which pydantic checked."""

    where: str  # dotted keys, such as `rows.3.case`
    given: str  # `is missing`, or `is` and the value
    reason: str

    def __str__(self) -> str:
        """Where, and why it is wrong."""
        return f"{self.where}: {self.reason}"


def first_fault(error: ValidationError, whole: str = "the file") -> Fault:
    """What to tell of a failed check; `whole` names the place of a fault that is in no key."""
    first = error.errors()[0]
    return Fault(
        where=".".join(map(str, first["loc"])) or whole,
        given="is missing" if first["type"] == "missing" else f"is {shown(first['input'])}",
        reason=first["msg"].removeprefix("Value error, "),
    )
