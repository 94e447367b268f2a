"""What users add without touching this package: functions named as `package.module:function` in a recipe, and
functions that other installed packages register by name as entry points."""

from __future__ import annotations

import importlib
import math
import sys
from collections.abc import Callable, Collection, Mapping
from functools import lru_cache
from importlib.metadata import EntryPoint, entry_points
from numbers import Real
from typing import Any, Literal

from vrft_aug.errors import OwnCodeError, UserError, nearest, shown

Group = Literal["readers", "rewards", "metrics", "families"]  # of entry points: `vrft_aug.readers`, ...


def load_function(reference: str) -> Callable[..., Any]:
    """The function that `package.module:function` names.

    Raises UserError where there is no such module or function. What goes wrong inside the module while it
    is imported keeps its own traceback.
    """
    module_name, _, name = reference.partition(":")
    if not (module_name and name):
        raise UserError(f"{reference!r} names no function; expected package.module:function")
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        missing = error.name or ""
        if not f"{module_name}.".startswith(f"{missing}."):  # the module is there, but imports what is not
            raise
        raise UserError(
            f"{reference!r}: Python finds no module {missing!r}; install it or add its folder to PYTHONPATH"
        ) from None
    function = getattr(module, name, None)
    if not callable(function):
        what = "has no" if function is None else "has something else than a function under the name"
        raise UserError(f"{reference!r}: module {module_name!r} {what} {name!r}{nearest(name, vars(module))}")
    return function  # type: ignore[no-any-return]


def installed(group: Group, name: str, ours: Collection[str]) -> Callable[..., Any] | None:
    """The function that an installed package registers as `name` in the group; None where no package does.

    Nothing of a package is imported before its name is used. Raises UserError, naming the entry point and its
    package, where the name is one of `ours` or registered twice (which one is meant nobody could tell from
    a recipe), or where it cannot be loaded.
    """
    found = [point for point in _entry_points(group, tuple(sys.path)) if point.name == name]
    if not found:
        return None
    point = found[0]
    if name in ours:
        raise UserError(f"{_origin(point, group)} has a name that vrft-aug has itself; give it another name")
    if len(found) > 1:
        raise UserError(
            f"{_origin(point, group)} is there again in package {_package(found[1])}; uninstall one of them"
        )
    try:
        return load_function(point.value)
    except Exception as error:
        what = str(error) if isinstance(error, UserError) else f"{type(error).__name__}: {error}"
        raise UserError(
            f"{_origin(point, group)} cannot be loaded: {' '.join(what.split())[:240]}"
        ) from error


def installed_names(group: Group) -> list[str]:
    """What other packages register in the group, for messages that say what there is."""
    return sorted({point.name for point in _entry_points(group, tuple(sys.path))})


def case_number(
    what: str, function: Callable[..., Any], arguments: Mapping[str, Any], case: str
) -> float | None:
    """What a reward or metric function (`what`, for messages) says of a case; None: it does not apply.

    Where it fails, or gives something else than a finite number or None, raises OwnCodeError if it is the
    user's and RuntimeError if it is ours, from the cause and naming function and case.
    """
    try:
        value = function(**arguments)
    except Exception as error:
        broken = RuntimeError if is_ours(function) else OwnCodeError
        raise broken(f"{what} failed on case {case!r}: {in_a_line(error)}") from error
    if value is None:
        return None
    if not isinstance(value, float | Real) or not math.isfinite(value):
        broken = RuntimeError if is_ours(function) else OwnCodeError
        raise broken(f"{what} returned {shown(value)} for case {case!r}; expected a finite number or None")
    return float(value)


def is_ours(function: Callable[..., Any]) -> bool:
    """Whether a function belongs to this package."""
    return str(getattr(function, "__module__", "")).partition(".")[0] == __name__.partition(".")[0]


def in_a_line(error: BaseException) -> str:
    """`ValueError: what it says`, cut to a length that fits into a line."""
    return f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"


@lru_cache
def _entry_points(group: str, path: tuple[str, ...]) -> tuple[EntryPoint, ...]:
    """Those of every installed package; `path`, Python's search path, because they depend on it."""
    return tuple(entry_points(group=f"vrft_aug.{group}"))


def _origin(point: EntryPoint, group: str) -> str:
    return f"entry point {point.name!r} of vrft_aug.{group} in package {_package(point)} ({point.value})"


def _package(point: EntryPoint) -> str:
    return point.dist.name if point.dist is not None else "unknown"
