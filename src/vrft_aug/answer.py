"""The one answer parser of training, scoring and evaluation: from a completion to a value or a reason."""

from __future__ import annotations

import re

from vrft_aug.labels import match_label, match_labels
from vrft_aug.nouns import Answer, AnswerValue, FailureReason, Rollout, Task
from vrft_aug.perception.boxes import read_boxes
from vrft_aug.perception.spaces import Frame

THINK_THEN_ANSWER = ["<think>", "</think>", "<answer>", "</answer>"]
_ANSWER_ALONE = ["<answer>", "</answer>"]
_TAG = re.compile(r"</?(?:think|answer)>")
_REASONING = re.compile(r"<think>(.*?)</think>", re.DOTALL)
_ANSWER = re.compile(r"<answer>(.*?)</answer>", re.DOTALL)


def parse(rollout: Rollout, task: Task, frame: Frame | None) -> Answer:
    """What the completion answers, or why it answers nothing; boxes in pixels of the original image.

    `frame` is the picture that a localise task asks about, else unused. A lone `<answer>` block is read
    (the format reward asks for more), and text outside the tags is ignored. The reasons:

    - "missing": no answer tag, or nothing between the two;
    - "truncated": cut at the token limit before an answer was closed;
    - "malformed": tags repeated, nested, unbalanced or in the wrong order; boxes that are no such JSON
      list, or not finite, inverted, outside the image, or too many (see `read_boxes`);
    - "ambiguous", "unknown label": see `match_label` and `match_labels`.

    Raises ValueError where a localise task comes without a frame.
    """
    text = rollout.completion
    tags = tag_sequence(text)
    reasoning = _REASONING.search(text) if tags.count("<think>") == tags.count("</think>") == 1 else None
    value, reason = _value(rollout, tags, task, frame)
    return Answer(value=value, reason=reason, reasoning=reasoning.group(1).strip() if reasoning else "")


def tag_sequence(completion: str) -> list[str]:
    """All think and answer tags of a completion in their order; tags are spelt exactly so."""
    return _TAG.findall(completion)


def _value(
    rollout: Rollout, tags: list[str], task: Task, frame: Frame | None
) -> tuple[AnswerValue, FailureReason | None]:
    if "</answer>" not in tags:
        if not rollout.finished:
            return None, "truncated"
        return None, "malformed" if "<answer>" in tags else "missing"
    found = _ANSWER.search(rollout.completion)
    if found is None or tags not in (THINK_THEN_ANSWER, _ANSWER_ALONE):
        return None, "malformed"
    text = found.group(1).strip()
    if not text:
        return None, "missing"
    if task.kind == "answer":
        return text, None
    if task.kind == "localise":
        if frame is None:
            raise ValueError(f"task {task.name!r} asks for boxes: parse needs the frame they lie in")
        return read_boxes(text, task.labels, frame)
    if task.kind == "multilabel":
        return match_labels(text, task.labels, task.synonyms)
    return match_label(text, task.labels, task.synonyms)
