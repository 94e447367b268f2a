"""What models put around an answer: Markdown, LaTeX, JSON, "the answer is"; taken off layer by layer."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

from vrft_aug.reading.characters import plain

MAX_CHARACTERS = 2_000  # of an answer to a closed question; longer ones are no label with a wrapper
LAYERS = 8
ANSWER_KEYS = (
    "answer", "final_answer", "final answer", "label", "labels", "choice", "option", "prediction",
    "diagnosis", "class", "grade", "result",
)  # fmt: skip
_FENCE = re.compile(r"```[\w-]*\s*(.*?)\s*```", re.DOTALL)
_MATH = re.compile(r"\$\$?\s*(.*?)\s*\$\$?|\\\(\s*(.*?)\s*\\\)|\\\[\s*(.*?)\s*\\\]", re.DOTALL)
_COMMAND = re.compile(
    r"\\(?:boxed|fbox|text|textbf|textit|textrm|mathrm|mathbf|mathit|operatorname|emph)\s*\{\s*(.*)\s*\}",
    re.DOTALL,
)
_MARKDOWN = re.compile(r"(\*\*\*|\*\*|\*|___|__|~~|`)(?=\S)(.+?)(?<=\S)\1[.!:]?", re.DOTALL)
_BULLET = re.compile(r"(?:[-*+•]|#{1,6}|>)\s+(.*)", re.DOTALL)
_TOKENS = re.compile(r"<\|begin_of_box\|>(.*?)<\|end_of_box\|>", re.DOTALL)
# Only what names one answer without a doubt: no "probably", no "most likely".
_NAMED = r"(?:answer|option|choice|label|class|category|grade|diagnosis|finding|prediction|conclusion)"
LEAD = re.compile(
    r"(?:(?:so|thus|therefore|hence|in conclusion|in summary)\s*,?\s+)?"
    rf"(?:(?:the|my|our)\s+)?(?:final\s+|correct\s+|best\s+|right\s+)*{_NAMED}"
    r"(?:\s+(?:is|was)\s*:?\s+|\s*[:=]\s*|\s+)|(?:it|this)\s+is\s+|(?:最终|正确)?答案(?:是|为)?\s*[:]?\s*",
    re.IGNORECASE,
)


def layers(text: str) -> Iterator[str]:
    """The text, then what is in it, one wrapper less at a time; a wrapper always holds the whole text."""
    text = plain(text).strip()
    for _ in range(LAYERS):
        yield text
        inner = _inner(text) if 0 < len(text) <= MAX_CHARACTERS else None
        if inner is None or not inner.strip() or inner == text:
            return
        text = inner.strip()


def unwrapped(text: str) -> str:
    """A free text without its wrappers, otherwise as it is written."""
    *_, last = layers(text)
    return last


def _inner(text: str) -> str | None:
    if text[0].isalnum():
        return text[found.end() :] if (found := LEAD.match(text)) else None
    for whole in (_FENCE, _TOKENS, _MATH, _COMMAND):
        if found := whole.fullmatch(text.rstrip(".") if whole is not _FENCE else text):
            inner = next(group for group in found.groups() if group is not None)
            return inner if _one_piece(whole, inner) else None
    if text[0] in "{[" and (said := _json(text)) is not None:
        return said
    if (found := _MARKDOWN.fullmatch(text)) and found[1] not in found[2]:
        return found[2]
    if (found := _BULLET.fullmatch(text)) and "\n" not in text:
        return found[1]
    bare = _bare_lead(text)
    return bare[found.end() :] if (found := LEAD.match(bare)) else None


def _bare_lead(text: str) -> str:
    """A leading "**Answer:**" without its asterisks."""
    return re.sub(r"^(\*\*|__)([^*_\n]{1,40}?)(\1\s*:|:\s*\1)\s*", r"\2: ", text)


def _one_piece(kind: re.Pattern[str], inner: str) -> bool:
    """Whether the wrapper holds one thing: no second box or fence inside, braces in pairs."""
    if kind is _COMMAND:
        depth = 0
        for mark in inner:
            depth += (mark == "{") - (mark == "}")
            if depth < 0:
                return False
        return depth == 0
    return not any(mark in inner for mark in ("$", "```", "\\(", "\\[", "<|begin_of_box|>"))


def _json(text: str) -> str | None:
    """The answer in `{"answer": "x"}` or `["x"]`; None where there is not exactly one."""
    try:
        value = json.loads(text, object_pairs_hook=_once)
    except (ValueError, RecursionError):
        return None
    if isinstance(value, list):
        value = value[0] if len(value) == 1 else None
    elif isinstance(value, dict):
        named = [key for key in value if str(key).casefold() in ANSWER_KEYS]
        value = value[named[0]] if len(named) == 1 else None
        if isinstance(value, list):
            return json.dumps(value, ensure_ascii=False)
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return None
    return str(value)


def _once(pairs: list[tuple[str, object]]) -> dict[str, object]:
    """A mapping; ValueError for a key given twice, which would answer twice."""
    if len({key for key, _ in pairs}) < len(pairs):
        raise ValueError("a key twice")
    return dict(pairs)
