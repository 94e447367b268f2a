"""The format reward."""

from __future__ import annotations

import re

from vrft_aug.answer import THINK_THEN_ANSWER, tag_sequence
from vrft_aug.nouns import Rollout

_STRICT = re.compile(r"\s*<think>(.*)</think>\s*<answer>(.*)</answer>\s*", re.DOTALL)


def strict_format(rollout: Rollout) -> float:
    """1 for `<think>..</think><answer>..</answer>` and nothing else but white space, else 0.

    Each tag stands there once. The reasoning needs a letter or digit (else negative recitation would train
    it away) and the answer must not be blank; whether the answer can be read is the other terms' affair.
    """
    found = _STRICT.fullmatch(rollout.completion)
    if found is None or tag_sequence(rollout.completion) != THINK_THEN_ANSWER:
        return 0.0
    reasoning, answer = found.groups()
    return float(any(map(str.isalnum, reasoning)) and bool(answer.strip()))
