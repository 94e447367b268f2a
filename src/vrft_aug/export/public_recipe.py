"""A recipe as others may read it: all that was decided, without where anything lies and without secrets."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Literal, get_args, get_origin

import yaml
from pydantic import BaseModel

from vrft_aug.errors import UserError
from vrft_aug.knowledge.bank import load_bank
from vrft_aug.recipe.paths import BANK_SUFFIXES
from vrft_aug.recipe.schema import Recipe

LEFT_OUT = "(left out)"
HEAD = f"""\
# The recipe that this model was made by. Where data, models and files lie, texts that name files or values of
# the data, addresses and keys are {LEFT_OUT}: put yours there.
"""
SECRET = re.compile(r"token|key|password|secret|credential", re.IGNORECASE)
PLACE = re.compile(r"[/\\@]|^~|://")
# Settings of transformers and TRL whose names only look like secrets.
HARMLESS = re.compile(r"(?:max|min)_\w*tokens?|key_mapping|token_weights|num_\w*tokens|tokens")
# Of a reader's settings, texts of these names stay: they say how a table is read, not what stands in it.
NAMES_OF_COLUMNS = re.compile(r"^(?:reader|modality|label_names|\w*column)$")


def public_recipe(recipe: Recipe, model: str) -> dict[str, Any]:
    """The recipe as plain data; `model` is what others know the start model by.

    Questions, labels and knowledge stay, as the prompt says them. Of a reader's settings stay numbers, what
    is chosen from a closed set, and names of columns.
    """
    plain = recipe.model_dump(mode="json")
    return {
        "name": plain["name"],
        "seed": plain["seed"],
        "data_root": None,
        "model": {**_public(plain["model"]), "name": model, "adapter": _gone(plain["model"]["adapter"])},
        "tasks": {
            name: {
                **plain["tasks"][name],
                "data": _data(task.data, plain["tasks"][name]["data"]),
                "knowledge": _bank(task.knowledge),
            }
            for name, task in recipe.tasks.items()
        },
        "stages": _public(plain["stages"]),
        "evaluation": _public(plain["evaluation"]),
        "parallel": _public(plain["parallel"]),
    }


def recipe_text(public: Mapping[str, Any]) -> str:
    """As a YAML file that says what is missing."""
    return HEAD + yaml.safe_dump(dict(public), sort_keys=False, allow_unicode=True)


def _public(value: Any, key: str = "") -> Any:
    """Settings without texts that are places, and without what is called like a secret."""
    if value is not None and SECRET.search(key) and not HARMLESS.fullmatch(key):
        return LEFT_OUT
    if isinstance(value, Mapping):
        return {str(name): _public(one, str(name)) for name, one in value.items()}
    if isinstance(value, list):
        return [_public(one) for one in value]
    return LEFT_OUT if isinstance(value, str) and PLACE.search(value) else value


def _data(settings: BaseModel, plain: Mapping[str, Any]) -> dict[str, Any]:
    fields = type(settings).model_fields
    return {
        name: _data_value(name, value, _closed_set(fields[name].annotation) if name in fields else set())
        for name, value in plain.items()
    }


def _data_value(name: str, value: Any, chosen: set[Any]) -> Any:
    if NAMES_OF_COLUMNS.match(name) or not isinstance(value, str | list | dict):
        return value
    if isinstance(value, list) and all(one in chosen or isinstance(one, int | float) for one in value):
        return value
    return value if not isinstance(value, list | dict) and value in chosen else LEFT_OUT


def _closed_set(annotation: Any) -> set[Any]:
    """All that a Literal anywhere in a type allows."""
    if get_origin(annotation) is Literal:
        return set(get_args(annotation))
    return {one for inner in get_args(annotation) for one in _closed_set(inner)}


def _bank(name: str | None) -> str | None:
    """What a bank calls itself, where the recipe names a file."""
    if name is None or not name.endswith(BANK_SUFFIXES):
        return name
    try:
        return load_bank(name).name
    except UserError:
        return LEFT_OUT


def _gone(value: Any) -> Any:
    return None if value is None else LEFT_OUT
