"""Randomised class systems: what a label means is only in the prompt, so it must be read there."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

import numpy as np

from vrft_aug.data.procedural.phrases import APPEARANCE, FOUR_QUADRANTS, NOTHING, PICTURE, described, joined
from vrft_aug.data.procedural.pool import Modality
from vrft_aug.knowledge.bank import ClassKnowledge, KnowledgeBank
from vrft_aug.nouns import Task

ORDERED_NAMES = (
    ("none", "mild", "moderate", "severe", "proliferative"),
    ("no retinopathy", "mild", "moderate", "severe", "proliferative"),
    ("normal", "mild", "moderate", "severe"),
    ("normal", "early", "late", "advanced"),
    ("grade 0", "grade 1", "grade 2", "grade 3", "grade 4"),
    ("stage 1", "stage 2", "stage 3", "stage 4", "stage 5"),
    ("A", "B", "C", "D", "E"),
    ("0", "1", "2", "3", "4"),
    ("low", "medium", "high"),
    ("normal", "benign", "malignant"),
    ("clear", "watch", "refer", "urgent"),
)
FREE_NAMES = (
    ("A", "B", "C", "D", "E"), ("red", "green", "blue", "grey"), ("north", "south", "east", "west"),
    ("type 1", "type 2", "type 3", "type 4"), ("alpha", "beta", "gamma", "delta"),
    ("normal", "benign", "malignant"), ("oak", "pine", "elm", "ash"),
)  # fmt: skip
CITES = " -> "  # stands in a reasoning between a finding and the label its definition leads to
QUESTIONS = (
    "Which class fits this {picture}?", "Classify this {picture}.", "What does this {picture} show?",
    "Grade this {picture}.", "What is the grade of this {picture}?", "Read this {picture}.",
    "Grade the diabetic retinopathy in this {picture}.",
)  # fmt: skip


@dataclass(frozen=True)
class System:
    """A task whose labels stand for findings, with the bank that says so."""

    task: Task
    bank: KnowledgeBank
    rungs: tuple[frozenset[str], ...]  # by label; one is empty: none of the others
    modality: Modality
    words: Mapping[str, str]  # how the definitions call a finding

    def label(self, found: Collection[str]) -> str:
        """The label of a picture: the highest rung of which something was found, else the empty rung."""
        reached = [i for i, rung in enumerate(self.rungs) if rung & frozenset(found)]
        return self.task.labels[max(reached, default=self.rungs.index(frozenset()))]

    def cited(self, name: str) -> str:
        """A finding in the words of its definition, with the label that it alone would lead to."""
        implied = {name, "haemorrhages"} if name == FOUR_QUADRANTS else {name}
        return f"{self.words.get(name, name)}{CITES}{self.label(implied)}"


def random_system(modality: Modality, rng: np.random.Generator) -> System:
    """A graded ladder of findings, or (one time in four) unordered classes of one finding each.

    In an unordered system a picture that shows two classes gets the later one; `suits` tells.
    """
    ordered = rng.random() < 0.75
    pools = ORDERED_NAMES if ordered else FREE_NAMES
    names = list(pools[int(rng.integers(len(pools)))])
    facts = [str(name) for name in rng.permutation(list(APPEARANCE[modality]))]
    most = min(len(names), len(facts))
    count = int(rng.integers(2, most + 1, size=2).max())  # long ladders are the harder half
    if ordered:
        start = int(rng.integers(len(names) - count + 1)) if names[0] in ("A", "0", "stage 1") else 0
        labels = tuple(names[start : start + count])
    else:
        labels = tuple(str(n) for n in rng.permutation(names)[:count])
    rungs: list[set[str]] = [set()]
    for position in range(1, count):
        left = len(facts) - (count - 1 - position)
        share = min(left, int(rng.integers(1, 4)) if ordered else 1)
        rungs.append(set(facts[:share]))
        facts = facts[share:]
    where = {name: i for i, rung in enumerate(rungs) for name in rung}
    if where.get("haemorrhages", 0) > where.get(FOUR_QUADRANTS, 9):  # else the stronger sign could never show
        low, high = where[FOUR_QUADRANTS], where["haemorrhages"]
        rungs[low] = rungs[low] - {FOUR_QUADRANTS} | {"haemorrhages"}
        rungs[high] = rungs[high] - {"haemorrhages"} | {FOUR_QUADRANTS}
    return _worded(modality, ordered, labels, rungs, rng)


def _worded(
    modality: Modality,
    ordered: bool,
    labels: tuple[str, ...],
    rungs: list[set[str]],
    rng: np.random.Generator,
) -> System:
    style = str(rng.choice(["name", "look", "both", "mixed"], p=[0.4, 0.1, 0.35, 0.15]))
    words: dict[str, str] = {}
    ending = str(rng.choice(["", " seen", " present"]))
    classes: dict[str, ClassKnowledge] = {}
    for label, rung in zip(labels, rungs, strict=True):
        names = [str(name) for name in rng.permutation(sorted(rung))]
        ways = [str(rng.choice(["name", "look"])) if style == "mixed" else style for _ in names]
        words |= {
            name: described(modality, name, "look" if way == "look" else "name")
            for name, way in zip(names, ways, strict=True)
        }
        text = (
            joined([described(modality, *pair) for pair in zip(names, ways, strict=True)], "or") + ending
            if names
            else str(rng.choice([NOTHING, "none of the others", "nothing"]))
        )
        if ordered and len(classes) == 1 and rng.random() < 0.3:
            text += " only"
        classes[label] = ClassKnowledge(definition=text + ".")
    bank = KnowledgeBank(name="random", title="", author="", reviewed=False, sources=(), classes=classes)
    order = rng.permutation(len(labels)) if not ordered else np.arange(len(labels))
    question = str(rng.choice(QUESTIONS)).format(picture=PICTURE[modality])
    task = Task(
        name="random",
        kind="grade" if ordered else "classify",
        question=question,
        labels=tuple(labels[i] for i in order),
        modality=PICTURE[modality],
    )
    return System(task, bank, tuple(frozenset(rungs[i]) for i in order), modality, words)


def suits(system: System, found: Collection[str]) -> bool:
    """Whether a picture has one right label: always on a ladder, else where one class at most is shown."""
    return system.task.kind == "grade" or sum(bool(rung & frozenset(found)) for rung in system.rungs) <= 1


def random_facts(system: System, rng: np.random.Generator) -> frozenset[str]:
    """Findings for which every label of a system is about equally likely."""
    aim = int(rng.integers(len(system.rungs)))
    graded = system.task.kind == "grade"
    found: set[str] = set()
    if system.rungs[aim]:
        wanted = sorted(system.rungs[aim])
        found.add(wanted[int(rng.integers(len(wanted)))])
    for name in APPEARANCE[system.modality]:
        rung = next((i for i, r in enumerate(system.rungs) if name in r), None)
        if rung is None or (graded and rung <= aim and bool(system.rungs[aim])):
            found |= {name} if rng.random() < 0.35 else set()
    if FOUR_QUADRANTS in found:
        found.add("haemorrhages")
    return frozenset(found)
