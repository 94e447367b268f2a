"""What of a task's bank is told and paid by: with its faults refused, and what nobody has reviewed named."""

from __future__ import annotations

from collections.abc import Sequence

from vrft_aug.errors import UserError
from vrft_aug.knowledge.bank import bank_title, load_bank
from vrft_aug.knowledge.bank_schema import KnowledgeBank
from vrft_aug.knowledge.review import load_review, reviewed_part
from vrft_aug.knowledge.validate import check_bank
from vrft_aug.recipe.schema import Recipe
from vrft_aug.recipe.stage_config import StageConfig
from vrft_aug.recipe.task_config import Injection

PAID_BY_FACTS = ("consistency", "grounding")


def known_bank(recipe: Recipe, task: str) -> KnowledgeBank | None:
    """The bank of a task, None where it names none; UserError for the first fault that `check_bank` finds."""
    config = recipe.tasks[task]
    if config.knowledge is None:
        return None
    bank = load_bank(config.knowledge)
    if problems := check_bank(bank, config.labels, None, bank_title(config.knowledge)):
        raise UserError(f"task {task!r}: {problems[0]}")
    return bank


def told_bank(recipe: Recipe, task: str, injection: Injection) -> KnowledgeBank | None:
    """What of the task's bank may enter prompts; None where nothing is injected.

    With `only_reviewed` what somebody has agreed to, which may be nothing of a class.
    """
    bank = known_bank(recipe, task) if injection.style != "none" else None
    if bank is None or not injection.only_reviewed:
        return bank
    return reviewed_part(bank, load_review(str(recipe.tasks[task].knowledge)))


def unreviewed_rewards(recipe: Recipe) -> list[str]:
    """A line for every stage whose rewards rest on facts that nobody has reviewed.

    Those are the fact rewards, and recitation where it pays for what was injected.
    """
    lines = []
    for stage in recipe.stages:
        for part in stage.parts():
            name = recipe.tasks[part.task].knowledge
            if (terms := _terms(part)) and name is not None:
                state = load_review(name)
                of_stage = f"{part.name}/{part.task}" if stage.mix else part.name
                paid = tuple(fact for fact in state.facts if fact.paid or "recitation" in terms)
                open_facts = [fact for fact in paid if fact.digest not in state.agreed]
                disputed = sum(fact.digest in state.disputed for fact in open_facts)
                if open_facts:
                    lines.append(
                        f"stage {of_stage!r} pays {_listed(terms)} by the facts of {bank_title(name)}: "
                        f"{len(open_facts)} of {len(paid)} are unreviewed"
                        + (f", {disputed} of them disputed" if disputed else "")
                        + f". What is wrong there is learned. Review them: vrft knowledge review {name}"
                    )
    return lines


def _terms(part: StageConfig) -> list[str]:
    terms = [name for name in PAID_BY_FACTS if name in part.rewards]
    recited = part.rewards.get("recitation")
    if (
        recited is not None
        and recited.settings.get("delta", -1) in (1, "1")
        and part.injection.style != "none"
    ):
        terms.append("recitation")
    return terms


def _listed(names: Sequence[str]) -> str:
    return " and ".join(names) if len(names) < 3 else f"{', '.join(names[:-1])} and {names[-1]}"
