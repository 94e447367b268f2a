"""Yes and no as people write them, with negation."""

from __future__ import annotations

import re
from typing import Literal

from vrft_aug.reading.characters import comparable, is_question
from vrft_aug.reading.wrappers import unwrapped

YesNo = Literal["yes", "no"]
WORDS: dict[str, YesNo] = {
    "yes": "yes", "no": "no", "true": "yes", "false": "no", "present": "yes", "absent": "no",
    "positive": "yes", "negative": "no", "是": "yes", "否": "no", "不是": "no", "有": "yes", "没有": "no",
    "存在": "yes", "不存在": "no", "是的": "yes", "无": "no",
}  # fmt: skip
MOST_WORDS = 40
_DENIED = re.compile(
    r"(?:there (?:is|are|was|were) (?:no|not)\b|no (?:evidence|signs?) of\b|it (?:is|does) not\b|"
    r"not (?:seen|present|visible|found)\b|none (?:is |are )?(?:seen|present|visible)\b)"
)
_STATED = re.compile(r"(?:there (?:is|are|was|were)\b|it (?:is|does)\b)")
_NEGATION = re.compile(r"\b(?:no|not|never|none|without|absent|n't|cannot|neither|nor)\b")
_HEDGE = re.compile(
    r"\b(?:or|but|maybe|perhaps|possibly|possible|probably|probable|likely|unlikely|unclear|uncertain|unsure|"
    r"may|might|could|cannot|however|suspected|suggests?|hard to|difficult to|either|if)\b|\?"
)


def yes_or_no(text: str) -> YesNo | None:
    """What a text answers to a question of yes or no; None where it hedges, says both, or neither.

    "No, there is no effusion" is no, "Yes, there is a nodule" is yes; without either word "there is no
    evidence of a nodule" is no and "there is a nodule" yes.
    """
    if is_question(text):
        return None
    said = comparable(unwrapped(text))
    if said in WORDS:
        return WORDS[said]
    words = said.split()
    if not words or len(words) > MOST_WORDS or _HEDGE.search(said):
        return None
    first = words[0].strip(",.;:!-")
    rest = said[len(words[0]) :]
    if first == "yes":
        return None if _NEGATION.search(rest) or re.search(r"\byes\b", rest) else "yes"
    if first == "no" and words[0] != "no":  # with a mark after it; "no effusion" is below
        return None if re.search(r"\byes\b", rest) else "no"
    if _DENIED.match(said) or first == "no":
        return "no" if len(_NEGATION.findall(said)) == 1 else None
    if _STATED.match(said):
        return None if _NEGATION.search(said) else "yes"
    return None
