"""What a bank makes of sentences: the findings read, how each stands to the class, and what is paid."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from vrft_aug.errors import UserError, nearest, shown
from vrft_aug.imitation.facts import Judged, class_view, judge_class
from vrft_aug.imitation.findings import Mention, read_findings
from vrft_aug.knowledge.bank_schema import KnowledgeBank
from vrft_aug.knowledge.finding_graph import finding_graph
from vrft_aug.labels import normalise

EXPECTED = 'expected {"class": LABEL, "text": SENTENCE}'
# How a finding that is stated stands to the class, for a person; and one that is denied.
STATED = {
    "right": "speaks for the class",
    "nothing": "may be there, says nothing",
    "open": "the bank says nothing of it here",
    "unlikely": "speaks against the class",
    "contradiction": "the class excludes it",
}
DENIED = {**STATED, "right": "its absence speaks for the class", "nothing": "its absence says nothing"}


@dataclass(frozen=True)
class ReadFinding:
    """A finding that a sentence names: text[start:end]."""

    finding: str
    words: str
    start: int
    end: int
    polarity: str  # present, absent or open
    why: str  # what makes it absent or open; "" where its being named is all
    side: str | None
    standing: str  # of STATED or DENIED; "not counted" where the sentence leaves it open


@dataclass(frozen=True)
class Tried:
    """A line of the file with what came out."""

    line: int
    answered: str | tuple[str, ...]  # `class` in the file: a label, or several
    text: str
    consistency: float
    findings: tuple[ReadFinding, ...]
    clashes: tuple[str, ...]

    def as_json(self) -> dict[str, Any]:
        """As it is printed, with `class` for the label."""
        values = asdict(self)
        return {"line": values.pop("line"), "class": values.pop("answered"), **values}

    def lines(self) -> list[str]:
        """In plain text: what is paid, then a line for every finding and every clash."""
        label = self.answered if isinstance(self.answered, str) else ", ".join(self.answered) or "none"
        told = [f"{self.consistency:.2f}  {label}: {self.text}"]
        for one in self.findings:
            name = one.finding if one.words.casefold() == one.finding else f"{one.finding} (“{one.words}”)"
            why = f", {one.why}" if one.why else ""
            told.append(f"      {one.polarity} {name} at {one.start}-{one.end}{why}: {one.standing}")
        if not self.findings:
            told.append("      no finding of the bank is named")
        return told + [f"      {clash}" for clash in self.clashes]


def try_file(bank: KnowledgeBank, path: Path, silence: float = 0.0) -> list[Tried]:
    """Every line of a JSON-lines file of `class` and `text`, judged as the reward `consistency` judges it.

    `class` is a label, one of the names that the bank has for it, or a list of labels where the bank says
    that they coexist. Raises UserError, naming file and line, for the first line that is none.
    """
    try:
        content = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path} cannot be read as UTF-8 text: {error}") from None
    tried = []
    names = _class_names(bank)
    for number, line in enumerate(content.split("\n"), start=1):
        if line.strip():
            answered, text = _read_line(line, f"{path} line {number}", bank, names)
            tried.append(try_text(bank, answered, text, silence, number))
    if not tried:
        raise UserError(f"{path} is empty; {EXPECTED} a line")
    return tried


def try_text(
    bank: KnowledgeBank, answered: str | tuple[str, ...], text: str, silence: float = 0.0, line: int = 1
) -> Tried:
    """One sentence told of a class, or of several that are true together."""
    graph = finding_graph(bank)
    said = read_findings(text, bank)
    value = answered if isinstance(answered, str) else frozenset(answered)
    judged = judge_class(said, class_view(graph, value), graph)
    findings = tuple(_read(one, text, judged) for one in said.mentions)
    return Tried(line, answered, text, round(judged.value(silence), 4), findings, judged.clashes)


def _read(one: Mention, text: str, judged: Judged) -> ReadFinding:
    held, told = (judged.denied, DENIED) if one.polarity == "absent" else (judged.stated, STATED)
    counted = one.polarity != "open" and one.finding in held
    standing = told[held[one.finding]] if counted else "not counted"
    words = text[one.start : one.end]
    return ReadFinding(one.finding, words, one.start, one.end, one.polarity, one.why, one.side, standing)


def _class_names(bank: KnowledgeBank) -> dict[str, str]:
    names = {normalise(name): label for name, label in bank.official_labels.items()}
    for label, known in bank.classes.items():
        names |= {normalise(name): label for name in (label, *known.synonyms.exact)}
    return names


def _read_line(
    line: str, where: str, bank: KnowledgeBank, names: dict[str, str]
) -> tuple[str | tuple[str, ...], str]:
    try:
        content = json.loads(line)
    except ValueError as error:
        raise UserError(f"{where} is no JSON: {error}; {EXPECTED}") from None
    if not isinstance(content, dict):
        raise UserError(f"{where} is {shown(content)}; {EXPECTED}")
    if unknown := [key for key in content if key not in ("class", "text", "bank")]:
        raise UserError(f"{where} has the key {unknown[0]!r}; {EXPECTED}")
    text, given = content.get("text"), content.get("class")
    if not isinstance(text, str) or not text.strip():
        raise UserError(f"{where}: text is {shown(text)}; {EXPECTED}")
    if content.get("bank", bank.name) != bank.name:
        raise UserError(
            f"{where} is for bank {shown(content['bank'])}, and this is {bank.name!r}; keep a file for each"
        )
    several = isinstance(given, list)
    if several and not bank.coexist:
        raise UserError(
            f"{where}: class is a list, but the classes of bank {bank.name!r} do not coexist; give one label"
        )
    labels = []
    for one in given if isinstance(given, list) else [given]:
        label = names.get(normalise(one)) if isinstance(one, str) else None
        if label is None:
            close = nearest(str(one), bank.classes) or f"; expected one of {', '.join(bank.classes)}"
            raise UserError(f"{where}: class {shown(one)} is none of bank {bank.name!r}{close}")
        labels.append(label)
    return (tuple(labels) if several or bank.coexist else labels[0]), text
