"""How annotation files are opened: JSON and XML, one or a folder of them, broken ones named."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from vrft_aug.data.sources import absent
from vrft_aug.errors import UserError


def files_of(path: Path, root: Path, suffix: str) -> list[Path]:
    """A file, or all files of a suffix below a folder, sorted; UserError where there are none."""
    if path.is_file():
        return [path]
    if not path.is_dir():
        raise absent(path, root, suffix)
    found = sorted(file for file in path.rglob(f"*{suffix}") if not file.name.startswith("."))
    if not found:
        raise UserError(f"{path} has no {suffix} files; expected annotations there")
    return found


def read_json(path: Path) -> Any:
    """What a JSON file holds; UserError where it is none."""
    try:
        return json.loads(path.read_text(encoding="utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path} is not valid JSON: {' '.join(str(error).split())[:160]}") from None


def read_xml(path: Path) -> ElementTree.Element:
    """The root of an XML file; UserError where it is none, or declares entities, which are not read."""
    raw = path.read_bytes()
    if b"<!DOCTYPE" in raw or b"<!ENTITY" in raw:
        raise UserError(f"{path} declares entities, which are not read; expected plain XML")
    try:
        return ElementTree.fromstring(raw)
    except (ElementTree.ParseError, ValueError, LookupError) as error:
        raise UserError(f"{path} is not valid XML: {error}") from None


def number(value: Any, what: str, where: str) -> float:
    """A finite number; UserError naming what is none."""
    try:
        found = float(value)
    except (TypeError, ValueError):
        found = float("nan")
    if isinstance(value, bool) or not abs(found) < 1e9:
        raise UserError(f"{where}: {what} is {str(value)[:40]!r}; expected a number")
    return found
