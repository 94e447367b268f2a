"""What is wrong with a knowledge bank for a task, found before a model is loaded."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain

from vrft_aug.errors import nearest
from vrft_aug.knowledge.bank_schema import REVIEW, ClassKnowledge, KnowledgeBank, facts
from vrft_aug.knowledge.count import words
from vrft_aug.labels import normalise

WORDS_PER_CLASS = 90  # definition and attributes; a prompt of 14 such classes is about 1700 tokens


@dataclass(frozen=True)
class FactCounts:
    """How many facts of a bank name a source, are marked for review, or lean on its sources as a whole."""

    sourced: int
    review: int
    whole: int


def count_facts(bank: KnowledgeBank) -> FactCounts:
    """Definitions, attributes and differences of all classes."""
    sources = [source for known in bank.classes.values() for _, _, source in facts(known)]
    named = sum(source not in (None, REVIEW) for source in sources)
    review = sources.count(REVIEW)
    return FactCounts(named, review, len(sources) - named - review)


def check_bank(
    bank: KnowledgeBank, labels: Sequence[str], words_per_class: int | None = WORDS_PER_CLASS
) -> list[str]:
    """One line for every label without a class and everything wrong in the bank itself; [] where all is well.

    Wrong are empty texts, facts that name no source and carry no review mark, names that lead nowhere (of
    sources, classes, findings), words with two meanings, two classes told in the same words, classes longer
    than `words_per_class`, and a review that nobody signed or that left marks.
    """
    known_labels = f"; it has {', '.join(bank.classes)}"
    missing = [
        f"knowledge bank {bank.name!r} has no class {label!r}{nearest(label, bank.classes) or known_labels}"
        for label in labels
        if label not in bank.classes
    ]
    problems = _in_head(bank)
    for label, known in bank.classes.items():
        of_class = chain(_in_facts(bank, known), _in_names(bank, label, known))
        problems += [f"class {label!r}: {problem}" for problem in of_class]
        length = words(known.definition) + sum(words(attribute.text) for attribute in known.attributes)
        if words_per_class is not None and length > words_per_class:
            problems.append(f"class {label!r}: {length} words; expected at most {words_per_class}")
    return missing + [f"knowledge bank {bank.name!r}: {problem}" for problem in problems]


def _in_head(bank: KnowledgeBank) -> list[str]:
    problems = []
    if not bank.author.strip():
        problems.append("author is empty")
    if not bank.sources or not all(text.strip() for text in _source_texts(bank)):
        problems.append("sources are empty; expected what the facts are taken from")
    if bank.reviewed:
        if not bank.reviewer:
            problems.append("reviewed, but reviewer is empty; expected who reviewed it")
        if left := count_facts(bank).review:
            problems.append(f"reviewed, but {left} facts are still marked review")
    meanings: dict[str, str] = {}
    for finding, synonyms in bank.findings.items():
        for word in (finding, *synonyms):
            other = meanings.setdefault(normalise(word), finding)
            if other != finding:
                problems.append(f"findings {other!r} and {finding!r} are both called {word!r}")
    names: dict[str, str] = {}
    told: dict[str, str] = {}
    for label, known in bank.classes.items():
        for word in (label, *known.synonyms):
            other = names.setdefault(normalise(word), label)
            if other != label:
                problems.append(f"classes {other!r} and {label!r} are both called {word!r}")
        text = "\n".join([known.definition, *(attribute.text for attribute in known.attributes)])
        other = told.setdefault(normalise(text), label)
        if other != label and text.strip():
            problems.append(f"classes {other!r} and {label!r} are told in the same words")
    return problems


def _in_facts(bank: KnowledgeBank, known: ClassKnowledge) -> list[str]:
    problems = []
    for which, text, source in facts(known):
        if not text.strip():
            problems.append(f"{which} is empty")
        if isinstance(bank.sources, dict):
            expected = f"expected one of {', '.join([*bank.sources, REVIEW])}"
            if source is None:
                problems.append(f"{which} names no source; {expected}")
            elif source not in bank.sources and source != REVIEW:
                problems.append(f"{which} has the unknown source {source!r}; {expected}")
        elif source not in (None, REVIEW):
            problems.append(f"{which} names source {source!r}, but the bank's sources have no names")
    return problems


def _in_names(bank: KnowledgeBank, label: str, known: ClassKnowledge) -> list[str]:
    problems = []
    for other in known.confused_with:
        if other == label or other not in bank.classes:
            problems.append(f"is confused with {other!r}; expected another class of the bank")
        elif label in bank.classes[other].confused_with and label < other:
            problems.append(f"is told apart from {other!r} twice; expected under one of the two")
    for finding in (*known.present, *known.absent):
        if finding not in bank.findings:
            problems.append(
                f"finding {finding!r} is not listed under findings{nearest(finding, bank.findings)}"
            )
    if both := sorted(set(known.present) & set(known.absent)):
        problems.append(f"finding {both[0]!r} is both present and absent")
    return problems


def _source_texts(bank: KnowledgeBank) -> Sequence[str]:
    return list(bank.sources.values()) if isinstance(bank.sources, dict) else bank.sources
