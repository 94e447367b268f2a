"""A bank of version 0.1.0 rewritten in today's keys: `present`, `absent` become `typical`, `unlikely`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from vrft_aug.errors import UserError
from vrft_aug.knowledge.bank import old_keys, parse_bank, read_bank_file
from vrft_aug.knowledge.bank_schema import OLD_KEYS, REVIEW
from vrft_aug.knowledge.validate import check_bank


@dataclass(frozen=True)
class Upgraded:
    """The text of a bank in today's keys, how many lists were renamed, and what `check_bank` finds in it."""

    text: str
    lists: int
    problems: tuple[str, ...]


def upgraded_text(path: Path) -> Upgraded:
    """The file with its lists renamed, each under the source `review`: nobody has confirmed what they say.

    Everything else, comments too, stays as it is. Raises UserError where the file is no bank, or has none of
    the old lists.
    """
    content = read_bank_file(path)
    if not old_keys(content):
        raise UserError(
            f"{path} has no list of version 0.1.0 (present, absent): there is nothing to upgrade; "
            f"`vrft knowledge check {path}` says what it lacks"
        )
    text = path.read_text(encoding="utf-8")
    edits = list(_edits(yaml.compose(text, Loader=yaml.SafeLoader), text))
    for start, end, new in sorted(edits, reverse=True):
        text = text[:start] + new + text[end:]
    bank = parse_bank(path, yaml.safe_load(text))
    return Upgraded(text, len(edits), tuple(check_bank(bank, (), None, f"knowledge bank {path}")))


def _edits(root: Any, text: str) -> Iterator[tuple[int, int, str]]:
    """(start, end, what stands there now) of every old list with its key."""
    for _, known in _items(_value(root, "classes")):
        for key, listed in _items(known):
            if key.value not in OLD_KEYS:
                continue
            if not isinstance(listed, yaml.SequenceNode):
                raise UserError(
                    f"knowledge bank line {key.start_mark.line + 1}: {key.value} holds no list of findings"
                )
            start, end = key.start_mark.index, listed.end_mark.index
            if listed.flow_style:
                items = text[listed.start_mark.index : end]
            else:  # a block ends where the next key begins: what stands between them stays
                dumped = yaml.safe_dump(
                    [item.value for item in listed.value], default_flow_style=True, width=10**6
                )
                items = dumped.strip()
                end = listed.value[-1].end_mark.index
            yield start, end, f"{OLD_KEYS[key.value]}: {{{REVIEW}: {items}}}"


def _items(node: Any) -> Iterator[tuple[Any, Any]]:
    if isinstance(node, yaml.MappingNode):
        yield from node.value


def _value(node: Any, wanted: str) -> Any:
    return next((value for key, value in _items(node) if key.value == wanted), None)
