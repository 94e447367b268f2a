"""What is wrong with a knowledge bank for a task, found before a model is loaded."""

from __future__ import annotations

from collections.abc import Sequence

from vrft_aug.errors import nearest
from vrft_aug.knowledge.bank import KnowledgeBank


def check_bank(bank: KnowledgeBank, labels: Sequence[str]) -> list[str]:
    """One line for every label without a class and for every empty text; [] where all is well."""
    problems = []
    for label in labels:
        if label not in bank.classes:
            hint = nearest(label, bank.classes) or f"; it has {', '.join(bank.classes)}"
            problems.append(f"knowledge bank {bank.name!r} has no class {label!r}{hint}")
    for label, known in bank.classes.items():
        texts = {"definition": known.definition}
        texts |= {f"attribute {i}": fact.text for i, fact in enumerate(known.attributes, start=1)}
        problems += [
            f"knowledge bank {bank.name!r}, class {label!r}: {what} is empty"
            for what, text in texts.items()
            if not text.strip()
        ]
    return problems
