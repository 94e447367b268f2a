"""The recitation reward: how much of the injected knowledge the reasoning repeats word by word."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Literal

from sacrebleu.metrics import BLEU, CHRF

from vrft_aug.nouns import ABSTAINED, Answer, Prompt

Metric = Literal["bleu", "chrf"]
Smoothing = Literal["none", "exp", "floor", "add-k"]


def recitation(
    answer: Answer,
    prompt: Prompt,
    delta: Literal[-1, 1] = -1,
    metric: Metric = "bleu",
    smoothing: Smoothing = "none",
) -> float | None:
    """`delta` times the overlap of the reasoning with the knowledge in its prompt: -1..0 or 0..1.

    +1 rewards reciting; -1, the default, penalises it and generalises better in the paper. An unparseable
    answer, or reasoning without a letter or digit, earns the worst of the range (-1 or 0), so that saying
    nothing never beats saying it in one's own words. None where the prompt holds no knowledge.
    """
    if not prompt.knowledge:
        return None
    if answer.reason not in (None, ABSTAINED) or not any(map(str.isalnum, answer.reasoning)):
        return min(0.0, float(delta))
    return delta * recited_share(answer.reasoning, prompt.knowledge, smoothing, metric)


@lru_cache(maxsize=4096)  # the reward and the monitors ask for the same texts
def recited_share(
    reasoning: str, knowledge: str, smoothing: Smoothing = "none", metric: Metric = "bleu"
) -> float:
    """Overlap of words, 0..1, with the whole knowledge and each of its lines as references.

    `bleu`: sentence BLEU. A line is a reference of its own, or the brevity penalty would hide the copy of
    one definition. Without smoothing (sacrebleu's `smooth_method`) it is above 0 only where four words in a
    row are copied: the terms of the field, and a paraphrase, cost nothing. `chrf`: sentence chrF against the
    nearest reference; of characters, so it sees a copy whose words are inflected anew, and is never 0 for
    texts of one language. Punctuation and case do not count: a comma neither hides a copy nor makes one.
    """
    said, references = _words(reasoning), _references(knowledge)
    if metric == "chrf":
        return min(1.0, float(_chrf().sentence_score(said, list(references)).score) / 100)
    # As a corpus of one: sacrebleu's sentence function gives two words in a row full marks.
    return min(1.0, float(_bleu(smoothing, references).corpus_score([said], None).score) / 100)


@lru_cache(maxsize=1024)
def _references(knowledge: str) -> tuple[str, ...]:
    """The whole text and each of its items."""
    items = [line for line in knowledge.splitlines() if line.startswith("- ")]
    return tuple(dict.fromkeys(_words(reference) for reference in (knowledge, *items)))


def _words(text: str) -> str:
    return " ".join(re.findall(r"\w+", text.casefold()))


@lru_cache(maxsize=256)  # the n-grams of the references are counted once
def _bleu(smoothing: Smoothing, references: tuple[str, ...]) -> BLEU:
    listed = [[reference] for reference in references]
    # `force` silences a warning about tokenised text; the tokens are ours.
    return BLEU(
        tokenize="none", force=True, smooth_method=smoothing, effective_order=False, references=listed
    )


@lru_cache(maxsize=1)
def _chrf() -> CHRF:
    return CHRF()
