"""The settings of TRL and PEFT that recipes pass through, by name, type and choices; nothing is imported.

`library_settings.json` is read from the installed libraries by `scripts/library_settings.py`; a test holds
that it says what they say. So `vrft check` need not load torch, which takes seconds, to find a wrong name.
"""

from __future__ import annotations

import json
import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

from vrft_aug.errors import UserError, nearest, shown

TABLE = Path(__file__).with_suffix(".json")
ConfigName = Literal["GRPOConfig", "SFTConfig", "LoraConfig"]


@dataclass(frozen=True)
class Known:
    """What a library says of a setting; `kinds` is empty where it takes objects that YAML cannot hold."""

    kinds: tuple[str, ...]  # of bool, int, float, str, list, dict, none
    choices: tuple[Any, ...] = ()  # where only these are taken
    default: Any = None  # None also where it is none that YAML can hold


@dataclass(frozen=True)
class Range:
    """From `low` to `high`; `open_low` and `open_high` leave the ends out."""

    low: float = -math.inf
    high: float = math.inf
    open_low: bool = False
    open_high: bool = False

    def __contains__(self, value: float) -> bool:
        above = value > self.low if self.open_low else value >= self.low
        below = value < self.high if self.open_high else value <= self.high
        return above and below and math.isfinite(value)

    def __str__(self) -> str:
        low = "" if self.low == -math.inf else f"{'above' if self.open_low else 'from'} {self.low:g}"
        high = "" if self.high == math.inf else f"{'below' if self.open_high else 'to'} {self.high:g}"
        return f"a number {low} {high}".replace("  ", " ").strip() + ("" if low and high else " up")


@cache
def known_settings(config: ConfigName) -> Mapping[str, Known]:
    """Every setting that the library's class takes, by name."""
    table = json.loads(TABLE.read_text(encoding="utf-8"))[config]
    return {
        name: Known(tuple(one["kinds"]), tuple(one.get("choices", ())), one.get("default"))
        for name, one in table.items()
    }


def check_settings(
    config: ConfigName,
    where: str,
    given: Mapping[str, Any],
    ranges: Mapping[str, Range | Collection[Any]],
    wider: Mapping[str, tuple[str, ...]] | None = None,
) -> None:
    """Raise UserError for the first setting that the class does not have, or of a wrong type or range.

    `where` is how the recipe calls the mapping, for messages; `ranges` and the kinds in `wider` say what the
    library does not declare.
    """
    known = known_settings(config)
    library = "peft" if config == "LoraConfig" else "trl"
    for key, value in given.items():
        if key not in known:
            raise UserError(f"{where}: {library}.{config} has no setting {key!r}{nearest(str(key), known)}")
        kinds = known[key].kinds + (wider or {}).get(key, ())
        if known[key].kinds and not any(_is_of(kind, value) for kind in kinds):
            raise UserError(f"{where}.{key} is {shown(value)}; expected {_in_words(known[key])}")
        limit = ranges.get(key)
        if isinstance(limit, Range):
            if isinstance(value, int | float) and not isinstance(value, bool) and value not in limit:
                raise UserError(f"{where}.{key} is {shown(value)}; expected {limit}")
            continue
        choices = limit or known[key].choices
        if choices and value is not None and not isinstance(value, list) and value not in choices:
            texts = [one for one in choices if isinstance(one, str)]
            listed = ", ".join(texts) if len(texts) < 12 else ", ".join(texts[:12]) + " and others"
            near = nearest(value, texts) if isinstance(value, str) else ""
            raise UserError(f"{where}.{key} is {shown(value)}; expected one of {listed}{near}")


def _is_of(kind: str, value: Any) -> bool:
    """Whether a value of a YAML file is of a kind; a whole number is also a float."""
    if kind == "none":
        return value is None
    if kind == "bool":
        return isinstance(value, bool)
    if kind == "int":
        return isinstance(value, int) and not isinstance(value, bool)
    if kind == "float":
        return isinstance(value, int | float) and not isinstance(value, bool)
    return isinstance(value, {"str": str, "list": list, "dict": dict}[kind])


def _in_words(known: Known) -> str:
    words = {
        "bool": "true or false",
        "int": "a whole number",
        "float": "a number",
        "str": "a text",
        "list": "a list",
        "dict": "a mapping",
        "none": "null",
    }
    listed = " or ".join(words[kind] for kind in known.kinds if kind in words)
    like = known.default
    plain = isinstance(like, int | float | str) and not isinstance(like, bool) and like != ""
    return listed + (f", like {like}" if plain else "")
