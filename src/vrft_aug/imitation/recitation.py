"""The recitation reward: how much of the injected knowledge the reasoning repeats word by word."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Literal

from sacrebleu.metrics import BLEU

from vrft_aug.nouns import Answer, Prompt

Smoothing = Literal["none", "exp", "floor", "add-k"]


def recitation(
    answer: Answer, prompt: Prompt, delta: Literal[-1, 1] = -1, smoothing: Smoothing = "none"
) -> float | None:
    """`delta` times the BLEU of the reasoning against the knowledge in its prompt: -1..0 or 0..1.

    +1 rewards reciting; -1, the default, penalises it and generalises better in the paper. An unparseable
    answer, or reasoning without a letter or digit, earns the worst of the range (-1 or 0), so that saying
    nothing never beats saying it in one's own words. None where the prompt holds no knowledge.
    """
    if not prompt.knowledge:
        return None
    if answer.reason is not None or not any(map(str.isalnum, answer.reasoning)):
        return min(0.0, float(delta))
    return delta * recited_share(answer.reasoning, prompt.knowledge, smoothing)


def recited_share(reasoning: str, knowledge: str, smoothing: Smoothing = "none") -> float:
    """Sentence BLEU, 0..1, of words alone, with the whole knowledge and each of its lines as references.

    A line is a reference of its own, or the brevity penalty would hide the copy of one definition.
    Punctuation and case do not count: a comma neither hides a copy nor makes one. Without smoothing
    (sacrebleu's `smooth_method`) the value is above 0 only where four words in a row are copied: the terms
    of the field, and a paraphrase, cost nothing.
    """
    items = [line for line in knowledge.splitlines() if line.startswith("- ")]
    references = [[_words(reference)] for reference in (knowledge, *items)]
    # As a corpus of one: sacrebleu's sentence function gives two words in a row full marks.
    return min(1.0, float(_bleu(smoothing).corpus_score([_words(reasoning)], references).score) / 100)


def _words(text: str) -> str:
    return " ".join(re.findall(r"\w+", text.casefold()))


@lru_cache(maxsize=8)
def _bleu(smoothing: Smoothing) -> BLEU:
    # `force` silences a warning about tokenised text; the tokens are ours.
    return BLEU(tokenize="none", force=True, smooth_method=smoothing, effective_order=False)
