"""Free texts compared: normalised, by synonyms, and by their words."""

from __future__ import annotations

import re
from collections import Counter
from functools import lru_cache
from typing import Annotated

from pydantic import Field

from vrft_aug.answer import options_of
from vrft_aug.labels import Synonyms, normalise
from vrft_aug.nouns import Answer, Case, Task
from vrft_aug.reading.characters import comparable, forms
from vrft_aug.reading.options import same_option
from vrft_aug.reading.quantities import quantity
from vrft_aug.reading.wrappers import unwrapped
from vrft_aug.reading.yes_no import WORDS, yes_or_no


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


def same_text(answer: str, truth: str, task: Task, case: Case | None = None) -> bool:
    """Whether a free text answers as the truth does.

    They are the same once normalised, synonyms in their canonical form. Unless the task is read strictly,
    also through articles, hyphens and wrappers, as the same number in another unit, as yes or no where the
    truth is one of them, and as the same option, by letter or text, where the question lists options.
    """
    synonyms = task.synonyms
    if canonical(answer, synonyms) == canonical(truth, synonyms):
        return True
    if task.answer_mode == "strict":
        return False
    if set(forms(canonical(unwrapped(answer), synonyms))) & set(forms(canonical(truth, synonyms))):
        return True
    if (wanted := yes_or_no(truth)) is not None and comparable(truth) in WORDS:
        return yes_or_no(answer) == wanted
    if (measured := quantity(truth)) is not None:
        given = quantity(answer)
        return given is not None and given.is_near(measured)
    options = options_of(case, task)
    return bool(options) and same_option(answer, truth, options)


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
