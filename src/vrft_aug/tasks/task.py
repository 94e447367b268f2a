"""From the settings of a task in the recipe to the task itself."""

from __future__ import annotations

from vrft_aug.knowledge.bank import load_bank
from vrft_aug.nouns import Task
from vrft_aug.recipe.task_config import TaskConfig


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
        answer_format=config.form,
        confidence=config.confidence,
        abstain=config.abstain,
        option_names=config.option_names,
        option_seed=config.option_seed,
        synonyms=_synonyms(config) if config.synonyms and config.knowledge is not None else (),
    )


def _synonyms(config: TaskConfig) -> tuple[tuple[str, str], ...]:
    """(another name, label) for the task's labels: exact synonyms and the names that data sets use.

    Narrower names where the recipe says so, broader ones never; for a free text also the exact names of all
    findings of the bank.
    """
    bank = load_bank(str(config.knowledge))
    narrower = config.synonyms == "narrower"
    labels = bank.classes if config.kind in ("answer", "choice") else config.labels
    named = {label: bank.classes[label].synonyms.read(narrower) for label in labels if label in bank.classes}
    pairs = [(other, name) for name, others in named.items() for other in others]
    if config.kind not in ("answer", "choice"):
        pairs += [(other, label) for other, label in bank.official_labels.items() if label in named]
    else:
        pairs += [
            (other, name)
            for name, finding in bank.findings.items()
            if name not in named
            for other in finding.names
        ]
    return tuple(dict.fromkeys(pairs))
