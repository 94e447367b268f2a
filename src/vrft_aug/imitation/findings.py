"""Findings that a text states or denies, read through the words of a bank, with where and why."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import NamedTuple

from vrft_aug.imitation.measures import measured
from vrft_aug.imitation.negation import FINDING, Polarity, Verdict, verdicts
from vrft_aug.knowledge.bank_schema import KnowledgeBank
from vrft_aug.knowledge.lexicon import Breadth, Lexicon, Term, lexicon, tokenise

MAX_CHARACTERS = 20_000  # of a text that is read; the rest is ignored
MOST_KEPT = (
    1024  # readings of a bank: both fact rewards and the figures of an evaluation ask for the same texts
)


class Mention(NamedTuple):
    """A finding that a text names: text[start:end]."""

    finding: str
    start: int
    end: int
    polarity: Polarity
    why: str = ""
    side: str | None = None
    breadth: Breadth = "exact"
    placed: bool = False  # of a denial: only for a place that is named after it


@dataclass(frozen=True)
class Reading:
    """All mentions of a text in order, and the canonical names that follow from them."""

    mentions: tuple[Mention, ...]
    alternatives: frozenset[frozenset[str]] = frozenset()  # pairs that an "or" leaves open: "oval or round"

    @cached_property
    def present(self) -> frozenset[str]:
        """What is said to be there."""
        return frozenset(one.finding for one in self.mentions if one.polarity == "present")

    @cached_property
    def absent(self) -> frozenset[str]:
        """What is said not to be there: as a whole, so a denial for one side is none."""
        sides: dict[str, set[str | None]] = {}
        for one in self.mentions:
            if one.polarity == "absent" and not (one.placed and one.finding in self.present):
                sides.setdefault(one.finding, set()).add(one.side)
        return frozenset(name for name, told in sides.items() if told & {None, "both"} or len(told) > 1)


def read_findings(text: str, bank: KnowledgeBank) -> Reading:
    """What a text says of the findings of a bank.

    Whole words in any case, in singular or plural, British or American, hyphenated or not. "No a, b or c",
    "neither a nor b", "a and b are absent" deny all of a list; "no a, some b" denies a alone. What "cannot
    be ruled out", was there before, or is told of another case ("unlike melanoma, ...") is neither said nor
    denied. A narrower word is read as the finding where it is stated, a broader one where it is denied.
    """
    words = lexicon(bank)
    if (kept := words.readings.get(text)) is None:
        if len(words.readings) >= MOST_KEPT:
            words.readings.clear()
        kept = words.readings[text] = _read(text[:MAX_CHARACTERS], words)
    reading: Reading = kept
    return reading


def _read(text: str, words: Lexicon) -> Reading:
    tokens = tokenise(text)
    terms = words.terms(tokens)
    if not terms:
        return Reading(())
    parts: list[str] = []
    at = 0
    for number, term in enumerate(terms):
        if number and term.first == terms[number - 1].first:
            continue  # a second meaning of the same words: it shares their verdict
        parts += [token.word for token in tokens[at : term.first]]
        parts.append(f"{FINDING}{number}")
        at = term.last
    parts += [token.word for token in tokens[at:]]
    judged = dict(verdicts(" ".join(parts)))
    mentions: list[Mention] = []
    last = Verdict("present")
    for number, term in enumerate(terms):
        last = judged.get(number, last)
        mentions.append(_mention(term, last, tokens[term.first].start, tokens[term.last - 1].end))
    pairs = []
    for number, (term, after) in enumerate(pairwise(terms)):
        between = {token.word for token in tokens[term.last : after.first]}
        if between & _OR and between <= _OR | _BESIDE_OR:
            pairs.append(frozenset({term.finding, after.finding}))
        elif not between and after.finding in words.findings[term.finding].includes:
            one = mentions[number]
            if (
                one.polarity == "absent" and term.first != after.first
            ):  # "no deposit within one disc diameter"
                mentions[number] = one._replace(polarity="open", why="denied for a place or kind alone")
    places = {id(term): index for index, term in enumerate(terms)}
    for figure in measured(tokens, terms, words.measures):
        of = mentions[places[id(figure.of)]]
        if of.polarity == "open" and of.why != _FIGURE:
            continue
        if of.polarity == "absent":  # "no opacity of more than 3 cm": the size is denied, not the opacity
            mentions[places[id(figure.of)]] = of._replace(polarity="open", why=_FIGURE)
            if not figure.stated:
                continue
            polarity: Polarity = "absent"
        else:
            polarity = "present" if figure.stated else "absent"
        mentions.append(Mention(figure.finding, figure.start, figure.end, polarity, figure.why, of.side))
    return Reading(tuple(sorted(mentions, key=lambda one: one.start)), frozenset(pairs))


_OR = frozenset({"or", "sometimes"})  # between two findings of which either may be meant
_BESIDE_OR = frozenset((",", "(", ")", "less", "more", "mostly", "often", "a", "an"))
_FIGURE = "denied for a count or size alone"


def _mention(term: Term, verdict: Verdict, start: int, end: int) -> Mention:
    polarity, why = verdict.polarity, verdict.why
    if term.breadth == "narrower" and polarity == "absent":
        polarity, why = "open", "a narrower word is denied"
    elif term.breadth == "broader" and polarity == "present":
        polarity, why = "open", "a broader word is stated"
    return Mention(term.finding, start, end, polarity, why, verdict.side, term.breadth, verdict.placed)


def named(names: frozenset[str], bank: KnowledgeBank) -> frozenset[str]:
    """Names that data give, as the bank calls them; those it has no word for are left out."""
    return frozenset(_named(names, bank))


def _named(names: frozenset[str], bank: KnowledgeBank) -> Iterator[str]:
    for name in names:
        if name in bank.findings:
            yield name
        else:
            yield from read_findings(name, bank).present
