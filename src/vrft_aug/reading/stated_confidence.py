"""How sure a model says it is: one number from 0 to 1 beside its answer, apart from the answer itself."""

from __future__ import annotations

import re
from functools import lru_cache

from vrft_aug.reading.characters import plain

CONFIDENCE = ("<confidence>", "</confidence>")
_THINKING = re.compile(r"<think>.*?(?:</think>|\Z)", re.DOTALL)
_BLOCK = re.compile(r"<confidence>(.*?)(?:</confidence>|(?=</?(?:think|answer)>)|\Z)", re.DOTALL)
# Without tags: a line of its own at the end.
_LAST_LINE = re.compile(
    r"(?:\A|\n)[\s*_#>-]*confidence(?:\s+(?:level|score))?[*_]*\s*(?:is\b|=|:)[*_]*\s*([^\n]*?)\s*\Z",
    re.IGNORECASE,
)
_LEAD = re.compile(
    r"\A(?:confidence(?:\s+(?:level|score))?\s*(?:is\b|=|:)\s*)?(?:about|around|~)?\s*", re.IGNORECASE
)
_SHARE = re.compile(r"(?:0|1)(?:[.,]\d{1,9})?|[.,]\d{1,9}")
_NUMBER = r"(\d{1,3}(?:[.,]\d{1,9})?)"
_PERCENT = re.compile(rf"{_NUMBER}\s*(?:%|\\%|per\s?cent|/\s*100|out of 100)", re.IGNORECASE)
_TENTHS = re.compile(rf"{_NUMBER}\s*(?:/\s*10|out of 10)", re.IGNORECASE)
_BARE = re.compile(r"\d{2,3}")
TENTH_OR_PERCENT = 10  # a bare number up to this may be of either scale, and is not read


def without_confidence(
    completion: str, strict: bool = False, finished: bool = True
) -> tuple[str, float | None]:
    """The completion without what it says of its confidence outside of the thinking, and that confidence.

    Read is a lone `<confidence>` block, which may lack its closing tag, or without such tags a last line
    "Confidence: 80 %". None where it says none, one that is no number from 0 to 1, one that was cut (not
    `finished` and not closed), or several.
    """
    cut = not finished and completion.rfind(CONFIDENCE[0]) > completion.rfind(CONFIDENCE[1])
    start = 0
    kept: list[str] = []
    found: list[str] = []

    def outside(text: str) -> str:
        found.extend(block[1] for block in _BLOCK.finditer(text))
        return _BLOCK.sub("", text)

    opened = completion.find("</think>")
    if opened >= 0 and "<think>" not in completion[:opened]:  # the chat template opened the thinking
        start = opened + len("</think>")
        kept.append(completion[:start])
    for thought in _THINKING.finditer(completion, start):
        kept += [outside(completion[start : thought.start()]), thought[0]]
        start = thought.end()
    last = completion[start:]
    if not found and CONFIDENCE[0] not in last and not strict and (line := _LAST_LINE.search(last)):
        found.append(line[1])
        kept.append(last[: line.start()])
    else:
        kept.append(outside(last))
    return "".join(kept), read_confidence(found[0], strict) if len(found) == 1 and not cut else None


@lru_cache(maxsize=4_096)
def read_confidence(text: str, strict: bool = False) -> float | None:
    """A number from 0 to 1, as `0.8`, `80 %`, `8/10`, `80` or `,8`; None for all else. Strict: `0.8` alone.

    A bare whole number above ten is a percentage; from 2 to 10 it might be of ten or of a hundred, and is not
    read.
    """
    if strict:
        return float(text) if re.fullmatch(r"\s*(?:0(?:\.\d{1,9})?|1(?:\.0{1,9})?)\s*", text) else None
    said = _LEAD.sub("", plain(text).strip().strip("*_`\"'$[](){}").strip(), count=1)
    said = said.strip().removesuffix(".").rstrip()
    value: float | None = None
    if _SHARE.fullmatch(said):
        value = _float(said)
    elif percent := _PERCENT.fullmatch(said):
        value = _float(percent[1]) / 100
    elif tenths := _TENTHS.fullmatch(said):
        value = _float(tenths[1]) / 10
    elif _BARE.fullmatch(said) and int(said) > TENTH_OR_PERCENT:
        value = int(said) / 100
    return value if value is not None and value <= 1 else None


def _float(text: str) -> float:
    return float(text.replace(",", "."))
