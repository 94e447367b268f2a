"""Labels that arrays and records hold: numbers, words, or a row of 1 and 0, to what is true of a case."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from vrft_aug.data.notes import some
from vrft_aug.errors import UserError, nearest, shown
from vrft_aug.nouns import Target, Task


def target_of(value: Any, task: Task, names: Mapping[str, str], classes: Sequence[str], where: str) -> Target:
    """The target of a value, a label or several: a number is a place in `classes` (the task's labels without
    them), a word is a name; `names` (label_names) translates either first. Raises UserError naming `where`.
    """
    if task.kind == "multilabel":
        return Target(labels=_several(value, task, names, classes, where))
    if isinstance(value, list | tuple):
        places = _ones(value, classes or task.labels, where)
        if len(places) != 1:
            raise UserError(
                f"{where}: {len(places)} of {len(value)} labels are 1; a {task.kind} task needs exactly one"
            )
        value = places[0]
    return Target(label=_label(value, task, names, classes, where))


def _several(
    value: Any, task: Task, names: Mapping[str, str], classes: Sequence[str], where: str
) -> frozenset[str]:
    known = classes or task.labels
    if not isinstance(value, list | tuple):
        raise UserError(
            f"{where} has label {shown(value)}; a multilabel task needs several: a list of names, or 1 and 0"
        )
    if (
        len(value) == len(known)
        and all(one in (0, 1) for one in value)
        and not all(isinstance(one, str) for one in value)
    ):
        value = _ones(value, known, where)
    found = [_label(one, task, names, classes, where) for one in value]
    if len(set(found)) < len(found):
        raise UserError(f"{where} has a label twice: {some(found)}")
    return frozenset(found)


def _ones(value: Sequence[Any], known: Sequence[str], where: str) -> list[int]:
    if len(value) != len(known) or not all(one in (0, 1) for one in value):
        raise UserError(
            f"{where} has {some([shown(one) for one in value])} ({len(value)} values); expected 1 or 0 for "
            f"each of "
            f"{len(known)} labels"
        )
    return [place for place, one in enumerate(value) if one == 1]


def _label(value: Any, task: Task, names: Mapping[str, str], classes: Sequence[str], where: str) -> str:
    if isinstance(value, bool | float) and math.isfinite(value) and value == int(value):
        value = int(value)
    if str(value) in names:
        name = names[str(value)]
    elif isinstance(value, int):
        known = classes or ([] if names else task.labels)
        if not 0 <= value < len(known):
            has = f"0 to {len(known) - 1}" if known else f"{some(list(names))} (data.label_names)"
            raise UserError(f"{where} has label {value}; expected {has}")
        name = names.get(known[value], known[value])
    else:
        name = str(value)
    for label in task.labels:
        if label.casefold() == name.strip().casefold():
            return label
    raise UserError(
        f"{where}: label {shown(name)} is not one of task {task.name!r}{nearest(name, task.labels)}; it has "
        f"{some(task.labels, 12)}"
    )
