"""The one answer parser of training, scoring and evaluation: from a completion to a value or a reason."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache, partial

from vrft_aug.labels import match_label, match_labels, normalise
from vrft_aug.nouns import ABSTAINED, Answer, AnswerFormat, Case, FailureReason, Rollout, Task
from vrft_aug.perception.boxes import read_boxes
from vrft_aug.perception.spaces import Frame
from vrft_aug.reading.closed_set import read_label, read_labels
from vrft_aug.reading.options import LETTERS, options_in, read_option
from vrft_aug.reading.region import Read, Region, Value, find_region, is_short, read_region, with_think_tags
from vrft_aug.reading.stated_confidence import without_confidence
from vrft_aug.reading.wrappers import unwrapped

TAGS: dict[AnswerFormat, tuple[str, ...]] = {
    "think-answer": ("<think>", "</think>", "<answer>", "</answer>"),
    "answer-first": ("<answer>", "</answer>", "<think>", "</think>"),
    "answer-alone": ("<answer>", "</answer>"),
    "free": (),
}
_ABSTENTION = "\0abstention"  # a value beside labels and texts, which hold no such character
_TAG = re.compile(r"</?(?:think|answer)>")
ANSWER_BLOCK = re.compile(r"<answer>(.*?)</answer>", re.DOTALL)
LAST_LINE = re.compile(r"(?:\A|\n)Answer:[ \t]*([^\n]*\S)\s*\Z")  # of the free format


def parse(rollout: Rollout, task: Task, frame: Frame | None, case: Case | None = None) -> Answer:
    """What the completion answers, or why it answers nothing; boxes in pixels of the original image.

    `frame` is the picture that a localise task asks about, else unused; `case` has the options of a choice.
    The task says how answers are read (`answer_mode`): `strict` reads a lone `<answer>` block, and in it the
    answer and nothing else; `lenient` also the ways in which models put it, see docs/reference/answers.md.
    Text outside the tags is ignored where there are tags. The reasons:

    - "missing": no answer, or nothing in it;
    - "truncated": cut at the token limit before an answer was closed;
    - "malformed": tags repeated, nested, unbalanced or in the wrong order; boxes that are no such JSON
      list, or not finite, inverted, outside the image, or too many (see `read_boxes`);
    - "ambiguous", "unknown label": see `match_label` and `match_labels`, `read_option`;
    - "abstained": the whole answer is what the task calls an abstention.

    A stated confidence (`task.confidence`) is read and taken out first, see `without_confidence`.

    Raises ValueError where a localise task comes without a frame, a choice without options.
    """
    text, confidence = rollout.completion, None
    if task.confidence:
        text, confidence = without_confidence(
            with_think_tags(text), task.answer_mode == "strict", rollout.finished
        )
        rollout = replace(rollout, completion=text)
    if task.answer_mode == "strict":
        tags = tag_sequence(text)
        value, reason = _strict_value(rollout, tags, task, frame, case)
    else:
        text = with_think_tags(text)
        tags = tag_sequence(text)
        rollout = rollout if text is rollout.completion else replace(rollout, completion=text)
        value, reason = _lenient_value(rollout, tags, task, frame, case)
        if tags[:1] == ("</think>",):  # the chat template opened the thinking
            text, tags = f"<think>{text}", ("<think>", *tags)
    return Answer(value=value, reason=reason, reasoning=_reasoning(text, tags), confidence=confidence)


@lru_cache(maxsize=4)  # the parser and the format term ask one after the other
def tag_sequence(completion: str) -> tuple[str, ...]:
    """All think and answer tags of a completion in their order; tags are spelt exactly so."""
    return tuple(_TAG.findall(completion))


def _reasoning(text: str, tags: Sequence[str]) -> str:
    """What stands between the only two think tags, "" where there are no such."""
    if not tags.count("<think>") == tags.count("</think>") == 1:
        return ""
    start = text.index("<think>") + len("<think>")
    end = text.find("</think>", start)
    return text[start:end].strip() if end >= 0 else ""


def options_of(case: Case | None, task: Task) -> tuple[str, ...]:
    """The options that an answer may name by letter: the case's, else those that its question lists."""
    if case is not None and case.options:
        return case.options
    if task.kind == "choice":
        return task.labels
    if task.kind == "answer" or (task.kind == "classify" and _are_letters(task.labels)):
        return options_in((case.question if case is not None else None) or task.question)
    return ()


