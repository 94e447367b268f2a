"""Recipes as files: load a shipped or a user's YAML, apply `key.sub=value` overrides, save what came out.

Every mistake ends in one line that names the file, the key, what was given and what was expected.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml
from pydantic import ValidationError

from vrft_aug.errors import UserError, nearest, shown
from vrft_aug.files import write_text
from vrft_aug.recipe.paths import resolve_paths
from vrft_aug.recipe.schema import Recipe
from vrft_aug.recipe.validation import explain

SHIPPED = Path(__file__).parent / "shipped"
RUN_RECIPE = "recipe.yaml"  # its name in a run folder


def shipped_recipes() -> dict[str, Path]:
    """The recipes that come with the package, by name."""
    return {path.stem: path for path in sorted(SHIPPED.glob("*.yaml"))}


def load_recipe(source: str, overrides: Sequence[str] = ()) -> Recipe:
    """A shipped recipe by its name, a YAML file, or the recipe in a run folder, with overrides applied.

    An override is `key.sub=value`: the value is YAML, and an item of a list is named by its number or by
    its `name` (`stages.grade.steps=10`). Paths become absolute, see paths.py; a user's recipe finds functions
    in modules that lie beside it. Raises UserError, one line, for whatever is wrong.
    """
    path = recipe_path(source)
    data = _read_mapping(path)
    if path.name == RUN_RECIPE:
        _read_as_then(data)
    elif path.parent != SHIPPED:
        resolve_paths(data, path.parent, path.name)
        if str(folder := path.parent.absolute()) not in sys.path:
            sys.path.append(str(folder))
    for override in overrides:
        _apply(data, override)
    resolve_paths(data, Path.cwd(), "given")
    try:
        return Recipe.model_validate(data)
    except ValidationError as error:
        raise UserError(f"recipe {path.name}: {explain(error, data)}") from None


def _read_as_then(data: dict[str, Any]) -> None:
    """A run's recipe has every setting: one that lacks the answer mode is of 0.1.0, which was strict."""
    tasks = data.get("tasks")
    for task in tasks.values() if isinstance(tasks, dict) else ():
        if isinstance(task, dict) and {"modality", "box_format", "knowledge", "synonyms"} <= task.keys():
            task.setdefault("answer_mode", "strict")


def save_recipe(recipe: Recipe, path: Path) -> None:
    """Write the resolved recipe, every default included, so that loading it gives an equal recipe."""
    dumped = recipe.model_dump(mode="json")
    write_text(path, yaml.safe_dump(dumped, sort_keys=False, allow_unicode=True, width=100))


def copy_recipe(name: str, destination: Path | None = None) -> Path:
    """Copy a shipped recipe with its comments, to `NAME.yaml` here by default; returns where it went.

    Raises UserError where there is no such recipe, or a file already.
    """
    shipped = shipped_recipes()
    if name not in shipped:
        hint = nearest(name, shipped)
        raise UserError(f"no shipped recipe is called {name!r}{hint}; expected one of {', '.join(shipped)}")
    target = destination or Path(f"{name}.yaml")
    if target.is_dir():
        target = target / f"{name}.yaml"
    if target.exists():
        raise UserError(f"{target} exists already; name another destination")
    write_text(target, shipped[name].read_text(encoding="utf-8"))
    return target


def recipe_path(source: str) -> Path:
    """Where a recipe lies that is named as on the command line."""
    path = Path(source)
    if (path / RUN_RECIPE).is_file():
        return path / RUN_RECIPE
    shipped = shipped_recipes()
    if source in shipped:
        return shipped[source]
    if path.suffix in (".yaml", ".yml") or len(path.parts) > 1:
        if not path.is_file():
            raise UserError(f"recipe file {source} does not exist; shipped recipes: {', '.join(shipped)}")
        return path
    raise UserError(
        f"no shipped recipe is called {source!r}{nearest(source, shipped)}; "
        f"expected a YAML file or one of {', '.join(shipped)}"
    )


if TYPE_CHECKING:
    from yaml import SafeLoader as _SafeLoader
else:  # libyaml's, where PyYAML was built with it: ten times as fast
    _SafeLoader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


# Settings that pass through to others' functions, whose types we do not know: there yes and no are booleans.
PASSED_ON = ("trainer", "lora", "load", "options", "rewards")


class _Word(str):
    """An unquoted yes, no, on or off: which of text and boolean was meant depends on where it stands."""


