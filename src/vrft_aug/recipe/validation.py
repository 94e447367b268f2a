"""What pydantic found wrong with a recipe, said in one line as the user would have written it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from vrft_aug.data.settings import DataConfig, reader_config
from vrft_aug.errors import nearest, shown
from vrft_aug.recipe.schema import Recipe

# What pydantic says around the part of its message that names what was expected.
PYDANTIC_WORDS = re.compile(
    r"^\w+ should (be |have )?|, unable to .*| after validation, not 0| or instance of \w+"
)


def explain(error: ValidationError, data: Any, model: type[BaseModel] = Recipe) -> str:
    """One line on what is wrong with the mapping `data`: unknown keys first, for they cause the rest."""
    items = sorted(
        error.errors(),
        # of a setting with several forms, what is wrong with the form that was given goes first
        key=lambda item: (item["type"] != "extra_forbidden", bool(item["loc"]) and _is_form(item["loc"][-1])),
    )
    more = f" (and {len(items) - 1} more)" if len(items) > 1 else ""
    return _problem(items[0], data, model) + more


def _problem(item: ErrorDetails, recipe: Any, model: type[BaseModel]) -> str:
    where = _dotted(item["loc"], recipe)
    message = " ".join(item["msg"].split())
    if item["type"] == "extra_forbidden":
        known = list(_model_at(item["loc"][:-1], recipe, model).model_fields)
        near = nearest(str(item["loc"][-1]), known) or f"; expected one of {', '.join(known)}"
        return f"{where} is not a known key{near}"
    if item["type"] == "missing":
        return f"{where} is missing"
    if item["type"] == "value_error":  # raised by a validator of ours, which says it all
        return (f"{where}: " if where else "") + message.removeprefix("Value error, ")
    expected = PYDANTIC_WORDS.sub("", message)
    expected = expected.replace("valid dictionary", "mapping").replace("dictionary", "mapping")
    if item["type"] in ("string_type", "string_sub_type"):
        expected = f"text{' (put it in quotes)' if item['input'] is not None else ''}"
        if item["loc"] and isinstance(number := item["loc"][-1], int):
            where = f"{_dotted(item['loc'][:-1], recipe)}: number {number + 1}"
    return f"{where or 'the file'} is {shown(item['input'])}; expected {expected}"


def _is_form(key: str | int) -> bool:
    """Whether a part of a path is pydantic's name of one of several forms, and no key of the data."""
    return isinstance(key, str) and key.startswith(("tuple[", "dict[", "list["))


def _dotted(place: Sequence[str | int], data: Any) -> str:
    """The path as an override would write it: items of lists by their names where they have one."""
    parts: list[str] = []
    for key in place:
        if _is_form(key):
            continue
        try:
            inner: Any = data[key]
        except (KeyError, IndexError, TypeError):
            inner = None
        named = isinstance(key, int) and isinstance(inner, dict) and isinstance(inner.get("name"), str)
        parts.append(inner["name"] if named else str(key))
        data = inner
    return ".".join(part for part in parts if part not in ("[key]", ""))


def _model_at(place: Sequence[str | int], data: Any, model: type[BaseModel]) -> type[BaseModel]:
    """The model that checks the part of the data at a path; every key on the way is known."""
    kind: Any = model
    for key in place:
        data = data[key]
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            kind = kind.model_fields[str(key)].annotation
        else:  # a dict or a tuple: its values
            kind = [arg for arg in get_args(kind) if arg is not Ellipsis][-1]
        if get_origin(kind) is Annotated:
            kind = get_args(kind)[0]
        if kind == DataConfig:
            kind = reader_config(data["reader"])
        elif get_origin(kind) in (Union, UnionType):
            kind = next(arg for arg in get_args(kind) if arg is not type(None))
    assert isinstance(kind, type) and issubclass(kind, BaseModel), place
    return kind
