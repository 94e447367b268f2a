"""Boxes as a model writes them: JSON or plain lines, in the coordinates of its family."""

from __future__ import annotations

import ast
import json
import re
from typing import Any

from vrft_aug.labels import match_label, normalise
from vrft_aug.nouns import Box, FailureReason
from vrft_aug.perception.spaces import Frame
from vrft_aug.reading.characters import plain
from vrft_aug.reading.closed_set import NONE_OF_THEM, read_label

# Bounds on what is read at all, far above honest answers (IDRiD's fullest image has 55 lesion boxes).
MAX_CHARACTERS = 32_768
MAX_BOXES = 256
MAX_COORDINATE = 1e6
OVERHANG = 0.01  # of width and height: rounding may put a corner just outside; such boxes are clipped
NOTHING = "none"  # the plain answer that says that there is nothing to find
_FENCE = re.compile(r"```\w*\s*(.*?)\s*```", re.DOTALL)
# Repeats are bounded, so that no answer takes long to be refused.
_NUMBER = r"([-+]?\d{1,12}(?:\.\d{0,20})?)"
_CORNERS = re.compile(
    rf"[\[(]{{0,2}}\s{{0,4}}(?<![\w.]){_NUMBER}\s{{0,4}},\s{{0,4}}{_NUMBER}\s{{0,4}}\)?,"
    rf"\s{{0,4}}\(?{_NUMBER}\s{{0,4}},\s{{0,4}}{_NUMBER}\s{{0,4}}[\])]{{0,2}}"
)
_BULLET = re.compile(r"\s*(?:[-*•]|\d{1,3}[.)])\s+")
_FENCED = re.compile(r"```\w*\s*(.*?)\s*```", re.DOTALL)
# Grounding tokens of Qwen2-VL and InternVL: a name, then corners.
_TOKEN_BOX = re.compile(
    r"(?:(?:<\|object_ref_start\|>|<ref>)(?P<name>[^<>|]{1,200})(?:<\|object_ref_end\|>|</ref>)\s*)?"
    r"(?:<\|box_start\|>|<box>)(?P<corners>[^<>|]{1,200})(?:<\|box_end\|>|</box>)"
)
NOTHING_THERE = (*NONE_OF_THEM, "no box", "no boxes", "nothing", "no findings", "no lesions", "nothing found")
_NO_NAME = re.compile(r'[{}\[\]<>"\\]')
Entry = tuple[Any, Any]  # corners and name, as they were read and not yet checked


def read_boxes(
    text: str, labels: tuple[str, ...], frame: Frame, lenient: bool = False
) -> tuple[tuple[Box, ...] | None, FailureReason | None]:
    """The boxes in pixels of the original image, clipped to it, or why there are none.

    Read are, with or without a markdown fence,

    - JSON: a list of `{"bbox_2d": [x1, y1, x2, y2], "label": NAME}` (further keys are ignored) or of bare
      `[x1, y1, x2, y2]`, or one such box without a list; `[]` says that there is nothing to find;
    - plain lines, a box each: `[x1, y1, x2, y2]` with brackets, parentheses, those of points
      `(x1, y1), (x2, y2)`, or none, and with the name before or after it; `none` says that there is nothing.

    A box need not be named where the task has one label, must be where it has several, and its name is
    ignored where it has none. One bad box spoils the answer: "unknown label" or "ambiguous" for its name,
    "malformed" for all else.

    `lenient` also reads one fenced block with prose around it, single quotes, a mapping whose only list holds
    the boxes, the grounding tokens of Qwen2-VL and InternVL, and names as `read_label` does. Keys that some
    tools use for other corners ("bbox", "box_2d") stay unread: a guess would move the box.
    """
    if lenient and len(text) <= MAX_CHARACTERS:
        text = _as_asked(text)
    entries = _entries(text) if len(text) <= MAX_CHARACTERS else None
    if entries is None or len(entries) > MAX_BOXES:
        return None, "malformed"
    boxes = []
    for corners, name in entries:
        label, reason = _label(name, labels, lenient)
        box = _box(corners, label, frame)
        if isinstance(box, str) or reason is not None:
            return None, "malformed" if isinstance(box, str) else reason
        boxes.append(box)
    return tuple(boxes), None


def box_fault(text: str, labels: tuple[str, ...], frame: Frame, lenient: bool = False) -> str | None:
    """Why `read_boxes` reads none, in words for a person; None where it reads them."""
    if len(text) > MAX_CHARACTERS:
        return f"it has {len(text)} characters; at most {MAX_CHARACTERS} are read"
    entries = _entries(_as_asked(text) if lenient else text)
    if entries is None:
        return 'it is neither JSON such as [{"bbox_2d": [x1, y1, x2, y2]}] nor a box a line, nor "none"'
    if len(entries) > MAX_BOXES:
        return f"it has {len(entries)} boxes; at most {MAX_BOXES} are read"
    for number, (corners, name) in enumerate(entries, start=1):
        box = _box(corners, None, frame)
        if isinstance(box, str):
            return f"box {number} {box}"
        _, reason = _label(name, labels, lenient)
        if reason is not None:
            given = "has no name" if name is None else f"is called {name!r} ({reason})"
            return f"box {number} {given}; expected one of {', '.join(labels)}"
    return None


