"""Figures of the reasoning: how much it varies, what it recites, and whether its findings are so."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from vrft_aug.errors import UserError
from vrft_aug.evaluation.metrics.bootstrap import Floats, Statistic
from vrft_aug.imitation import facts
from vrft_aug.imitation.diversity import distinct_share, self_bleu
from vrft_aug.imitation.recitation import recited_share
from vrft_aug.knowledge.bank_schema import KnowledgeBank
from vrft_aug.nouns import Answer, Case, Task
from vrft_aug.shaping.text import words

FIGURES = ("recitation", "self_bleu", "consistency", "grounding")  # of single cases


@dataclass(frozen=True)
class Checks:
    """What is known of a task by which the reasoning can be checked; both None: nothing is checked."""

    consistency: KnowledgeBank | None = None
    grounding: KnowledgeBank | None = None


def checks(task: Task, bank: KnowledgeBank | None) -> Checks:
    """The checks that the bank says enough for: see the two fact rewards in imitation/facts.py."""

    def known(check: Callable[[Task, KnowledgeBank | None], None]) -> KnowledgeBank | None:
        try:
            check(task, bank)
        except UserError:
            return None
        return bank

    labelled = task.kind in ("classify", "grade", "multilabel")
    return Checks(
        consistency=known(facts.check_consistency) if labelled else None,
        grounding=known(facts.check_grounding),
    )


def figures(
    task: Task, case: Case, answer: Answer, samples: Sequence[Answer], knowledge: str, known: Checks
) -> dict[str, float]:
    """Those of FIGURES that apply to a case, each 0 to 1.

    Recitation needs knowledge in the prompt and words to compare with it; self-BLEU two samples that reason.
    A task that asks for no reasoning has none of them.
    """
    if task.reasoning == "none":
        return {}
    found = {
        "recitation": recited_share(answer.reasoning, knowledge)
        if knowledge and words(answer.reasoning)
        else None,
        "self_bleu": self_bleu([sample.reasoning for sample in samples]),
        "consistency": facts.consistency(answer, case, task, known.consistency)
        if known.consistency is not None
        else None,
        "grounding": facts.grounding(answer, case, task, known.grounding)
        if known.grounding is not None
        else None,
    }
    return {name: value for name, value in found.items() if value is not None}


def distinct(texts: Sequence[str], n: int) -> Statistic:
    """Distinct-n (Li et al., 2016): different word n-grams over all word n-grams of all texts; 0 to 1.

    Undefined without any n-gram; n of the statistic are the texts with at least n words. It falls with the
    number of texts, so it has no bootstrap interval and is comparable on the same cases alone.
    """
    share = distinct_share(texts, n)

    def of(weights: Floats) -> Floats:
        return np.full(len(weights), np.nan if share is None else share)

    return Statistic(of, sum(len(words(text)) >= n for text in texts), resampled=False)
