"""Sentences whose findings are labelled by hand as stated, denied, hedged or neither."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from vrft_aug.knowledge.bank_schema import KnowledgeBank

FILE = Path(__file__).parents[1] / "imitation" / "negation_sentences.txt"
LABELLED = re.compile(r"\{([-+~?])([^{}]*)\}")


@dataclass(frozen=True)
class Labelled:
    """A finding in a sentence, text[start:end], and what the sentence says of it: one of + - ~ ?"""

    text: str
    start: int
    end: int
    label: str
    held_out: bool


def labelled() -> Iterator[Labelled]:
    """Every labelled finding, in the order of the file."""
    held_out = False
    for line in FILE.read_text(encoding="utf-8").splitlines():
        if line.startswith("#"):
            held_out = held_out or "held out" in line
            continue
        text, spans, at = "", [], 0
        for match in LABELLED.finditer(line):
            text += line[at : match.start()]
            spans.append((len(text), len(text) + len(match[2]), match[1]))
            text += match[2]
            at = match.end()
        text += line[at:]
        for start, end, label in spans:
            yield Labelled(text, start, end, label, held_out)


def words_of_the_sentences() -> list[str]:
    """Every finding that is labelled, in its words."""
    return sorted({one.text[one.start : one.end].casefold() for one in labelled()})


def bank_of_the_sentences() -> KnowledgeBank:
    """A bank that has those words, singular and plural as one finding."""
    names: dict[str, list[str]] = {}
    for word in words_of_the_sentences():
        names.setdefault(word.removesuffix("s"), []).append(word)
    return KnowledgeBank.model_validate(
        {
            "name": "sentences", "title": "t", "author": "a", "reviewed": False, "sources": [],
            "findings": names, "classes": {},
        }
    )  # fmt: skip


@dataclass(frozen=True)
class Share:
    """Precision, recall and F1 of the findings that are called denied."""

    precision: float
    recall: float
    wrong: tuple[Labelled, ...]

    @property
    def f1(self) -> float:
        """Their harmonic mean."""
        return 2 * self.precision * self.recall / (self.precision + self.recall)


def score_denials(denies: Callable[[Labelled], bool], sentences: list[Labelled]) -> Share:
    """How well a reader tells what is denied from all else."""
    called = {one: denies(one) for one in sentences}
    hits = sum(said and one.label == "-" for one, said in called.items())
    wrong = tuple(one for one, said in called.items() if said != (one.label == "-"))
    return Share(hits / sum(called.values()), hits / sum(one.label == "-" for one in sentences), wrong)
