"""From the settings of a task in the recipe to the task itself."""

from __future__ import annotations

from vrft_aug.knowledge.bank import load_bank
from vrft_aug.nouns import Task
from vrft_aug.recipe.schema import TaskConfig


def make_task(name: str, config: TaskConfig) -> Task:
    """The task that a recipe describes under that name.

    Raises UserError where it asks for synonyms and its knowledge bank is absent.
    """
    return Task(
        name=name,
        kind=config.kind,
        question=config.question,
        labels=config.labels,
        modality=config.modality,
        box_format=config.box_format,
        answer_mode=config.answer_mode,
        answer_format=config.answer_format,
        option_names=config.option_names,
        option_seed=config.option_seed,
        synonyms=_synonyms(config) if config.synonyms and config.knowledge is not None else (),
    )


def _synonyms(config: TaskConfig) -> tuple[tuple[str, str], ...]:
    """(synonym, label) for the task's labels; for a free text also those of all findings of the bank."""
    bank = load_bank(str(config.knowledge))
    named = {label: known.synonyms for label, known in bank.classes.items()}
    if config.kind in ("answer", "choice"):
        named = {**bank.findings, **named}
    else:
        named = {label: named.get(label, ()) for label in config.labels}
    return tuple((other, name) for name, others in named.items() for other in others)
