"""Where in a completion the answer stands, leniently: between tags, after the thinking, or stated last."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from vrft_aug.nouns import AnswerFormat, AnswerValue, FailureReason
from vrft_aug.reading.characters import plain
from vrft_aug.reading.wrappers import LEAD

_END_TOKENS = re.compile(
    r"(?:\s*(?:<\|(?:im_end|endoftext|eot_id|end_of_text|end|user)\|>|</s>|<end_of_turn>|<eos>))+\s*\Z"
)
_BOX_TOKENS = re.compile(r"<\|begin_of_box\|>(.*?)<\|end_of_box\|>", re.DOTALL)
_BOXED = re.compile(r"\\boxed\s*\{((?:[^{}]|\{[^{}]*\})*)\}")
# "Answer: B" or "the answer is B" at the start of a line or sentence, or after "so".
_STATED = re.compile(
    r"(?:^|(?<=[\n.!?。]))[\s*_#>-]*(?:[^\n.!?]{0,200}?,?\s+(?:so|thus|therefore|hence),?\s+)?"
    r"(?:(?:so|thus|therefore|hence)\s*,?\s+)?(?:(?:the|my|our)\s+)?(?:final\s+|correct\s+|best\s+|right\s+)*"
    r"(?:answer|option|choice|diagnosis)(?:\s+is\s*:?|\s*:[*_]+|[*_]+\s*:?|\s*:)\s*(?=\S)|"
    r"(?:^|(?<=[\n.!?。]))[\s*_#>-]*(?:最终|正确)?答案(?:是|为)?\s*:?\s*",
    re.IGNORECASE,
)
# What opens the explanation of an answer that stands before it, in a paragraph of its own.
_RATIONALE = re.compile(
    r"[\s*_#>-]*(?:here(?:'s| is) why|rationale|explanation|reasoning|justification|because)\b", re.IGNORECASE
)
# How other models mark their thinking -> as the tags that are asked for.
_OWN_MARKS = {
    "\u25c1think\u25b7": "<think>", "\u25c1/think\u25b7": "</think>",  # Kimi-VL
    "[THINK]": "<think>", "[/THINK]": "</think>",  # Magistral
    "<unused94>": "<think>", "<unused95>": "</think>",  # MedGemma
}  # fmt: skip
_OWN_MARK = re.compile("|".join(map(re.escape, _OWN_MARKS)))
MAX_CHARACTERS = 100_000
MOST_WORDS = 12  # of a free text that stands alone, without any tag that the prompt asks for

Value = tuple[AnswerValue, FailureReason | None]
Read = Callable[[str], Value]
THINK, ANSWER = ("<think>", "</think>"), ("<answer>", "</answer>")


@dataclass(frozen=True)
class Region:
    """The text that holds the answer, and whether it is the answer alone (tags) or prose around one."""

    text: str
    tagged: bool


def with_think_tags(completion: str) -> str:
    """The completion with the marks by which other models fence their thinking as think tags."""
    if not any(mark in completion for mark in ("\u25c1", "THINK]", "<unused9")):
        return completion
    return _OWN_MARK.sub(lambda mark: _OWN_MARKS[mark[0]], completion)


def find_region(
    completion: str, tags: Sequence[str], finished: bool, wanted: AnswerFormat
) -> Region | FailureReason:
    """Where the answer stands, or why nowhere.

    Read are a lone answer block, one after or (where `wanted` asks so) before the thinking, and without any
    answer tag what follows the thinking, or all of it. The thinking may lack its opening tag, which some chat
    templates write into the prompt, and the answer its closing tag where the model stopped by itself. Tags
    repeated, nested or crossed are "malformed", as in strict reading.
    """
    text, order = completion, tuple(tags)
    if order[:1] == ("</think>",):  # the template opened it
        order = ("<think>", *order)
    if not finished and "</answer>" not in order:
        return "truncated"
    if order in ((*THINK, *ANSWER), ANSWER):
        return _between(text)
    # Reasoning that is cut, or never ended, comes too late to take the answer back.
    if order in ((*ANSWER, *THINK), (*ANSWER, THINK[0])) and wanted == "answer-first":
        return _between(text)
    if order in ((*THINK, ANSWER[0]), ANSWER[:1]):
        return Region(_trimmed(text.partition(ANSWER[0])[2]), tagged=True)
    if order == THINK:
        return Region(_trimmed(text.partition(THINK[1])[2]), tagged=False)
    if not order:
        return Region(_trimmed(text), tagged=False)
    return "missing" if order == THINK[:1] else "malformed"


def read_region(region: Region, read: Read) -> Value:
    """The value of a region by `read`, which judges a text that should be an answer and nothing else.

    Where the whole is none, what is boxed or stated as the answer at the end is read; the last statement
    must end the text, and an earlier one must not say otherwise. Only an explanation that names nothing else
    may follow, in a paragraph that says it is one.
    """
    if not region.text:
        return None, "missing"
    value, reason = read(region.text)
    if reason is None or len(region.text) > MAX_CHARACTERS:
        return value, reason
    text = plain(region.text)
    if region.tagged and reason != "unknown label":
        return value, reason
    for marked in (_BOX_TOKENS, _BOXED):
        if said := {inner.strip() for inner in marked.findall(text)}:
            return _only([read(inner) for inner in said])
    if not region.tagged and (explained := _explained(text, read)) is not None:
        return explained
    heads = list(_STATED.finditer(text))
    if heads:
        last = read(text[heads[-1].end() :])
        if last[1] is None:
            return _only([last, *(_first_sentence(text[head.end() :], read) for head in heads[:-1])])
        return last
    return value, reason if region.tagged or reason == "ambiguous" else "missing"


def _explained(text: str, read: Read) -> Value | None:
    """The answer in the first paragraph where the second begins its explanation, which names no other."""
    first, _, rest = text.partition("\n\n")
    if not _RATIONALE.match(rest):
        return None
    head = _STATED.match(first)
    value = read(first[head.end() :] if head else first)
    return value if value[1] is None and read(f"{first}\n{rest}")[1] == "unknown label" else None


def is_short(text: str) -> bool:
    """Whether a text without tags can be a free answer by itself: one line of a dozen words, no lead."""
    return "\n" not in text and len(text.split()) <= MOST_WORDS and LEAD.match(text) is None


def _between(text: str) -> Region:
    inner = text.partition(ANSWER[0])[2].partition(ANSWER[1])[0]
    return Region(inner.strip(), tagged=True)


def _trimmed(text: str) -> str:
    return _END_TOKENS.sub("", text).strip()


def _only(found: Sequence[Value]) -> Value:
    """The one value that all have; those that could not be read say nothing."""
    values = {value for value, reason in found if reason is None}
    if len(values) > 1:
        return None, "ambiguous"
    return (values.pop(), None) if values else found[0]


def _first_sentence(text: str, read: Read) -> Value:
    line = text.partition("\n")[0]
    value = read(line)
    return value if value[1] is None else read(re.split(r"[.!?](?:\s|$)", line)[0])
