"""A knowledge bank as a table of findings by classes: what a clinician would review in ten minutes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from vrft_aug.files import write_text
from vrft_aug.imitation.facts import Standing, standing
from vrft_aug.knowledge.bank_facts import Fact, finding_text, source_words
from vrft_aug.knowledge.bank_schema import RELATIONS, REVIEW, WHOLE, ClassKnowledge, KnowledgeBank
from vrft_aug.knowledge.finding_graph import NO, FindingGraph, finding_graph
from vrft_aug.knowledge.review import ReviewState, load_review
from vrft_aug.page_templates import page_templates

Said = Literal["typical", "may", "unlikely", "excludes", ""]
LETTERS: Mapping[str, str] = {
    "typical": "T", "may": "m", "unlikely": "u", "excludes": "X", "absent": "A", "": ".",
}  # fmt: skip
LEGEND: Mapping[str, str] = {
    "typical": "typical: to say it is paid",
    "may": "may be there: says nothing",
    "unlikely": "unlikely: to say it costs a little",
    "excludes": "excluded by the definition: to say it is a contradiction",
    "absent": "typically absent: to deny it is paid",
    "": "the bank says nothing",
}
_SAID: Mapping[Standing, Said] = {
    "right": "typical", "nothing": "may", "unlikely": "unlikely", "contradiction": "excludes", "open": "",
}  # fmt: skip


@dataclass(frozen=True)
class Cell:
    """What a class says of a finding."""

    said: Said
    listed: bool = False  # in a list of the class; else it follows from what the finding is a kind of
    defining: bool = False  # one of a group of which to deny all is to deny the class
    denied: bool = False  # its absence is typical
    source: str = ""  # an id; `review` where nobody has named one
    agreed: bool = False
    disputed: bool = False

    @property
    def unsourced(self) -> bool:
        """Whether it stands in a list and nobody has said where from."""
        return self.listed and self.source == REVIEW

    @property
    def short(self) -> str:
        """Two or three letters for a terminal: (X) follows, T* defines, m? has no source."""
        letter = LETTERS[self.said] if self.said or not self.denied else ""
        letter += LETTERS["absent"] if self.denied else ""
        if not self.listed:
            return f"({letter})" if letter != LETTERS[""] else letter
        return letter + ("*" if self.defining else "") + ("?" if self.unsourced else "")

    @property
    def title(self) -> str:
        """In words."""
        told = [LEGEND[self.said]] if self.said or not self.denied else []
        told += [LEGEND["absent"]] if self.denied else []
        told += ["one of those that define the class"] if self.defining else []
        if self.listed:
            told.append(f"source: {self.source or 'the bank’s sources as a whole'}")
        elif self.said or self.denied:
            told.append("follows from what it is a kind of")
        return "; ".join(told)


@dataclass(frozen=True)
class FindingRow:
    """A finding with the words for it, and its cell in every class."""

    finding: str
    words: str
    cells: tuple[Cell, ...]


@dataclass(frozen=True)
class Told:
    """A definition, an attribute or a difference: what enters prompts."""

    which: str
    text: str
    source: str
    state: Literal["agreed", "disputed", "unread"]


@dataclass(frozen=True)
class Matrix:
    """All of a bank, laid out."""

    bank: KnowledgeBank
    labels: tuple[str, ...]
    rows: tuple[FindingRow, ...]
    told: Mapping[str, tuple[Told, ...]]  # label -> its texts
    sources: Mapping[str, str]
    review: str  # in a line


def bank_matrix(name: str, bank: KnowledgeBank) -> Matrix:
    """Lay out a bank with the reviews beside it; UserError where its findings lead nowhere or in a circle."""
    graph, state = finding_graph(bank), load_review(name)
    facts = {(fact.label, fact.which): fact for fact in state.facts}
    columns = [_column(bank, label, graph, facts, state) for label in bank.classes]
    rows = [
        FindingRow(finding, finding_text(known), tuple(column[finding] for column in columns))
        for finding, known in bank.findings.items()
    ]
    sources = bank.sources if isinstance(bank.sources, dict) else dict.fromkeys(bank.sources, "")
    told = {label: tuple(_told(bank, label, state)) for label in bank.classes}
    return Matrix(bank, tuple(bank.classes), tuple(rows), told, sources, state.line())


def matrix_lines(matrix: Matrix) -> list[str]:
    """For a terminal: a line a finding, numbered columns, and what the letters mean."""
    lines = [f"{matrix.bank.title} ({matrix.bank.name}); {matrix.review}"]
    lines += [f"{number:>3} {label}" for number, label in enumerate(matrix.labels, start=1)]
    width = min(48, max((len(row.finding) for row in matrix.rows), default=0))
    lines.append(" " * width + "".join(f"{number:>5}" for number in range(1, len(matrix.labels) + 1)))
    lines += [
        f"{row.finding[:width]:<{width}}" + "".join(f"{cell.short:>5}" for cell in row.cells)
        for row in matrix.rows
    ]
    lines += [f"{letter} {LEGEND[said]}" for said, letter in LETTERS.items()]
    lines.append(
        "(X) follows from what the finding is a kind of; * defines the class; ? nobody has named a source"
    )
    return lines + [f"{name}: {text}" if text else name for name, text in matrix.sources.items()]


def write_matrix(matrix: Matrix, path: Path) -> None:
    """A page of its own: coloured, nothing loaded from elsewhere, everything from the bank escaped."""
    template = page_templates("report").get_template("matrix.html")
    kicker = f"Knowledge bank {matrix.bank.name}"
    page = template.render(
        matrix=matrix, legend=LEGEND, letters=LETTERS, title=matrix.bank.title, kicker=kicker
    )
    write_text(path, page)


def _column(
    bank: KnowledgeBank,
    label: str,
    graph: FindingGraph,
    facts: Mapping[tuple[str, str], Fact],
    state: ReviewState,
) -> dict[str, Cell]:
    known, view = bank.classes[label], graph.classes[label]
    listed = _listed(known)
    column = {}
    for finding in bank.findings:
        which, source = listed.get(finding) or listed.get(NO + finding) or ("", "")
        digest = facts[label, which].digest if which else ""
        column[finding] = Cell(
            _SAID[standing(finding, view, graph)],
            bool(which),
            any(finding in group for group in known.groups),
            bool(graph.above[finding] & view.typically_absent),
            source,
            digest in state.agreed,
            digest in state.disputed,
        )
    return column


def _listed(known: ClassKnowledge) -> dict[str, tuple[str, str]]:
    """Entry of a list -> (which fact of the class that is, its source)."""
    return {
        name: (f"{relation} {name!r}", "" if source == WHOLE else source)
        for relation in RELATIONS
        for source, names in getattr(known, relation).items()
        for name in names
    }


def _told(bank: KnowledgeBank, label: str, state: ReviewState) -> Iterator[Told]:
    for fact in state.facts:
        if fact.label == label and not fact.paid:
            seen: Literal["agreed", "disputed", "unread"] = "unread"
            if fact.digest in state.agreed:
                seen = "agreed"
            elif fact.digest in state.disputed:
                seen = "disputed"
            yield Told(fact.which, fact.text, source_words(bank, fact.source), seen)
