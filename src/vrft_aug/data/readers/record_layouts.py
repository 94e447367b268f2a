"""Where in a record question, answer and pictures are: paths into it, and the layouts of public files."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from pydantic import Field

from vrft_aug.data.notes import some
from vrft_aug.data.readers.record_files import Record
from vrft_aug.data.settings import DataConfig, Strict
from vrft_aug.errors import UserError, nearest, shown

FOLDER = Path(__file__).parent / "layouts"
# Those that say more of a record come first: the first that it fits is taken.
ORDER = (
    "vqa-rad", "slake", "omnimedvqa", "pmc-vqa", "medxpertqa", "verl", "easyr1", "problem-solution", "llava",
    "sharegpt", "ms-swift", "pathvqa",
)  # fmt: skip


class Layout(Strict):
    """The paths of one kind of file, see `RecordsData`."""

    has: tuple[str, ...] = ()  # top-level keys by which the layout is recognised
    image: str
    question: str
    answer: str
    options: str | tuple[str, ...] | None = None
    id: str | None = None
    patient: str | None = None
    split: str | None = None
    split_names: dict[str, str] = Field(default_factory=dict)
    facets: dict[str, str] = Field(default_factory=dict)
    closed_answers: tuple[str, ...] = ()


def layouts() -> dict[str, Layout]:
    """The shipped layouts by name, in the order in which they are tried."""
    read = {name: yaml.safe_load((FOLDER / f"{name}.yaml").read_text(encoding="utf-8")) for name in ORDER}
    return {name: Layout.model_validate(content) for name, content in read.items()}


def layout_of(config: DataConfig, name: str, first: Record) -> Layout:
    """The layout of a file: what the settings say, and for the rest the layout that they name or that fits.

    Raises UserError where none has that name, none fits the first record, or a path leads nowhere in it.
    """
    own = {
        key: value
        for key, value in config.model_dump().items()
        if key in config.model_fields_set and key in Layout.model_fields
    }
    known = layouts()
    if name in known:
        found = known[name].model_dump() | own
    elif name != "auto":
        raise UserError(
            f"data.layout {name!r} is unknown; expected auto or {', '.join(known)}{nearest(name, known)}"
        )
    elif {"image", "question", "answer"} <= own.keys():
        found = own
    else:
        fits = [layout for layout in known.values() if set(layout.has) <= first.value.keys()]
        if not fits:
            raise UserError(
                f"{first.where} fits none of the layouts {', '.join(known)}; say data.image, data.question "
                f"and data.answer, paths into it; it has {some(list(first.value), 12)}"
            )
        found = fits[0].model_dump() | own
    layout = Layout.model_validate(found)
    for setting in ("image", "question", "answer"):
        value_at(first, getattr(layout, setting), setting)
    return layout


def value_at(record: Record, path: str, setting: str = "") -> Any:
    """What lies at a path; None where it is absent, or UserError where `setting` names what asks for it."""
    value: Any = record.value
    for step in path.split(".") if path not in record.value else [path]:
        value = _step(value, step)
        if value is None:
            break
    if value is None and setting:
        has = some(list(record.value), 12)
        raise UserError(f"{record.where} has nothing at {path!r} (data.{setting}); its keys are {has}")
    return value


def text_at(record: Record, path: str) -> str | None:
    """The text at a path, stripped: numbers as text, of a message's parts the texts; None where it is empty.

    Raises UserError where something else lies there.
    """
    value = value_at(record, path)
    if isinstance(value, list) and all(isinstance(part, dict) for part in value):
        value = "\n".join(str(part["text"]) for part in value if part.get("text"))
    if isinstance(value, bool):
        value = "yes" if value else "no"
    if value is None or value != value:  # NaN, as tables turned to JSON have it
        return None
    if not isinstance(value, str | int | float):
        raise UserError(f"{record.where}: {path} is {shown(value)}; expected a text")
    return str(value).strip() or None


def listed(value: Any, record: Record) -> list[str]:
    """Options as a list, as a mapping from letters, or as either written as JSON."""
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except ValueError:
            value = None
    if isinstance(value, Mapping):
        value = [value[key] for key in sorted(value) if value[key] is not None]
    if not isinstance(value, list) or not all(isinstance(one, str | int | float) for one in value):
        raise UserError(
            f"{record.where}: the options are {shown(value)}; expected a list or a mapping of letters"
        )
    return [str(one) for one in value]


def _step(value: Any, step: str) -> Any:
    """One step of a path; None where it leads nowhere."""
    key, equals, wanted = step.partition("=")
    if isinstance(value, list):
        if equals:
            return next((one for one in value if isinstance(one, dict) and str(one.get(key)) == wanted), None)
        number = int(step) if step.lstrip("-").isdigit() else None
        return value[number] if number is not None and -len(value) <= number < len(value) else None
    return value.get(step) if isinstance(value, dict) else None
