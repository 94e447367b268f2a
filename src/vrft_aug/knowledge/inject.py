"""From a bank to the text in the prompt: style, control, budget and order."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Literal

from vrft_aug.errors import UserError
from vrft_aug.knowledge.bank_schema import KnowledgeBank
from vrft_aug.knowledge.controls import derangement, unrelated_texts
from vrft_aug.knowledge.count import Count, words

Content = Literal["definitions", "attributes"]
Style = Literal["none", "definitions", "attributes", "contrastive", "shuffled", "irrelevant"]
HEADER = "What is known:"
CONTRASTS = "How to tell them apart:"


@dataclass(frozen=True)
class _Class:
    """A label with what is said of it."""

    label: str
    definition: str
    looks: tuple[str, ...] = ()

    @property
    def said(self) -> str:
        look = f"Look for: {'; '.join(self.looks)}." if self.looks else ""
        return " ".join(part for part in (self.definition, look) if part)

    @property
    def line(self) -> str:
        return f"- {self.label}: {self.said}"


def injected_text(
    bank: KnowledgeBank,
    labels: Sequence[str],
    style: Style,
    *,
    of: Content = "definitions",
    budget: int | None = None,
    order: Literal["fixed", "random"] = "fixed",
    seed: int = 0,
    case: str = "",
    count: Count = words,
) -> str:
    """The lines that enter the prompt, one a label in the task's order; "" for style none.

    - contrastive: definitions, then a line for every pair of labels that the bank tells apart;
    - shuffled, irrelevant: controls of the style `of`. Every label keeps its line and gets what is true of
      another label, or facts of another domain that are as long in `count` as whole facts can be;
    - budget: the text is at most so long in `count`. Attributes (or pairs) that do not fit are left out
      whole, the last ones of every class first; definitions are never cut;
    - order random: lines are shuffled by `seed` and `case`, so a case always gets the same text.

    A label of which nothing is left to tell (`reviewed_part`) has no line.

    Raises UserError where the bank says nothing of a label, tells no pair apart that it should, a control
    is impossible, or the budget does not hold the definitions.
    """
    if style == "none":
        return ""
    content = of if style in ("shuffled", "irrelevant") else style
    _all_known(bank, labels)
    pairs = contrasts(bank, labels) if content == "contrastive" else []
    labels = [label for label in labels if _told(bank, label, content)]
    if not labels and not pairs:
        raise UserError(
            f"of knowledge bank {bank.name!r} nothing is left to tell in style {style}: nobody has agreed to "
            "it; review it with `vrft knowledge review`, or leave injection.only_reviewed false"
        )
    sources = list(labels)
    if style == "shuffled":
        if len(labels) < 2:
            raise UserError(f"style shuffled needs at least two labels; the task has {list(labels)}")
        sources = [labels[i] for i in derangement(len(labels), seed)]
    definitions = [bank.classes[told].definition for told in sources]
    classes = [_Class(label, text) for label, text in zip(labels, definitions, strict=True)]
    looks: list[Sequence[str]] = [()] * len(classes)
    if content == "attributes":
        looks = [[attribute.text for attribute in bank.classes[told].attributes] for told in sources]
    elif content == "contrastive" and not pairs:
        raise UserError(
            f"knowledge bank {bank.name!r} tells no two labels apart (confused_with); "
            "use style attributes, or add them"
        )
    classes, pairs = _within(budget, classes, looks, pairs, count)
    classes = [one for one in classes if one.said]  # of a bank told in part, the budget may have cut all
    if style == "irrelevant":
        texts = unrelated_texts(tuple(count(f" {one.said}") for one in classes), seed, count)
        classes = [_Class(one.label, text) for one, text in zip(classes, texts, strict=True)]
    if order == "random":
        rng = random.Random(f"order {seed} {case}")
        rng.shuffle(classes)
        rng.shuffle(pairs)
    return _text(classes, pairs)


def contrasts(bank: KnowledgeBank, labels: Sequence[str]) -> list[str]:
    """A line for every pair of the labels that the bank tells apart, in their order."""
    lines = []
    for first, second in combinations(labels, 2):
        for one, other in ((first, second), (second, first)):
            if (difference := bank.classes[one].confused_with.get(other)) is not None:
                lines.append(f"- {first} or {second}? {difference.tell}")
    return lines


def _within(
    budget: int | None,
    classes: list[_Class],
    looks: Sequence[Sequence[str]],
    pairs: list[str],
    count: Count,
) -> tuple[list[_Class], list[str]]:
    """As many facts as fit: the first attribute of every class, the second ones, ..., then the pairs.

    The first that does not fit ends it, so that a larger budget never loses a fact. Lines are counted one by
    one, each with its line break: cheap for many cases, and no dearer in whatever order they come.
    """
    if budget is None:
        return [replace(one, looks=tuple(facts)) for one, facts in zip(classes, looks, strict=True)], pairs

    def cost(line: str) -> int:
        return count(f"{line}\n")

    least = cost(HEADER) + sum(cost(one.line) for one in classes)
    if least > budget:
        raise UserError(
            f"injection.budget {budget} does not hold the definitions, which take {least} in the same unit; "
            "raise it"
        )
    left = budget - least
    classes = list(classes)
    for rank in range(max(map(len, looks), default=0)):
        for index, facts in enumerate(looks):
            if rank >= len(facts):
                continue
            longer = replace(classes[index], looks=(*classes[index].looks, facts[rank]))
            left -= cost(longer.line) - cost(classes[index].line)
            if left < 0:
                return classes, []
            classes[index] = longer
    kept: list[str] = []
    left -= cost(CONTRASTS)
    for pair in pairs:
        left -= cost(pair)
        if left < 0:
            break
        kept.append(pair)
    return classes, kept


def _text(classes: Sequence[_Class], pairs: Sequence[str]) -> str:
    lines = [HEADER, *(one.line for one in classes)]
    return "\n".join([*lines, CONTRASTS, *pairs] if pairs else lines)


def _told(bank: KnowledgeBank, label: str, content: str) -> bool:
    """Whether a line would say anything of a label."""
    known = bank.classes[label]
    return bool(known.definition or (content == "attributes" and known.attributes))


def _all_known(bank: KnowledgeBank, labels: Sequence[str]) -> None:
    missing = [label for label in labels if label not in bank.classes]
    if missing:
        raise UserError(
            f"knowledge bank {bank.name!r} has no class {missing[0]!r}; it has {', '.join(bank.classes)}"
        )
