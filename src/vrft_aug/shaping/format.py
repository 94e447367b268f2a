"""The format reward."""

from __future__ import annotations

import re
from typing import Literal

from vrft_aug.answer import THINK_THEN_ANSWER, tag_sequence
from vrft_aug.nouns import Rollout

_STRICT = re.compile(r"\s*<think>.*</think>\s*<answer>(.*)</answer>\s*", re.DOTALL)
_LAX = re.compile(r".*<think>.*</think>.*<answer>(.*)</answer>.*", re.DOTALL)


def format_reward(rollout: Rollout, mode: Literal["strict", "lax"] = "strict") -> float:
    """1 where the completion has the form that the prompt asks for, else 0.

    `strict`: see `strict_format`. `lax`: the same tags, each once and in that order, with any text before,
    between and after them; for a base model that cannot keep to the strict form yet.
    """
    if mode == "strict":
        return strict_format(rollout)
    return _formatted(rollout, _LAX)


def strict_format(rollout: Rollout) -> float:
    """1 for `<think>..</think><answer>..</answer>` and nothing else but white space, else 0.

    Each tag stands there once and the answer is not blank; whether it can be read is the other terms'
    affair. The reasoning may be empty: supervised fine-tuning on answers alone teaches it so, and where
    reasoning is shaped the recitation term gives silence the least it has.
    """
    return _formatted(rollout, _STRICT)


def _formatted(rollout: Rollout, form: re.Pattern[str]) -> float:
    if tag_sequence(rollout.completion) != THINK_THEN_ANSWER:
        return 0.0
    found = form.fullmatch(rollout.completion)
    return float(found is not None and bool(found.group(1).strip()))
