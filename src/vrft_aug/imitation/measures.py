"""Counts and sizes that a text gives in figures, held against the thresholds of a bank's findings."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from vrft_aug.knowledge.bank_schema import Measure
from vrft_aug.knowledge.lexicon import Term, Token

Bound = Literal["exactly", "more", "less"]
_NUMBERS = {"one": 1, "two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7, "eight": 8, "nine": 9}
_NUMBERS |= {"ten": 10, "fifteen": 15, "twenty": 20, "thirty": 30, "single": 1, "both": 2}
_LENGTHS = {"cm": 1.0, "mm": 0.1, "centimetre": 1.0, "centimeter": 1.0, "millimetre": 0.1, "millimeter": 0.1}
_MORE = re.compile(
    r"(?:more than|over|above|at least|exceed\w*|larger than|greater than|bigger than|>|"
    r"≥)(?: (?:about|the))?$"
)
_LESS = re.compile(
    r"(?:less than|fewer than|smaller than|under|below|up to|at most|no (?:more|larger|greater) than|"
    r"<|≤)(?: about)?$"
)
_OR_MORE, _OR_LESS = re.compile(r"^(?:or more|and more|plus)"), re.compile(r"^(?:or (?:less|fewer|smaller))")
_EACH = frozenset({"each", "every", "per"})
_ENDS = frozenset(".;!?\n")


@dataclass(frozen=True)
class Measured:
    """A finding that a figure states or denies."""

    finding: str
    stated: bool
    of: Term  # what was measured
    start: int  # of the figure in the text
    end: int
    why: str


def measured(
    tokens: Sequence[Token], terms: Sequence[Term], wanted: Mapping[str, Measure]
) -> Iterator[Measured]:
    """Every finding of `wanted` that a figure decides; what a figure leaves undecided is left out.

    A figure belongs to the finding that it measures in its own part of the sentence, else to the nearest one
    of the sentence.
    """
    if not wanted:
        return
    numbers = [place for place, token in enumerate(tokens) if _number(token.word) is not None]
    inside = {place for term in terms for place in range(term.first, term.last)}
    for place in numbers:
        token = tokens[place]
        value = _number(token.word)
        if place in inside or value is None:
            continue
        first, last = _sentence(tokens, place)
        unit = _unit(tokens, place, first, last)
        if unit is None:
            continue
        bound = _bound(tokens, place, first, last)
        for name, measure in wanted.items():
            if unit != measure.unit and not (unit in _LENGTHS and measure.unit == "cm"):
                continue
            length = value * _LENGTHS[unit] if unit in _LENGTHS else value
            here = [term for term in terms if first <= term.first < last]
            if (
                unit in _LENGTHS
            ):  # a length is rarely of anything else; quadrants are of what stands next to them
                here = [term for term in here if term.finding in measure.of]
            if not here or (stated := _holds(measure, length, bound)) is None:
                continue
            of = min(here, key=lambda term: _distance(tokens, term, place))
            if of.finding in measure.of:
                yield Measured(
                    name, stated, of, token.start, token.end,
                    f"{bound.replace('exactly', '')} {token.word} {unit} is {'' if stated else 'not '}"
                    f"{_threshold(measure)}".strip(),
                )  # fmt: skip


def _number(word: str) -> float | None:
    if word in _NUMBERS:
        return _NUMBERS[word]
    return float(word.replace(",", ".")) if word[0].isdigit() else None


def _sentence(tokens: Sequence[Token], place: int) -> tuple[int, int]:
    first = place
    while first > 0 and tokens[first - 1].word not in _ENDS:
        first -= 1
    last = place
    while last < len(tokens) and tokens[last].word not in _ENDS:
        last += 1
    return first, last


def _unit(tokens: Sequence[Token], place: int, first: int, last: int) -> str | None:
    """What a number counts: cm, mm, `quadrant`, or `each quadrant`."""
    after = [token.word for token in tokens[place + 1 : min(last, place + 4)]]
    for word in after[:2]:
        if word.rstrip("s") in _LENGTHS:
            return word.rstrip("s")
    if "quadrants" in after[:3] or "quadrant" in after[:2]:
        return "quadrant"
    rest = [token.word for token in tokens[place + 1 : last]]
    around = {token.key for token in tokens[first:last]}
    each = _EACH & set(rest) or ("quadrant" in around and "all" in rest)
    return "each quadrant" if each and ("quadrant" in around or "each" in rest) else None


def _bound(tokens: Sequence[Token], place: int, first: int, last: int) -> Bound:
    before = " ".join(token.word for token in tokens[max(first, place - 4) : place])
    after = " ".join(token.word for token in tokens[place + 1 : min(last, place + 3)])
    if _LESS.search(before) or _OR_LESS.match(after):
        return "less"
    return "more" if _MORE.search(before) or _OR_MORE.match(after) else "exactly"


def _holds(measure: Measure, value: float, bound: Bound) -> bool | None:
    """Whether the finding is there, None where the figure leaves it open."""
    limit = measure.more_than if measure.more_than is not None else measure.at_least
    if limit is None:  # at most
        limit = measure.at_most or 0.0
        if bound == "more":
            return False if value >= limit else None
        if bound == "less":
            return True if value <= limit else None
        return value <= limit
    strictly = measure.more_than is not None
    if bound == "more":
        return True if value >= limit else None
    if bound == "less":
        return False if value <= limit else None
    return value > limit if strictly else value >= limit


def _threshold(measure: Measure) -> str:
    if measure.more_than is not None:
        return f"more than {measure.more_than:g} {measure.unit}"
    if measure.at_least is not None:
        return f"at least {measure.at_least:g} {measure.unit}"
    return f"at most {measure.at_most:g} {measure.unit}"


def _distance(tokens: Sequence[Token], term: Term, place: int) -> tuple[bool, bool, int]:
    """A term beyond a comma is further than any on this side; of those, what comes later is the furthest."""
    low, high = sorted((term.first, place))
    comma = any(token.word == "," for token in tokens[low:high])
    return comma, comma and term.first > place, abs(term.first - place)
