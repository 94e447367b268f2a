"""Where the paths in a recipe lead: from the recipe's own folder, so that it works from any other.

| setting | a relative path starts at |
|---|---|
| `data_root` | the recipe's folder |
| `model.name` and `model.adapter`, where they are folders | the recipe's folder |
| `tasks.*.knowledge`, where it is a YAML file | the recipe's folder |
| `stages[].curriculum.pass_rates`, `stages[].seats.demonstrations` | the recipe's folder |
| `stages[].demonstrations` | the recipe's folder, where there is no such file the data root |
| all others (tables, images, masks, ...) | the data root |

What the command line overrides starts at the working folder. A run keeps absolute paths.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from vrft_aug.errors import UserError

BANK_SUFFIXES = (".yaml", ".yml")


def resolve_paths(recipe: dict[str, Any], base: Path, where: str) -> None:
    """Make the paths of a raw recipe absolute, in place; what is no path, or no valid recipe, stays.

    `where` names the recipe in messages. Raises UserError for a bank that is not there.
    """
    if isinstance(root := recipe.get("data_root"), str) and root:
        recipe["data_root"] = str(_below(base, root))
    model = recipe.get("model")
    if isinstance(model, dict):
        for key in ("name", "adapter"):
            value = model.get(key)
            if isinstance(value, str) and value != "tiny" and (folder := _below(base, value)).is_dir():
                model[key] = str(folder)
    for name, task in _mappings(recipe.get("tasks")):
        bank = task.get("knowledge")
        if isinstance(bank, str) and bank.endswith(BANK_SUFFIXES):
            task["knowledge"] = str(_bank(base, bank, f"{where}: tasks.{name}.knowledge"))
    stages = recipe.get("stages")
    for stage in stages if isinstance(stages, list) else ():
        told = stage.get("demonstrations") if isinstance(stage, dict) else None
        if isinstance(told, str) and (file := _below(base, told)).is_file():
            stage["demonstrations"] = str(file)
        for part, key in (("curriculum", "pass_rates"), ("seats", "demonstrations")):
            inner = stage.get(part) if isinstance(stage, dict) else None
            if isinstance(inner, dict) and isinstance(given := inner.get(key), str):
                inner[key] = str(_below(base, given))


def _bank(base: Path, given: str, where: str) -> Path:
    path = _below(base, given)
    if not path.is_file() and (Path.cwd() / given).is_file():
        raise UserError(
            f"{where}: there is no {path}; paths in a recipe start at its own folder, but {given} lies in "
            f"the working folder: write {Path.cwd() / given}"
        )
    return path


def _below(base: Path, given: str) -> Path:
    """An absolute path without `..` and `~`; links are left as they are."""
    return Path(os.path.normpath(Path(base, Path(given).expanduser()).absolute()))


def _mappings(value: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    for name, item in value.items() if isinstance(value, dict) else ():
        if isinstance(item, dict):
            yield str(name), item
