"""Findings that a text states: through a vocabulary with synonyms, and with negation.

A rule-based reader in the line of NegEx (Chapman et al., J Biomed Inform 2001): triggers before or after a
finding deny it, as far as the clause or a turn in the list goes. Words that no trigger reaches are taken
as stated, hedges included, so that "perhaps" does not make a guess free.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache

Vocabulary = Mapping[str, tuple[str, ...]]  # canonical finding -> synonyms
MAX_CHARACTERS = 20_000  # of a text that is read; the rest is ignored

_FINDING, _BEFORE, _AFTER, _OPEN = "\ue000", "\ue001", "\ue002", "\ue003"  # private letters: no text has them
_SEEN = r"(?:seen|present|visible|evident|found|observed|noted|identified|detected|apparent|there|shown)"
_BE = r"(?:is|are|was|were|be|been|being|has|have|had|can|could|do|does|did)"
_NO_NEGATION = (
    r"not (?:only|just|merely|simply|necessarily)|(?:no|without) (?:a )?(?:doubt|question|change)|"
    r"no (?:more|fewer|less) than|nothing (?:but|except)|"
    rf"no (?:other|further|additional) (?:{_FINDING}\d+|\w+)"
)
_UNDECIDED = (
    r"(?:can not|not|never) (?:yet )?(?:be |been )?(?:ruled out|excluded|rule out|exclude)|"
    r"(?:to|must|should) (?:rule out|exclude)|rule out"
)
_DENIED_AFTER = (
    rf"(?:{_BE} ){{0,3}}(?:not|never) (?:{_BE} ){{0,3}}{_SEEN}|"
    rf"(?:{_BE} ){{0,3}}(?:absent|missing|lacking|ruled out|excluded)|: (?:none|no|absent|negative)\b"
)
_DENIED_BEFORE = (
    r"no (?:signs?|evidence|traces?|indication) of|(?:absence|lack) of|(?:free|devoid|clear) (?:of|from)|"
    r"negative for|none of|neither|nor|no|not|never|without|lacks|lack|lacking|denies|can not"
)
_MARKS = [
    (re.compile(rf"(?<!\w)(?:{pattern})(?!\w)"), f" {mark} ")
    for pattern, mark in (
        (_NO_NEGATION, ""),
        (_UNDECIDED, _OPEN),
        (_DENIED_AFTER, _AFTER),
        (_DENIED_BEFORE, _BEFORE),
    )
]
_TURNS = "but however although though whereas while yet except besides instead"
_CLAUSE = re.compile(rf"[.;!?\n]+|\b(?:{_TURNS.replace(' ', '|')}|other than|apart from)\b")
_TOKEN = re.compile(rf"{_FINDING}\d+|[{_BEFORE}{_AFTER}{_OPEN}]|\w+|,")
_JOINS = frozenset({",", "and", "or", "plus"})
_QUANTITIES = frozenset(("a", "an", "the", "few", "some", "many", "several", "numerous", "multiple", "only"))
_QUANTITIES |= {"scattered", "there", "also", "one", "two", "it", "i", "mild", "marked"}
_VERBS = frozenset(("is", "are", "was", "were", "has", "have", "shows", "show"))
_VERBS |= {"seen", "present", "visible", "noted", "found"}
_ENDS = _VERBS | {"with", _AFTER, _OPEN}
# British to American, on both sides of every comparison.
_SPELLINGS = {"ae": "e", "oe": "e", "isation": "ization", "ised": "ized", "our": "or", "fibre": "fiber"}


@dataclass(frozen=True)
class Mentions:
    """Canonical names of what a text says is there, and is not there; in both where it contradicts itself."""

    present: frozenset[str]
    absent: frozenset[str]


def mentions(text: str, vocabulary: Vocabulary) -> Mentions:
    """What a text states of the findings of a vocabulary.

    Whole words in any case, in singular or plural, British or American, hyphenated or not. "No a, b or c",
    "neither a nor b", "a and b are absent" deny all of a list; "no a, some b" denies a alone. What "cannot
    be ruled out" is neither said nor denied.
    """
    numbers, pattern = _compiled(tuple((name, tuple(others)) for name, others in vocabulary.items()))
    if pattern is None:
        return Mentions(frozenset(), frozenset())
    folded = _fold(text[:MAX_CHARACTERS])
    marked = pattern.sub(lambda found: f" {_FINDING}{numbers[_key(found.group())]} ", folded)
    said: dict[bool, set[str]] = {True: set(), False: set()}
    order = list(vocabulary)
    for clause in _CLAUSE.split(marked):
        for number, stated in _read_clause(clause):
            said[stated].add(order[number])
    return Mentions(frozenset(said[True]), frozenset(said[False]))


def _read_clause(clause: str) -> Iterable[tuple[int, bool]]:
    """(number of the finding, whether it is stated) for every finding of a clause that is decided."""
    clause = " ".join(clause.split())
    for pattern, mark in _MARKS:
        clause = pattern.sub(mark, clause)
    tokens = _TOKEN.findall(clause)
    verdicts = dict.fromkeys((place for place, token in enumerate(tokens) if token[0] == _FINDING), "stated")
    for place, token in enumerate(tokens):
        if token == _BEFORE or (token == _AFTER and not any(at < place for at in verdicts)):
            _deny(_forward(tokens, place), verdicts)
        elif token == _AFTER:
            _deny(_backward(tokens, place), verdicts)
        elif token == _OPEN:
            for found in _forward(tokens, place) or _backward(tokens, place):
                verdicts[found] = "open"
    for place, verdict in verdicts.items():
        if verdict != "open":
            yield int(tokens[place][1:]), verdict == "stated"


def _deny(places: Iterable[int], verdicts: dict[int, str]) -> None:
    """Denied, unless it has been left open."""
    for place in places:
        if verdicts[place] != "open":
            verdicts[place] = "denied"


def _forward(tokens: list[str], start: int) -> list[int]:
    """Places of the findings that a trigger before them reaches; two triggers in a row undo each other."""
    if tokens[start : start + 2] == [_BEFORE, _BEFORE]:  # "no absence of", "not without"
        tokens[start] = tokens[start + 1] = "and"
        return []
    reached: list[int] = []
    for place in range(start + 1, len(tokens)):
        token, after = tokens[place], tokens[place + 1] if place + 1 < len(tokens) else ""
        if token[0] == _FINDING:
            if reached and after in ("only", "alone"):
                break
            reached.append(place)
        elif token == _BEFORE or (token in _JOINS and after in _QUANTITIES) or (reached and token in _ENDS):
            break
    return reached


def _backward(tokens: list[str], start: int) -> list[int]:
    """Places of the findings that a trigger after them reaches: the last one, and the list that it ends."""
    reached: list[int] = []
    listed = False
    for place in range(start - 1, -1, -1):
        token = tokens[place]
        if token[0] == _FINDING:
            reached.append(place)
        elif token in ("and", "or", _BEFORE):
            listed = True
        elif token in _VERBS or token in (_AFTER, _OPEN) or (token == "," and reached and not listed):
            break
    return reached


def _fold(text: str) -> str:
    """As both sides are compared: NFKC, lower case, one spelling, hyphens as spaces, "n't" as not."""
    text = unicodedata.normalize("NFKC", text).casefold().replace("’", "'")
    text = re.sub(rf"[{_FINDING}-{_OPEN}]", "", text)
    text = text.replace("cannot", "can not").replace("can't", "can not").replace("n't", " not")
    text = text.replace("w/o", "without")
    for british, american in _SPELLINGS.items():
        text = text.replace(british, american)
    return re.sub(r"[-‐‑_/]", " ", text)


def _key(text: str) -> str:
    """The folded text without plural endings and with single spaces."""
    return " ".join(_singular(word) for word in text.split())


def _singular(word: str) -> str:
    if len(word) > 4 and word.endswith("ies"):
        return f"{word[:-3]}y"
    if word.endswith(("sses", "xes", "ches", "shes")):
        return word[:-2]
    return word[:-1] if len(word) > 3 and word.endswith("s") and not word.endswith("ss") else word


def _either_number(word: str) -> str:
    """A pattern of a singular word and its plural."""
    return rf"{re.escape(word[:-1])}(?:y|ies)" if word.endswith("y") else rf"{re.escape(word)}(?:es|s)?"


@lru_cache(maxsize=64)
def _compiled(
    vocabulary: tuple[tuple[str, tuple[str, ...]], ...],
) -> tuple[dict[str, int], re.Pattern[str] | None]:
    """Number of the finding by the key of each of its names, and the pattern of them all, longest first."""
    numbers: dict[str, int] = {}
    for number, (name, others) in enumerate(vocabulary):
        for term in (name, *others):
            if key := _key(_fold(term)):
                numbers.setdefault(key, number)
    if not numbers:
        return {}, None
    terms = (r"\s+".join(map(_either_number, key.split())) for key in sorted(numbers, key=_longest))
    return numbers, re.compile(rf"(?<!\w)(?:{'|'.join(terms)})(?!\w)")


def _longest(key: str) -> int:
    return -len(key)
