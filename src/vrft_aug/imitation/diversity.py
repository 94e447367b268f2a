"""How much texts copy from the prompt and from each other: the measures that alarms are raised by."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from statistics import fmean

from sacrebleu.metrics import BLEU

from vrft_aug.shaping.text import words

Gram = tuple[str, ...]
MOST = 4  # texts of a group that are compared with the others; more takes long and tells little


def copied_share(reasoning: str, knowledge: str, n: int = 5) -> float | None:
    """Share of the n-grams (of words) of the reasoning that stand in the knowledge, 0..1.

    None where either has fewer than n words: nothing is copied then that could be called so.
    """
    said, known = _grams(reasoning, n), frozenset(_known_grams(knowledge, n))
    if not said or not known:
        return None
    return sum(gram in known for gram in said) / len(said)


def distinct_share(texts: Sequence[str], n: int = 2) -> float | None:
    """Distinct n-grams over all n-grams of the texts together (distinct-n of Li et al., NAACL 2016), 0..1.

    None where no text has n words.
    """
    grams = [gram for text in texts for gram in _grams(text, n)]
    return len(set(grams)) / len(grams) if grams else None


def self_bleu(texts: Sequence[str]) -> float | None:
    """Mean BLEU (to bigrams) of texts against all others of their group (Zhu et al., SIGIR 2018), 0..1.

    The first four texts stand for all, which are drawn alike anyway. 1 where all are one text, None where
    fewer than two have words.
    """
    said = [text for text in (" ".join(words(text)) for text in texts) if text]
    if len(said) < 2:
        return None
    scores = []
    for place, text in enumerate(said[:MOST]):
        others = dict.fromkeys(said[:place] + said[place + 1 :])
        if text in others:
            scores.append(1.0)
        else:
            scores.append(_bleu().corpus_score([text], [[other] for other in others]).score / 100)
    return min(1.0, fmean(scores))


def _grams(text: str, n: int) -> list[Gram]:
    said = words(text)
    return list(zip(*(said[start:] for start in range(n)), strict=False))


@lru_cache(maxsize=1024)
def _known_grams(knowledge: str, n: int) -> tuple[Gram, ...]:
    return tuple(dict.fromkeys(_grams(knowledge, n)))


@lru_cache(maxsize=1)
def _bleu() -> BLEU:
    return BLEU(tokenize="none", force=True, smooth_method="exp", max_ngram_order=2)
