"""The format reward."""

from __future__ import annotations

import re

from vrft_aug.answer import THINK_THEN_ANSWER, tag_sequence
from vrft_aug.nouns import Rollout

_STRICT = re.compile(r"\s*<think>.*</think>\s*<answer>(.*)</answer>\s*", re.DOTALL)


def strict_format(rollout: Rollout) -> float:
    """1 for `<think>..</think><answer>..</answer>` and nothing else but white space, else 0.

    Each tag stands there once and the answer is not blank; whether it can be read is the other terms'
    affair. The reasoning may be empty: supervised fine-tuning on answers alone teaches it so, and where
    reasoning is shaped the recitation term gives silence the least it has.
    """
    found = _STRICT.fullmatch(rollout.completion)
    if found is None or tag_sequence(rollout.completion) != THINK_THEN_ANSWER:
        return 0.0
    return float(bool(found.group(1).strip()))
