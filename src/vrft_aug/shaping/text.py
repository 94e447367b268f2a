"""Free texts compared: normalised, by synonyms, and by their words."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from functools import lru_cache
from typing import Annotated, Literal

from pydantic import Field

from vrft_aug.answer import options_of
from vrft_aug.labels import Synonyms, normalise
from vrft_aug.nouns import Answer, Case, Task
from vrft_aug.reading.characters import comparable, forms, is_question
from vrft_aug.reading.options import same_option
from vrft_aug.reading.quantities import Quantity, quantity
from vrft_aug.reading.yes_no import WORDS, YesNo, yes_or_no


def token_f1_reward(
    answer: Answer, case: Case, task: Task, beta: Annotated[float, Field(gt=0, le=10)] = 1.0
) -> float | None:
    """F-beta of the words of the answer and of the true text, 0..1, synonyms in their canonical form first.

    With F1, the default, saying both of two likely words ("left right lower lobe") earns a little more than
    guessing one of them; `accuracy` beside it makes up for that, and so does `beta` of 0.5 (extra words cost
    more, missing ones less).
    0 for an unparseable answer; None where the case's text is unknown or the task is of another kind.
    """
    texts = compared(answer, case, task)
    if texts is None or texts == "unreadable":
        return None if texts is None else 0.0
    return token_f1(*texts, beta)


def compared(answer: Answer, case: Case, task: Task) -> tuple[str, str] | Literal["unreadable"] | None:
    """Answer and reference as terms of overlap compare them; None where there is no reference text.

    Both in their canonical form; an answer that is the same as the reference (`same_text`) is the reference,
    so that no term pays it less than in full.
    """
    if task.kind != "answer" or case.target.text is None:
        return None
    if not isinstance(answer.value, str):
        return "unreadable"
    truth = canonical(case.target.text, task.synonyms)
    if task.answer_mode == "lenient" and same_text(answer.value, case.target.text, task, case):
        return truth, truth
    return canonical(answer.value, task.synonyms), truth


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
    also through articles and hyphens, as the same number in another unit, as yes or no where the
    truth is one of them, and as the same option, by letter or text, where the question lists options.
    """
    said = canonical(answer, task.synonyms)
    told = _truth(truth, task.synonyms)
    if task.answer_mode == "strict":
        return said == told.text
    if is_question(answer) and "?" not in truth:
        return False
    if said == told.text:
        return True
    if not told.forms.isdisjoint(forms(said)):
        return True
    if told.yes_no is not None:
        return yes_or_no(answer) == told.yes_no
    if told.quantity is not None:
        given = quantity(answer)
        return given is not None and given.is_near(told.quantity)
    options = options_of(case, task)
    return bool(options) and same_option(answer, truth, options)


@dataclass(frozen=True)
class _Truth:
    """A reference text as it may be met."""

    text: str  # canonical
    forms: frozenset[str]
    yes_no: YesNo | None
    quantity: Quantity | None


@lru_cache(maxsize=16_384)
def _truth(text: str, synonyms: Synonyms) -> _Truth:
    told = canonical(text, synonyms)
    return _Truth(told, frozenset(forms(told)), WORDS.get(comparable(text)), quantity(text))


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
