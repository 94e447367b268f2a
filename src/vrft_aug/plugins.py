"""Functions of the user's own, named as `package.module:function` in a recipe."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

from vrft_aug.errors import UserError, nearest


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
