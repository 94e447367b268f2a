"""The format reward: what the prompt asks an answer to look like."""

from __future__ import annotations

import re
from typing import Literal

from vrft_aug.answer import LAST_LINE, TAGS, tag_sequence
from vrft_aug.nouns import AnswerFormat, Rollout, Task
from vrft_aug.reading.stated_confidence import CONFIDENCE

_THINK, _SAY, _SURE = r"<think>.*</think>", r"<answer>(.*)</answer>", r"<confidence>.*\S.*</confidence>"
_SPACE = r"\s*"
Form = tuple[AnswerFormat, bool]  # and whether a confidence follows the answer
_PARTS: dict[Form, tuple[str, ...]] = {
    ("think-answer", False): (_THINK, _SAY),
    ("answer-first", False): (_SAY, _THINK),
    ("answer-alone", False): (_SAY,),
    ("think-answer", True): (_THINK, _SAY, _SURE),
    ("answer-first", True): (_SAY, _SURE, _THINK),
    ("answer-alone", True): (_SAY, _SURE),
}
_STRICT = {
    form: re.compile(_SPACE + _SPACE.join(parts) + _SPACE, re.DOTALL) for form, parts in _PARTS.items()
}
_LAX = {form: re.compile(rf".*{'.*'.join(parts)}.*", re.DOTALL) for form, parts in _PARTS.items()}


def format_reward(
    rollout: Rollout, mode: Literal["strict", "lax"] = "strict", task: Task | None = None
) -> float:
    """1 where the completion has the form that the prompt asks for (the task's `answer_format`), else 0.

    `strict`: see `strict_format`. `lax`: the same tags, each once and in that order, with any text before,
    between and after them; for a base model that cannot keep to the strict form yet.
    """
    wanted = task.answer_format if task is not None else "think-answer"
    sure = task is not None and task.confidence
    return _formatted(rollout, (wanted, sure), _STRICT if mode == "strict" else _LAX)


def strict_format(rollout: Rollout, wanted: AnswerFormat = "think-answer", confidence: bool = False) -> float:
    """1 for the form that is asked for and nothing else but white space, else 0.

    | `wanted` | form |
    |---|---|
    | `think-answer` | `<think>..</think><answer>..</answer>` |
    | `answer-first` | `<answer>..</answer><think>..</think>` |
    | `answer-alone` | `<answer>..</answer>` |
    | `free` | no such tags; the last line is `Answer: ..`, and the model ended it by itself |

    With `confidence` a `<confidence>..</confidence>` follows the answer.

    Each tag stands there once and the answer is not blank; whether it can be read is the other terms'
    affair. The reasoning may be empty: supervised fine-tuning on answers alone teaches it so, and where
    reasoning is shaped the recitation term gives silence the least it has.
    """
    return _formatted(rollout, (wanted, confidence), _STRICT)


def _formatted(rollout: Rollout, form: Form, forms: dict[Form, re.Pattern[str]]) -> float:
    wanted, confidence = form
    if tag_sequence(rollout.completion) != TAGS[wanted]:
        return 0.0
    if confidence and any(rollout.completion.count(tag) != 1 for tag in CONFIDENCE):
        return 0.0
    if wanted == "free":
        return float(rollout.finished and LAST_LINE.search(rollout.completion) is not None)
    found = forms[form].fullmatch(rollout.completion)
    return float(found is not None and bool(found.group(1).strip()))
