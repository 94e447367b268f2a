"""Writes src/vrft_aug/training/library_settings.json from the installed TRL and PEFT.

python scripts/library_settings.py
"""

from __future__ import annotations

import enum
import json
from dataclasses import MISSING, fields
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from vrft_aug.training.library_settings import TABLE

KINDS = {bool: "bool", int: "int", float: "float", str: "str", list: "list", dict: "dict", NoneType: "none"}
# Texts that stand in an annotation as a placeholder: the setting takes more than it lists.
PLACEHOLDERS = ("pissa_niter_[number of iters]",)


def settings_of(config: type) -> dict[str, dict[str, Any]]:
    """Name -> kinds, choices and default of every setting that the class takes."""
    hints = get_type_hints(config)
    return {one.name: _described(hints[one.name], one.default) for one in fields(config) if one.init}


def _described(hint: Any, default: Any) -> dict[str, Any]:
    kinds: list[str] = []
    choices: list[Any] = []
    closed = True
    for part in _parts(hint):
        if isinstance(part, type) and issubclass(part, enum.Enum):
            choices += [member.value for member in part]
            kinds.append("str")
        elif get_origin(part) is Literal:
            values = get_args(part)
            closed &= not set(values) & set(PLACEHOLDERS)
            choices += values
            kinds += [KINDS[type(value)] for value in values]
        elif (plain := get_origin(part) or part) in KINDS:
            kinds.append(KINDS[plain])
    if default is not MISSING and isinstance(default, enum.Enum):
        default = default.value
    listed = list(dict.fromkeys(choices)) if closed and "list" not in kinds else []
    if "bool" in kinds and listed:
        listed = list(dict.fromkeys([*listed, True, False]))
    said: dict[str, Any] = {"kinds": sorted(dict.fromkeys(kinds))}
    if any(isinstance(one, str) for one in listed):
        said["choices"] = listed
    if isinstance(default, bool | int | float | str):
        said["default"] = default
    return said


def _parts(hint: Any) -> list[Any]:
    if get_origin(hint) in (Union, UnionType):
        return [part for one in get_args(hint) for part in _parts(one)]
    return [hint]


def table() -> dict[str, dict[str, dict[str, Any]]]:
    """Of the classes whose settings a recipe passes through."""
    from peft import LoraConfig
    from trl import GRPOConfig, SFTConfig

    return {one.__name__: settings_of(one) for one in (GRPOConfig, SFTConfig, LoraConfig)}


if __name__ == "__main__":
    rows = (
        f'"{name}": {{\n'
        + ",\n".join(f'  "{key}": {json.dumps(one)}' for key, one in settings.items())
        + "\n}"
        for name, settings in table().items()
    )
    TABLE.write_text("{\n" + ",\n".join(rows) + "\n}\n", encoding="utf-8")
