"""What is wrong with a knowledge bank for a task, found before a model is loaded."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain

from vrft_aug.errors import nearest
from vrft_aug.knowledge.bank_schema import (
    RELATIONS,
    REVIEW,
    ClassKnowledge,
    KnowledgeBank,
    facts,
    source_ids,
)
from vrft_aug.knowledge.count import words
from vrft_aug.knowledge.finding_graph import NO, finding_graph, graph_problems, resolve
from vrft_aug.knowledge.lexicon import term_key
from vrft_aug.labels import normalise

WORDS_PER_CLASS = 90  # definition and attributes; a prompt of 14 such classes is about 1700 tokens


@dataclass(frozen=True)
class FactCounts:
    """How many facts of a bank name a source, are marked for review, or lean on its sources as a whole."""

    sourced: int
    review: int
    whole: int


def count_facts(bank: KnowledgeBank) -> FactCounts:
    """Definitions, attributes, differences and findings of all classes."""
    sources = [source for known in bank.classes.values() for _, _, source in facts(known)]
    named = sum(source not in (None, REVIEW) for source in sources)
    review = sources.count(REVIEW)
    return FactCounts(named, review, len(sources) - named - review)


def check_bank(
    bank: KnowledgeBank,
    labels: Sequence[str],
    words_per_class: int | None = WORDS_PER_CLASS,
    title: str | None = None,
) -> list[str]:
    """One line for every label without a class and everything wrong in the bank itself; [] where all is well.

    Wrong are empty texts, facts that name no source and carry no review mark, names that lead nowhere (of
    sources, classes, findings), findings in a circle, a finding in two of a class's lists or excluded by what
    defines it, words with two meanings, two classes told in the same words, classes longer than
    `words_per_class`, and a review that nobody signed or that left marks. Each line begins with `title`
    (see `bank_title`), by default the bank's name.
    """
    title = title or f"knowledge bank {bank.name!r}"
    known_labels = f"; it has {', '.join(bank.classes)}"
    missing = [
        f"{title} has no class {label!r}{nearest(label, bank.classes) or known_labels}"
        for label in labels
        if label not in bank.classes
    ]
    problems = [*_in_head(bank), *_in_words(bank), *(broken := graph_problems(bank))]
    if bank.coexist:
        problems += _in_company(bank)
    for label, known in bank.classes.items():
        unknown = list(_unknown_findings(bank, known))
        of_class = chain(_in_facts(bank, known), _in_names(bank, label, known), unknown)
        problems += [f"class {label!r}: {problem}" for problem in of_class]
        if not broken and not unknown:
            problems += [f"class {label!r}: {problem}" for problem in _in_lists(bank, label, known)]
        length = words(known.definition) + sum(words(attribute.text) for attribute in known.attributes)
        if words_per_class is not None and length > words_per_class:
            problems.append(f"class {label!r}: {length} words; expected at most {words_per_class}")
    return missing + [f"{title}: {problem}" for problem in problems]


def _in_head(bank: KnowledgeBank) -> Iterator[str]:
    if not bank.author.strip():
        yield "author is empty"
    if not bank.sources or not all(text.strip() for text in _source_texts(bank)):
        yield "sources are empty; expected what the facts are taken from"
    if bank.reviewed:
        if not bank.reviewer:
            yield "reviewed, but reviewer is empty; expected who reviewed it"
        if left := count_facts(bank).review:
            yield f"reviewed, but {left} facts are still marked review"


def _in_words(bank: KnowledgeBank) -> Iterator[str]:
    """Words with two meanings, and texts that are told of two classes."""
    meanings: dict[tuple[str, ...], str] = {}
    for finding, known in bank.findings.items():
        for word in (finding, *known.names, *known.narrower):
            other = meanings.setdefault(term_key(word), finding)
            if other != finding:
                yield f"findings {other!r} and {finding!r} are both called {word!r}"
        for word in known.broader:
            if (other := meanings.get(term_key(word), "")) == finding:
                yield f"finding {finding!r}: {word!r} is both a broader word and another one for it"
    names: dict[str, str] = {}
    told: dict[str, str] = {}
    for label, about in bank.classes.items():
        for word in (label, *about.synonyms.exact, *about.synonyms.narrower):
            other = names.setdefault(normalise(word), label)
            if other != label:
                yield f"classes {other!r} and {label!r} are both called {word!r}"
        text = "\n".join([about.definition, *(attribute.text for attribute in about.attributes)])
        other = told.setdefault(normalise(text), label)
        if other != label and text.strip():
            yield f"classes {other!r} and {label!r} are told in the same words"
    for word, label in bank.official_labels.items():
        if label not in bank.classes:
            yield (
                f"official label {word!r} stands for {label!r}, which is no class"
                f"{nearest(label, bank.classes)}"
            )
        elif (other := names.get(normalise(word), label)) != label:
            yield f"official label {word!r} stands for {label!r}, but is a name of {other!r}"


def _in_facts(bank: KnowledgeBank, known: ClassKnowledge) -> Iterator[str]:
    for which, text, source in facts(known):
        if not text.strip():
            yield f"{which} is empty"
        if isinstance(bank.sources, dict):
            expected = f"expected one of {', '.join([*bank.sources, REVIEW])}"
            if source is None:
                yield f"{which} names no source; {expected}"
            elif (ids := source_ids(source)) is None:
                yield f"{which} has the source {source!r}; expected `id`, `id (place)` or several with `and`"
            else:
                for one in ids:
                    if one not in bank.sources and one != REVIEW:
                        close = nearest(one, bank.sources)
                        yield f"{which} has the unknown source {one!r}{close or f'; {expected}'}"
        elif source not in (None, REVIEW):
            yield f"{which} names source {source!r}, but the bank's sources have no names"


def _in_names(bank: KnowledgeBank, label: str, known: ClassKnowledge) -> Iterator[str]:
    for other in known.confused_with:
        if other == label or other not in bank.classes:
            yield (
                f"is confused with {other!r}; expected another class of the bank"
                f"{nearest(other, bank.classes)}"
            )
        elif label in bank.classes[other].confused_with and label < other:
            yield f"is told apart from {other!r} twice; expected under one of the two"


def _unknown_findings(bank: KnowledgeBank, known: ClassKnowledge) -> Iterator[str]:
    listed = [(name, relation == "typical") for relation in RELATIONS for name in known.listed(relation)]
    listed += [(name, False) for group in known.groups for name in group]
    for name, may_be_absence in dict.fromkeys(listed):
        found = resolve(name, bank.findings)
        if found is None:
            close = nearest(name.removeprefix(NO), bank.findings)
            yield f"finding {name!r} is not listed under findings{close}"
        elif not found[1] and not may_be_absence:
            yield f"{name!r} is an absence, which only `typical` may list"
    if any(not group for group in known.groups):
        yield "a group under defining is empty"


def _in_lists(bank: KnowledgeBank, label: str, known: ClassKnowledge) -> Iterator[str]:
    """A finding in two lists, and what a class excludes though it is told by it."""
    lists: dict[str, str] = {}
    for relation in RELATIONS:
        for name in known.listed(relation):
            other = lists.setdefault(name, relation)
            if other != relation:
                yield f"finding {name!r} is both {other} and {relation}"
    graph = finding_graph(bank)
    view = graph.classes[label]
    for name in sorted(view.typical & view.typically_absent):
        yield f"finding {name!r} is typical, and so is its absence"
    for name in sorted(view.typical.union(*view.groups)):
        if hit := sorted(graph.above[name] & view.excluded):
            what = "it" if hit[0] == name else f"{hit[0]!r}, of which it is a kind"
            yield f"is told by {name!r} and excludes {what}"


def _in_company(bank: KnowledgeBank) -> Iterator[str]:
    """Where classes that may be true together speak against each other."""
    typical = {name: label for label, known in bank.classes.items() for name in known.listed("typical")}
    for label, known in bank.classes.items():
        for name in (*known.listed("unlikely"), *known.listed("excludes")):
            if (other := typical.get(name)) is not None:
                yield (
                    f"class {label!r}: speaks against {name!r}, which is typical of {other!r}; with "
                    "`coexist` no class speaks against another"
                )


def _source_texts(bank: KnowledgeBank) -> Sequence[str]:
    return list(bank.sources.values()) if isinstance(bank.sources, dict) else bank.sources
