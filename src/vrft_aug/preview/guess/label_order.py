"""What kind of task labels make, in which order they stand, and which shipped bank tells of them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from vrft_aug.knowledge.bank import load_bank, shipped_banks
from vrft_aug.knowledge.bank_schema import KnowledgeBank
from vrft_aug.preview.guess.guessed import words_of

RANKS = (  # words that say how much, from nothing on; those of one line are the same rank
    "no none normal healthy absent negative",
    "minimal trace doubtful borderline",
    "mild slight low early",
    "moderate medium intermediate",
    "severe high marked advanced",
    "proliferative critical extreme",
)
NUMBERED = re.compile(r"^(?P<stem>\D*?)[\s_-]*(?P<number>\d+|[ivx]+)(?P<rest>\D*)$", re.IGNORECASE)
ROMAN = {"i": 1, "ii": 2, "iii": 3, "iv": 4, "v": 5, "vi": 6, "vii": 7, "viii": 8, "ix": 9, "x": 10}
DRAWN = ("fundus", "chest")  # banks of pictures that this package draws
PLAIN = words_of(
    "severity international clinical scale findings cells types disease risk images organs slices tissue "
    "normal benign malignant with from their"
)  # words of titles that say nothing of the pictures


@dataclass(frozen=True)
class NamedLabels:
    """The labels of a task, and what was guessed of them."""

    kind: str
    labels: tuple[str, ...]
    label_names: Mapping[str, str] = field(
        default_factory=dict
    )  # value in the data -> label, where not equal
    knowledge: str | None = None
    maybe_knowledge: str | None = None
    said: tuple[str, ...] = ()
    open: tuple[str, ...] = ()


def name_labels(values: Sequence[str], hints: frozenset[str], several: bool = False) -> NamedLabels:
    """Labels for the distinct values of a column or the names of folders; `several`: a case may have many."""
    bank, sure = _bank(values, hints | words_of(*values))
    if bank is not None and sure:
        names = {value: _class(bank, value) or value for value in values}
        labels = tuple(label for label in bank.classes if label in names.values())
        kind = "multilabel" if several else "grade" if rank_order(labels) == labels else "classify"
        renamed = {value: label for value, label in names.items() if value != label}
        return NamedLabels(
            kind, labels, renamed, bank.name, said=(f"labels are those of the knowledge bank {bank.name}",)
        )
    maybe = bank.name if bank is not None else None
    ordered = None if several else rank_order(values)
    numbers = all(re.fullmatch(r"-?\d+(\.0)?", value) for value in values)
    if numbers and not several:
        names = {value: f"class {value.removesuffix('.0')}" for value in values}
        labels = tuple(names[value] for value in sorted(values, key=float))
        return NamedLabels(
            "grade" if len(values) > 2 else "classify",
            labels, names, maybe_knowledge=maybe,
            open=(f"labels are only numbers ({', '.join(sorted(values, key=float))}): give them their names "
                  "in labels and label_names, and write kind: classify if they have no order",),
        )  # fmt: skip
    if ordered is not None and len(ordered) > 2:
        return NamedLabels(
            "grade", ordered, maybe_knowledge=maybe, said=(f"labels have an order: {' < '.join(ordered)}",)
        )
    return NamedLabels("multilabel" if several else "classify", tuple(values), maybe_knowledge=maybe)


def rank_order(labels: Sequence[str]) -> tuple[str, ...] | None:
    """The labels from least to most, where each says its rank in one number or word; else None."""
    numbered = [_number(label) for label in labels]
    if None not in numbered and len({(stem, rest) for stem, _, rest in filter(None, numbered)}) == 1:
        ranks: list[int | None] = [number for _, number, _ in filter(None, numbered)]
    else:
        ranks = [_rank(label) for label in labels]
    known = [rank for rank in ranks if rank is not None]
    if len(known) < len(labels) or len(set(known)) < len(labels):
        return None
    return tuple(label for _, label in sorted(zip(known, labels, strict=True)))


def _number(label: str) -> tuple[str, int, str] | None:
    found = NUMBERED.match(label.strip())
    if found is None:
        return None
    text = found["number"].casefold()
    if not text.isdigit() and text not in ROMAN:
        return None
    return (found["stem"].casefold(), int(text) if text.isdigit() else ROMAN[text], found["rest"].casefold())


def _rank(label: str) -> int | None:
    words = words_of(label)
    found = [place for place, line in enumerate(RANKS) if words & set(line.split())]
    return found[-1] if found else None


def _bank(values: Sequence[str], hints: frozenset[str]) -> tuple[KnowledgeBank | None, bool]:
    """The shipped bank that knows all values, and whether anything says that the pictures are of its kind."""
    fits = []
    for name in shipped_banks():
        if name in DRAWN:
            continue
        bank = load_bank(name)
        if all(_class(bank, value) for value in values) and len({_class(bank, v) for v in values}) == len(
            values
        ):
            shared = len((words_of(name, bank.title) - PLAIN) & hints)
            fits.append((name in hints, shared, -len(bank.classes), bank))
    if not fits:
        return None, False
    named, shared, _, bank = max(fits, key=lambda fit: fit[:3])
    if not named and not shared and all(value.strip().isdigit() for value in values):
        return None, False
    return bank, named or shared > 0


def _class(bank: KnowledgeBank, value: str) -> str | None:
    """The class that a value of the data means, by its name, a synonym or what the data set calls it."""
    own = " ".join(value.replace("_", " ").casefold().split())
    for official, label in bank.official_labels.items():
        if own == official.casefold():
            return label
    for label, known in bank.classes.items():
        if own in (label.casefold(), *(synonym.casefold() for synonym in known.synonyms.exact)):
            return label
    return None
