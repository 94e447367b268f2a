"""A YAML file that the user names, or one that comes with the package under a name of its own."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from vrft_aug.errors import UserError, nearest, shown
from vrft_aug.recipe.file import parse_yaml


def read_named(source: str, shipped: Mapping[str, Path], what: str, keys: str) -> tuple[Path, dict[str, Any]]:
    """The path and the mapping in it; `what` says what such a file is, `keys` which it begins with.

    Raises UserError, one line, where there is no such file, or it holds something else.
    """
    path = shipped.get(source, Path(source))
    if not path.is_file():
        raise UserError(
            f"no {what} {source!r}{nearest(source, shipped)}; expected a YAML file or one of "
            f"{', '.join(shipped)}"
        )
    try:
        data = parse_yaml(path.read_text(encoding="utf-8"), f"{what} {path}")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{what} {path} cannot be read as UTF-8 text: {error}") from None
    if not isinstance(data, dict):
        raise UserError(f"{what} {path} holds {shown(data)}; expected a mapping ({keys})")
    return path, data
