"""Where two banks differ, fact by fact."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from vrft_aug.knowledge.bank_facts import Fact, bank_facts
from vrft_aug.knowledge.bank_schema import KnowledgeBank

Change = Literal["added", "removed", "changed"]
SIGNS: Mapping[Change, str] = {"added": "+", "removed": "-", "changed": "~"}


@dataclass(frozen=True)
class Difference:
    """One fact, name or line of the head that two banks do not share."""

    change: Change
    where: str
    before: str = ""
    after: str = ""

    def line(self) -> str:
        """In plain text."""
        told = {"added": self.after, "removed": self.before, "changed": f"{self.before} -> {self.after}"}
        return f"{SIGNS[self.change]} {self.where}: {told[self.change]}"


def bank_differences(one: KnowledgeBank, two: KnowledgeBank) -> list[Difference]:
    """From the first bank to the second: the head, names of classes, words of findings, facts.

    A fact that has moved within its list has not changed; one that moved to another list, or has another
    source, has.
    """
    return [*_compared(_head(one), _head(two)), *_facts(one, two)]


def _facts(one: KnowledgeBank, two: KnowledgeBank) -> Iterator[Difference]:
    before, after = _by_place(one), _by_place(two)
    # What says the same under another number is the same attribute.
    kept = {fact.digest for fact in before.values()} & {fact.digest for fact in after.values()}
    yield from _compared(
        {where: _told(fact) for where, fact in before.items() if fact.digest not in kept},
        {where: _told(fact) for where, fact in after.items() if fact.digest not in kept},
    )


def _by_place(bank: KnowledgeBank) -> dict[str, Fact]:
    return {fact.where: fact for fact in bank_facts(bank)}


def _told(fact: Fact) -> str:
    return f"{fact.text} ({fact.source})" if fact.source is not None else fact.text


def _head(bank: KnowledgeBank) -> dict[str, str]:
    head = {
        "name": bank.name,
        "title": bank.title,
        "author": bank.author,
        "reviewed": str(bank.reviewed).lower(),
        "reviewer": bank.reviewer or "",
        "coexist": str(bank.coexist).lower(),
    }
    named = bank.sources.items() if isinstance(bank.sources, dict) else enumerate(bank.sources, start=1)
    head |= {f"source {name}": text for name, text in named}
    head |= {f"official label {name!r}": label for name, label in bank.official_labels.items()}
    for label, known in bank.classes.items():
        for breadth, names in known.synonyms.model_dump().items():
            head |= {f"{label}: {breadth} name {name!r}": "yes" for name in names}
    return {where: text for where, text in head.items() if text}


def _compared(before: Mapping[str, str], after: Mapping[str, str]) -> Iterator[Difference]:
    for where in dict.fromkeys([*before, *after]):
        if where not in after:
            yield Difference("removed", where, before=before[where])
        elif where not in before:
            yield Difference("added", where, after=after[where])
        elif before[where] != after[where]:
            yield Difference("changed", where, before[where], after[where])