def _entries(text: str) -> list[Entry] | None:
    fenced = _FENCE.fullmatch(text.strip())
    text = fenced.group(1) if fenced else text
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):  # no JSON, an integer of thousands of digits; nested too deep
        return _plain_entries(text)
    if isinstance(value, dict) or (isinstance(value, list) and len(value) == 4 and _numbers(value)):
        value = [value]
    if not isinstance(value, list):
        return None
    return [(e.get("bbox_2d"), e.get("label")) if isinstance(e, dict) else (e, None) for e in value]


def _plain_entries(text: str) -> list[Entry] | None:
    if normalise(text) == NOTHING:
        return []
    entries: list[Entry] = []
    for line in filter(str.strip, text.splitlines()):
        found = _CORNERS.search(line)
        if found is None:
            return None
        before, after = _BULLET.sub("", line[: found.start()], count=1), line[found.end() :]
        names = [name for part in (before, after) if (name := part.strip(" \t:=,;.-"))]
        if len(names) > 1 or any(map(_NO_NAME.search, names)):
            return None
        entries.append(([float(number) for number in found.groups()], names[0] if names else None))
    return entries or None


def _as_asked(text: str) -> str:
    """The answer in the form that the prompt asks for, where it is one of the others that are read."""
    text = plain(text).strip()
    if normalise(text) in NOTHING_THERE:
        return NOTHING
    fenced = _FENCED.findall(text)
    if len(fenced) == 1:
        text = fenced[0]
    tokens = list(_TOKEN_BOX.finditer(text))
    if tokens and not _TOKEN_BOX.sub("", text).strip(" ,;\n"):
        return "\n".join(f"{one['name'] or ''} {one['corners']}".strip() for one in tokens)
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        if "'" not in text:
            return text
        try:
            value = ast.literal_eval(text)
        except (ValueError, SyntaxError, RecursionError, MemoryError, TypeError):
            return text
    if isinstance(value, dict) and "bbox_2d" not in value:
        lists = [one for one in value.values() if isinstance(one, list)]
        if len(lists) == 1 and len(value) == 1:
            value = lists[0]
    try:
        return json.dumps(value)
    except (TypeError, ValueError, RecursionError):
        return text


def _label(name: Any, labels: tuple[str, ...], lenient: bool) -> tuple[str | None, FailureReason | None]:
    if not labels:
        return None, None
    if name is None and len(labels) == 1:
        return labels[0], None
    if not isinstance(name, str):
        return None, "malformed"
    return read_label(name, labels) if lenient else match_label(name, labels)


def _numbers(values: list[Any]) -> bool:
    return all(type(value) in (int, float) for value in values)  # not bool, which is an int


def _box(corners: Any, label: str | None, frame: Frame) -> Box | str:
    """The box in pixels of the original, clipped to it, or what is wrong with the corners."""
    if not isinstance(corners, list) or len(corners) != 4 or not _numbers(corners):
        return "is no list of four numbers [x1, y1, x2, y2]"
    if not all(abs(c) <= MAX_COORDINATE for c in corners):  # NaN is not <=
        return "has a coordinate that is not finite or far too large"
    x1, y1, x2, y2 = map(float, corners)
    if x1 > x2 or y1 > y2:
        return "is inverted: x1 lies right of x2 or y1 below y2"
    if x1 == x2 or y1 == y2:
        return f"has no {'width' if x1 == x2 else 'height'}"
    box = frame.to_original(Box(x1, y1, x2, y2, label))
    (width, height), (dx, dy) = frame.original, (OVERHANG * side for side in frame.original)
    if min(box.x1 + dx, box.y1 + dy) < 0 or box.x2 > width + dx or box.y2 > height + dy:
        return _outside(x2, y2, frame)
    clipped = Box(max(box.x1, 0.0), max(box.y1, 0.0), min(box.x2, width), min(box.y2, height), label)
    return clipped if clipped.x1 < clipped.x2 and clipped.y1 < clipped.y2 else "lies on the border outside"


def _outside(x2: float, y2: float, frame: Frame) -> str:
    """That a box leaves the picture, which pixels are meant, and of which it may have been meant instead."""
    (right, bottom), (width, height) = frame.extent, frame.original
    said = f"lies outside: coordinates go to {right} x {bottom} ({frame.space.meaning})"
    if (width, height) != (right, bottom) and x2 <= width and y2 <= height:
        return f"{said}; it looks like pixels of the original picture, {width} x {height}"
    return said