class _Loader(_SafeLoader):
    """Safe YAML in which 1e-5 is a number (YAML 1.1 reads a string), yes and no are words (YAML 1.1 reads
    booleans, which labels and classes are not), and a key given twice is an error."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen = set()
        for key_node, _ in node.value:
            written = key_node.tag.replace("!word", "tag:yaml.org,2002:str"), str(key_node.value)
            if written in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"{self.construct_object(key_node, deep=True)!r} twice", key_node.start_mark
                )
            seen.add(written)
        return super().construct_mapping(node, deep)


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in found if tag != "tag:yaml.org,2002:bool"]
    for first, found in _SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"^[-+]?\d+(\.\d*)?[eE][-+]?\d+$"), list("-+0123456789")
)
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:bool", re.compile(r"^(true|True|TRUE|false|False|FALSE)$"), list("tTfF")
)
_Loader.add_implicit_resolver(
    "!word", re.compile(r"^(yes|Yes|YES|no|No|NO|on|On|ON|off|Off|OFF)$"), list("yYnNoO")
)
_Loader.add_constructor("!word", lambda loader, node: _Word(node.value))


def _settled(value: Any, boolean: bool, passed_on: Collection[str]) -> Any:
    """The value with its unquoted words as text, or below the keys `passed_on` as booleans; keys are text."""
    if isinstance(value, _Word):
        return value.casefold() in ("yes", "on") if boolean else str(value)
    if isinstance(value, list):
        return [_settled(item, boolean, passed_on) for item in value]
    if isinstance(value, dict):
        return {
            str(key) if isinstance(key, _Word) else key: _settled(
                item, boolean or key in passed_on, passed_on
            )
            for key, item in value.items()
        }
    return value


def parse_yaml(text: str, what: str, passed_on: Collection[str] = (), boolean: bool = False) -> Any:
    """The content of a YAML text; UserError with `what` and the line where it is broken or a key is twice.

    Unquoted yes, no, on and off are text, as labels are; below the keys `passed_on`, or everywhere with
    `boolean`, they are booleans.
    """
    try:
        return _settled(yaml.load(text, _Loader), boolean, passed_on)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f" line {mark.line + 1}" if mark is not None else ""
        problem = getattr(error, "problem", None) or str(error)
        raise UserError(f"{what}{line} is not valid YAML: {' '.join(problem.split())}") from None


def _read_mapping(path: Path) -> dict[str, Any]:
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"recipe {path} cannot be read as UTF-8 text: {error}") from None
    data = parse_yaml(text, f"recipe {path}", PASSED_ON)
    if not isinstance(data, dict):
        raise UserError(f"recipe {path} holds {shown(data)}; expected a mapping (name, tasks, evaluation)")
    return data


def _apply(data: dict[str, Any], override: str) -> None:
    """Set one `key.sub=value` in place."""
    dotted, equals, text = override.partition("=")
    keys = dotted.strip().split(".")
    if not equals or not all(keys):
        raise UserError(f"override {override!r} is not understood; expected key.sub=value")
    passed_on = not set(PASSED_ON).isdisjoint(keys)
    value = parse_yaml(text, f"the value of override {override!r}", PASSED_ON, passed_on)
    here: Any = data
    for depth, key in enumerate(keys):
        last = depth == len(keys) - 1
        if isinstance(here, list):
            place: Any = _item(here, key, ".".join(keys[:depth]))
        elif isinstance(here, dict):
            place = next((known for known in here if str(known) == key), key)
        else:
            raise UserError(
                f"override {override!r}: {'.'.join(keys[:depth])} is {shown(here)} and has no keys inside"
            )
        if last:
            here[place] = value
            return
        if isinstance(here, dict) and here.get(place) is None:
            here[place] = {}
        elif keys[depth - 1] == "rewards" and isinstance(here[place], int | float):
            here[place] = {"weight": here[place]}  # a bare number is short for a weight
        here = here[place]


def _item(items: list[Any], key: str, where: str) -> int:
    """The place in a list of the item with that name or number."""
    names = [str(item["name"]) for item in items if isinstance(item, dict) and "name" in item]
    for index, item in enumerate(items):
        if isinstance(item, dict) and str(item.get("name")) == key:
            return index
    if key.isdigit() and int(key) < len(items):
        return int(key)
    known = ", ".join(names) or f"numbers 0 to {len(items) - 1}"
    raise UserError(f"{where} has no item {key!r}{nearest(key, names)}; it has {known}")