def _strict_value(
    rollout: Rollout, tags: Sequence[str], task: Task, frame: Frame | None, case: Case | None
) -> Value:
    if task.answer_format == "free" and not tags:
        last = LAST_LINE.search(rollout.completion)
        if last is None or not rollout.finished:
            return None, "missing" if rollout.finished else "truncated"
        text = last[1].strip()
    elif "</answer>" not in tags:
        if not rollout.finished:
            return None, "truncated"
        return None, "malformed" if "<answer>" in tags else "missing"
    else:
        found = ANSWER_BLOCK.search(rollout.completion)
        asked = (TAGS["think-answer"], TAGS["answer-alone"], TAGS[task.answer_format])
        if found is None or tags not in asked:
            return None, "malformed"
        text = found.group(1).strip()
    if not text:
        return None, "missing"
    if task.abstain is not None and normalise(text) == normalise(task.abstain):
        return None, ABSTAINED
    match task.kind:
        case "answer":
            return text, None
        case "localise":
            return read_boxes(text, task.labels, _needed(frame, task))
        case "multilabel":
            return match_labels(text, task.labels, task.synonyms)
        case "choice":
            return _strict_option(text, task, _needed_options(case, task))
        case _:
            return match_label(text, task.labels, task.synonyms)


def _strict_option(
    text: str, task: Task, options: tuple[str, ...]
) -> tuple[str | None, FailureReason | None]:
    if task.option_names == "text":
        return match_label(text, options)
    letter, reason = match_label(text, tuple(LETTERS[: len(options)]))
    return (options[LETTERS.index(letter)], None) if letter is not None else (None, reason)


def _lenient_value(
    rollout: Rollout, tags: Sequence[str], task: Task, frame: Frame | None, case: Case | None
) -> Value:
    region = find_region(rollout.completion, tags, rollout.finished, task.answer_format)
    if not isinstance(region, Region):
        return None, region
    value, reason = _region_value(region, task, frame, case)
    return (None, ABSTAINED) if value == _ABSTENTION else (value, reason)


def _region_value(region: Region, task: Task, frame: Frame | None, case: Case | None) -> Value:
    if task.kind == "answer":
        return _free_text(region, task)
    if task.kind == "localise":
        frame = _needed(frame, task)
        return read_region(region, lambda text: read_boxes(text, task.labels, frame, lenient=True))
    if task.kind == "multilabel":
        return _read(region, partial(read_labels, labels=task.labels, synonyms=task.synonyms), task)
    if task.kind == "choice":
        options = _needed_options(case, task)
        if task.option_names == "text":
            return _read(region, partial(read_label, labels=options, synonyms=task.synonyms), task)
        return _read(region, partial(read_option, options=options, synonyms=task.synonyms), task)
    value, reason = _read(region, partial(read_label, labels=task.labels, synonyms=task.synonyms), task)
    if reason is None or not (options := options_of(case, task)):
        return value, reason
    option, why = read_region(region, partial(read_option, options=options))
    letter = LETTERS[options.index(str(option))] if why is None else ""
    return match_label(letter, task.labels) if letter else (None, why)


def _read(region: Region, read: Read, task: Task) -> Value:
    """As `read_region`; the words of an abstention, where the task has such, are one more value."""
    if (words := task.abstain) is None:
        return read_region(region, read)

    def also(text: str) -> Value:
        return (_ABSTENTION, None) if read_label(text, (words,))[1] is None else read(text)

    return read_region(region, also)


def _free_text(region: Region, task: Task) -> Value:
    """In tags all that is there; without tags what is stated or boxed, or a short text; all if free."""

    def read(text: str) -> Value:
        if region.tagged or is_short(text) or text != region.text:
            said = unwrapped(text)
            return (said, None) if said else (None, "missing")
        return None, "unknown label"

    value, reason = _read(region, read, task)
    if reason == "missing" and task.answer_format == "free" and region.text:
        return region.text, None
    return value, reason


def _needed(frame: Frame | None, task: Task) -> Frame:
    if frame is None:
        raise ValueError(f"task {task.name!r} asks for boxes: parse needs the frame they lie in")
    return frame


def _needed_options(case: Case | None, task: Task) -> tuple[str, ...]:
    if not (options := options_of(case, task)):
        raise ValueError(
            f"task {task.name!r} asks for one of the options: parse needs the case that has them"
        )
    return options


def _are_letters(labels: tuple[str, ...]) -> bool:
    return labels == tuple(LETTERS[: len(labels)])
