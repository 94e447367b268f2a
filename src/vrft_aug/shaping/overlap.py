"""Free texts compared with the reference by what they share: recall, BLEU, ROUGE-L, numbers, yes and no."""

from __future__ import annotations

from collections import Counter
from functools import lru_cache
from typing import Annotated, Literal

from pydantic import Field
from sacrebleu.metrics import BLEU

from vrft_aug.nouns import Answer, Case, Task
from vrft_aug.reading.characters import comparable
from vrft_aug.reading.quantities import quantity
from vrft_aug.reading.yes_no import WORDS, yes_or_no
from vrft_aug.shaping.text import compared, words

MOST_WORDS = 2_000  # of a text that is compared; the rest is ignored


def recall(answer: Answer, case: Case, task: Task, longest: int = 4) -> float | None:
    """Share of the reference's words that the answer has, each as often as it occurs, 0..1.

    Saying everything would find every word, so that words beyond `longest` times the reference's (and no
    fewer than ten) are not read. 0 for an unparseable answer; None where the case's text is unknown or the
    task is of another kind.
    """
    texts = compared(answer, case, task)
    if texts is None or texts == "unreadable":
        return None if texts is None else 0.0
    said, wanted = map(words, texts)
    if not wanted:
        return float(not said)
    shared = Counter(said[: max(10, longest * len(wanted))]) & Counter(wanted)
    return sum(shared.values()) / len(wanted)


def bleu(
    answer: Answer,
    case: Case,
    task: Task,
    order: Annotated[int, Field(ge=1, le=4)] = 4,
    smoothing: Literal["none", "exp", "floor", "add-k"] = "exp",
) -> float | None:
    """Sentence BLEU of the answer against the reference, of words, 0..1, by sacrebleu.

    n-grams go up to `order`, and no further than the shorter text has words (effective order). 0 for an
    unparseable answer; None where the case's text is unknown or the task is of another kind.
    """
    texts = compared(answer, case, task)
    if texts is None or texts == "unreadable":
        return None if texts is None else 0.0
    said, wanted = (" ".join(words(text)[:MOST_WORDS]) for text in texts)
    if not said or not wanted:
        return float(said == wanted)
    if said == wanted:
        return 1.0
    return min(1.0, float(_bleu(order, smoothing).sentence_score(said, [wanted]).score) / 100)


def rouge_l(
    answer: Answer, case: Case, task: Task, beta: Annotated[float, Field(gt=0, le=10)] = 1.0
) -> float | None:
    """ROUGE-L (Lin, 2004): F-beta of the longest common subsequence of words, 0..1.

    0 for an unparseable answer; None where the case's text is unknown or the task is of another kind.
    """
    texts = compared(answer, case, task)
    if texts is None or texts == "unreadable":
        return None if texts is None else 0.0
    said, wanted = (words(text)[:MOST_WORDS] for text in texts)
    if not said or not wanted:
        return float(said == wanted)
    shared = common_subsequence(said, wanted)
    return (1 + beta**2) * shared / (len(said) + beta**2 * len(wanted))


def number(
    answer: Answer, case: Case, task: Task, tolerance: Annotated[float, Field(ge=0, le=1)] = 0.0
) -> float | None:
    """1 where the answer is the reference's number, also in another unit, to a share `tolerance`; else 0.

    None where the reference is no single number, or the task is of another kind.
    """
    truth = quantity(case.target.text) if task.kind == "answer" and case.target.text else None
    if truth is None:
        return None
    given = quantity(answer.value) if isinstance(answer.value, str) else None
    return float(given is not None and given.is_near(truth, tolerance))


def yes_no(answer: Answer, case: Case, task: Task) -> float | None:
    """1 where the answer says yes or no as the reference does, with negation, see `reading.yes_no`; else 0.

    None where the reference is neither yes nor no, or the task is of another kind.
    """
    if task.kind != "answer" or case.target.text is None:
        return None
    truth = WORDS.get(comparable(case.target.text))
    if truth is None:
        return None
    return float(isinstance(answer.value, str) and yes_or_no(answer.value) == truth)


def common_subsequence(one: list[str], other: list[str]) -> int:
    """The length of the longest common subsequence, by bits: one word of `other` a step (Hyyro, 2004)."""
    places: dict[str, int] = {}
    for place, word in enumerate(one):
        places[word] = places.get(word, 0) | (1 << place)
    mask = (1 << len(one)) - 1
    row = mask
    for word in other:
        hits = row & places.get(word, 0)
        row = ((row + hits) | (row - hits)) & mask
    return len(one) - row.bit_count()


@lru_cache(maxsize=16)
def _bleu(order: int, smoothing: str) -> BLEU:
    return BLEU(
        tokenize="none", force=True, smooth_method=smoothing, max_ngram_order=order, effective_order=True
    )
