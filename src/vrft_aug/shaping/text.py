"""Free texts compared: normalised, by synonyms, and by their words."""

from __future__ import annotations

import re
from collections import Counter
from functools import lru_cache
from typing import Annotated

from pydantic import Field

from vrft_aug.labels import Synonyms, normalise
from vrft_aug.nouns import Answer, Case, Task


def token_f1_reward(
    answer: Answer, case: Case, task: Task, beta: Annotated[float, Field(gt=0, le=10)] = 1.0
) -> float | None:
    """F-beta of the words of the answer and of the true text, 0..1, synonyms in their canonical form first.

    With F1, the default, saying both of two likely words ("left right lower lobe") earns a little more than
    guessing one of them; `accuracy` beside it makes up for that, and so does `beta` of 0.5 (extra words cost
    more, missing ones less).
    0 for an unparseable answer; None where the case's text is unknown or the task is of another kind.
    """
    if task.kind != "answer" or case.target.text is None:
        return None
    if not isinstance(answer.value, str):
        return 0.0
    return token_f1(canonical(answer.value, task.synonyms), canonical(case.target.text, task.synonyms), beta)


def canonical(text: str, synonyms: Synonyms) -> str:
    """The normalised text with every synonym, as whole words, replaced by what it stands for."""
    text = normalise(text)
    if not synonyms:
        return text
    pattern, names = _names(synonyms)
    return pattern.sub(lambda found: names[found.group()], text)


def words(text: str) -> list[str]:
    """The words of a free text, normalised as for an exact match and without punctuation between them."""
    return re.findall(r"\w+", normalise(text))


def token_f1(predicted: str, truth: str, beta: float = 1.0) -> float:
    """F-beta of words, each as often as it occurs: with beta 1 the harmonic mean of precision and recall.

    Both empty is 1.
    """
    named, wanted = words(predicted), words(truth)
    if not named or not wanted:
        return float(named == wanted)
    shared = sum((Counter(named) & Counter(wanted)).values())
    return (1 + beta**2) * shared / (len(named) + beta**2 * len(wanted))


@lru_cache(maxsize=64)
def _names(synonyms: Synonyms) -> tuple[re.Pattern[str], dict[str, str]]:
    names = {normalise(name): normalise(name) for _, name in synonyms}
    names |= {normalise(other): normalise(name) for other, name in synonyms}
    longest_first = sorted(names, key=len, reverse=True)  # the name itself is kept, whatever it contains
    return re.compile(rf"(?<!\w)(?:{'|'.join(map(re.escape, longest_first))})(?!\w)"), names
