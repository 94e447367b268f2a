"""The facts of a bank one by one, each with a hash of what it says: what is reviewed, and what differs."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass

from vrft_aug.knowledge.bank_schema import (
    REVIEW,
    Finding,
    KnowledgeBank,
    facts,
    finding_facts,
    source_ids,
)

LENGTH = 12  # hexadecimal digits kept of a SHA-256


@dataclass(frozen=True)
class Fact:
    """One fact of a bank.

    Args:
        label: the class that it is told of; "" for the words of a finding, which are of the bank.
        which: which fact of the class, unique within it: `definition`, `typical 'haemorrhages'`.
        text: what it says.
        source: as the file names it; None where it leans on the bank's sources as a whole.
        digest: of all that a reviewer agrees to: class, kind, text and the sources in words.
        paid: whether the fact rewards pay by it; the others only enter prompts.
    """

    label: str
    which: str
    text: str
    source: str | None
    digest: str
    paid: bool

    @property
    def where(self) -> str:
        """The fact's address in the bank, for people."""
        return f"{self.label}: {self.which}" if self.label else self.which


def bank_facts(bank: KnowledgeBank) -> tuple[Fact, ...]:
    """The words of all findings, then the facts of every class, in the order of the file."""
    return (*_words(bank), *_of_classes(bank))


def bank_hash(bank: KnowledgeBank) -> str:
    """Of the whole content, comments and layout apart: 12 hexadecimal digits."""
    return _short(bank.model_dump_json().encode())


def _words(bank: KnowledgeBank) -> Iterator[Fact]:
    for name, finding in bank.findings.items():
        text = finding_text(finding)
        which = f"words of {name!r}"
        yield Fact("", which, text, None, _digest("", which, text, ()), paid=True)


def _of_classes(bank: KnowledgeBank) -> Iterator[Fact]:
    for label, known in bank.classes.items():
        paid = {which for which, _, _ in finding_facts(known)}
        for which, text, source in facts(known):
            kind = "attribute" if which.startswith("attribute ") else which  # in whatever place it stands
            digest = _digest(label, kind, text, _spelt_out(bank, source))
            yield Fact(label, which, text, source, digest, which in paid)


def finding_text(finding: Finding) -> str:
    """The words for a finding and what hangs on it, in a line; "no other words" where there are none."""
    parts = [
        f"{role} {', '.join(names)}"
        for role, names in (
            ("also:", finding.names),
            ("narrower:", finding.narrower),
            ("broader:", finding.broader),
            ("its kinds:", finding.includes),
            ("never together with:", finding.excludes),
        )
        if names
    ]
    if (measure := finding.measure) is not None:
        bounds = {"more than": measure.more_than, "at least": measure.at_least, "at most": measure.at_most}
        parts += [
            f"{' or '.join(measure.of)}, {said} {bound:g} {measure.unit}"
            for said, bound in bounds.items()
            if bound is not None
        ]
    return "; ".join(parts) or "no other words"


def source_words(bank: KnowledgeBank, source: str | None) -> str:
    """Where a fact is from, in words: what its ids stand for, that nobody has said, or the bank's own."""
    if source == REVIEW:
        return "nobody has named a source"
    if source is None:
        return "the bank's sources as a whole"
    named = bank.sources if isinstance(bank.sources, dict) else {}
    told = [named[one] for one in source_ids(source) or () if one in named]
    return f"{source}: {'; '.join(told)}" if told else source


def _spelt_out(bank: KnowledgeBank, source: str | None) -> tuple[str, ...]:
    """What the ids of a source stand for, with the place in it; the bank's sources where it names none."""
    if not isinstance(bank.sources, dict):
        return tuple(bank.sources)
    named = bank.sources
    told = (named[one] for one in source_ids(source or "") or () if one in named)
    return (*told, source or "")


def _digest(label: str, kind: str, text: str, sources: tuple[str, ...]) -> str:
    return _short(json.dumps([label, kind, text, *sources], ensure_ascii=False).encode())


def _short(content: bytes) -> str:
    return hashlib.sha256(len(content).to_bytes(8, "big") + content).hexdigest()[:LENGTH]
