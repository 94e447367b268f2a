"""The words of a bank's findings, found in a text: any case, number, spelling or hyphen, longest first."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Literal, NamedTuple

from vrft_aug.knowledge.bank_schema import Finding, KnowledgeBank, Measure

Breadth = Literal["exact", "narrower", "broader"]
WORD = re.compile(r"w/o\b|\d+(?:[.,]\d+)?|[^\W\d_]+(?:['’][^\W\d_]+)?|[.,;:!?()\n<>≤≥]|(?<=\s)[-–—](?=\s)")
# British to American, on both sides of every comparison.
_SPELLINGS = {"ae": "e", "oe": "e", "isation": "ization", "ised": "ized", "our": "or", "fibre": "fiber"}
_SPELLED_OUT = {
    "w/o": ("without",),
    "cannot": ("can", "not"),
    "can't": ("can", "not"),
    "won't": ("will", "not"),
}
_MARKS = frozenset(".,;:!?()\n<>≤≥")


class Token(NamedTuple):  # made for every word of every completion, which a dataclass is too slow for
    """A word or mark of a text: as triggers read it, as terms are compared, and where it stands."""

    word: str
    key: str
    start: int
    end: int


class Term(NamedTuple):
    """A finding by one of its names: tokens[first:last]."""

    finding: str
    breadth: Breadth
    first: int
    last: int


@dataclass
class _Node:
    next: dict[str, _Node] = field(default_factory=dict)
    meanings: tuple[tuple[str, Breadth], ...] = ()


@dataclass(frozen=True)
class Lexicon:
    """All names of a bank's findings, as a tree of words."""

    root: _Node
    findings: Mapping[str, Finding]
    measures: Mapping[str, Measure]  # of the findings that are a count or size of another
    readings: dict[str, Any] = field(default_factory=dict)  # text -> what was read, kept by whoever reads

    def terms(self, tokens: list[Token]) -> list[Term]:
        """Every finding that is named, from left to right; of names that overlap the longest, then the first.

        A broader word that several findings share is a term of each.
        """
        found: list[Term] = []
        place, first_words = 0, self.root.next
        while place < len(tokens):
            node = first_words.get(tokens[place].key)
            if node is None:
                place += 1
                continue
            end = place + 1
            meanings: tuple[tuple[str, Breadth], ...] = ()
            at = place + 1
            while node is not None:
                if node.meanings:
                    end, meanings = at, node.meanings
                node = node.next.get(tokens[at].key) if at < len(tokens) else None
                at += 1
            found += [Term(finding, breadth, place, end) for finding, breadth in meanings]
            place = end
        return found


def lexicon(bank: KnowledgeBank) -> Lexicon:
    """The words of a bank, made once for each."""
    kept = _KEPT.get(id(bank))
    if kept is None or kept[0] is not bank:
        while len(_KEPT) >= MOST_KEPT:
            _KEPT.pop(next(iter(_KEPT)))
        kept = _KEPT[id(bank)] = (bank, _lexicon(bank.findings))
    return kept[1]


MOST_KEPT = 64  # banks whose words are kept
_KEPT: dict[int, tuple[KnowledgeBank, Lexicon]] = {}  # the bank is held, so that its id stays its own


def tokenise(text: str) -> list[Token]:
    """The words, numbers and marks of a text in order; hyphens join nothing, other signs are left out."""
    return [
        Token(word, key, match.start(), match.end())
        for match in WORD.finditer(text)
        for word, key in _folded(match[0])
    ]


def term_key(name: str) -> tuple[str, ...]:
    """A name as it is compared; () where it holds no word."""
    return tuple(token.key for token in tokenise(name) if token.word not in _MARKS)


@lru_cache(maxsize=32_768)
def _folded(raw: str) -> tuple[tuple[str, str], ...]:
    """(word, key) of a token; two of them where a negation is written together."""
    word = unicodedata.normalize("NFKC", raw).casefold().replace("’", "'")
    if word in ("-", "–", "—"):
        word = ","
    if word in _MARKS:
        return ((word, word),)
    if word in _SPELLED_OUT:
        return tuple((part, part) for part in _SPELLED_OUT[word])
    if word.endswith("n't"):
        return ((word[:-3], word[:-3]), ("not", "not"))
    word = word.removesuffix("'s")
    key = word
    for british, american in _SPELLINGS.items():
        key = key.replace(british, american)
    return ((word, _singular(key)),)


def _singular(word: str) -> str:
    if len(word) > 4 and word.endswith("ies"):
        return f"{word[:-3]}y"
    if word.endswith(("sses", "xes", "ches", "shes")):
        return word[:-2]
    return (
        word[:-1] if len(word) > 3 and word.endswith("s") and not word.endswith(("ss", "us", "is")) else word
    )


def _lexicon(findings: Mapping[str, Finding]) -> Lexicon:
    root = _Node()
    for name, finding in findings.items():
        for breadth, words in (
            ("exact", (name, *finding.names)),
            ("narrower", finding.narrower),
            ("broader", finding.broader),
        ):
            for word in words:
                key = term_key(word)
                if not key:
                    continue
                node = root
                for part in key:
                    node = node.next.setdefault(part, _Node())
                meaning: tuple[str, Breadth] = (name, breadth)  # type: ignore[assignment]
                if not any(other == name for other, _ in node.meanings):
                    node.meanings = (*node.meanings, meaning)
    measures = {name: known.measure for name, known in findings.items() if known.measure is not None}
    return Lexicon(root, findings, measures)
