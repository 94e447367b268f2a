"""Who reads which case when: conditions dealt evenly, orders drawn by seed, each reader their own.

Cases are ranked by class and, within it, by seed; each reader begins every second rank with the model's
answer, and the next reader the others, so that classes and readers are balanced over conditions. In the
second session of a crossover each case comes in the other condition. Nothing depends on the answers.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from vrft_aug.reader_study.protocol import Condition, Protocol

Doing = Literal["unaided", "aided", "rating"]


@dataclass(frozen=True)
class Slot:
    """One thing that a reader does: a case in a condition, or the rating of its reasons."""

    place: int  # in the reader's own order, from 0
    session: int  # from 1
    case: int  # its number in the study's cases
    doing: Doing


def drawn_cases(strata: Sequence[str], limit: int | None, seed: int) -> list[int]:
    """Numbers of at most `limit` cases, in their order: in turn one of each stratum, within it by seed."""
    if limit is None or limit >= len(strata):
        return list(range(len(strata)))
    order = _ranked(strata, f"{seed}/cases")
    by_stratum: dict[str, list[int]] = {}
    for number in order:
        by_stratum.setdefault(strata[number], []).append(number)
    chosen: list[int] = []
    while len(chosen) < limit:
        for numbers in by_stratum.values():
            if numbers and len(chosen) < limit:
                chosen.append(numbers.pop(0))
    return sorted(chosen)


def schedule(
    protocol: Protocol, strata: Sequence[str], rated: Sequence[int], reader: int
) -> tuple[Slot, ...]:
    """All that the reader of that number (from 0) does, in order.

    `strata` are the classes of the study's cases, one a case; `rated` the numbers of the cases whose reasons
    are rated.
    """
    rank = {number: place for place, number in enumerate(_ranked(strata, f"{protocol.seed}/deal"))}
    slots: list[Slot] = []
    for session in range(1, protocol.reading_sessions + 1):
        dealt = [(number, _condition(protocol, rank[number], reader, session)) for number in rank]
        _mixer(protocol, reader, session).shuffle(dealt)
        if protocol.order == "blocks":
            first = protocol.conditions[(reader // 2 + session - 1) % len(protocol.conditions)]
            dealt.sort(key=lambda one: one[1] != first)  # stable: the order within a block stays drawn
        slots += [Slot(len(slots) + i, session, number, doing) for i, (number, doing) in enumerate(dealt)]
    last, numbers = protocol.reading_sessions + 1, list(rated)
    _mixer(protocol, reader, last).shuffle(numbers)
    return (*slots, *(Slot(len(slots) + i, last, number, "rating") for i, number in enumerate(numbers)))


def _condition(protocol: Protocol, rank: int, reader: int, session: int) -> Condition:
    if len(protocol.conditions) == 1:
        return protocol.conditions[0]
    return protocol.conditions[(rank + reader + session) % 2]


def _mixer(protocol: Protocol, reader: int, session: int) -> random.Random:
    return random.Random(f"{protocol.seed}/{protocol.readers[reader]}/{session}")


def _ranked(strata: Sequence[str], seed: str) -> list[int]:
    """All numbers, stratum by stratum, within each in an order drawn by seed."""
    found: list[int] = []
    for stratum in sorted(set(strata)):
        numbers = [number for number, other in enumerate(strata) if other == stratum]
        random.Random(f"{seed}/{stratum}").shuffle(numbers)
        found += numbers
    return found
