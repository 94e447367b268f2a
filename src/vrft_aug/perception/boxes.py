"""Boxes as a model writes them: a JSON list in the coordinates of its family, read strictly."""

from __future__ import annotations

import json
import re
from typing import Any

from vrft_aug.labels import match_label
from vrft_aug.nouns import Box, FailureReason
from vrft_aug.perception.spaces import Frame

# Bounds on what is read at all, far above honest answers (IDRiD's fullest image has 55 lesion boxes).
MAX_CHARACTERS = 32_768
MAX_BOXES = 256
MAX_COORDINATE = 1e6
OVERHANG = 0.01  # of width and height: rounding may put a corner just outside; such boxes are clipped
_FENCE = re.compile(r"```(?:json)?\s*(.*?)\s*```", re.DOTALL)


def read_boxes(
    text: str, labels: tuple[str, ...], frame: Frame
) -> tuple[tuple[Box, ...] | None, FailureReason | None]:
    """The boxes in pixels of the original image, clipped to it, or why there are none.

    Read are a JSON list of `{"bbox_2d": [x1, y1, x2, y2], "label": NAME}` (further keys are ignored) or of
    bare `[x1, y1, x2, y2]`, plain or in a markdown fence; `[]` says that there is nothing to find. A box
    need not be named where the task has one label, must be where it has several, and its name is ignored
    where it has none. One bad box spoils the list: "unknown label" or "ambiguous" for its name,
    "malformed" for all else.
    """
    entries = _json_list(text)
    if entries is None or len(entries) > MAX_BOXES:
        return None, "malformed"
    boxes = []
    for entry in entries:
        named = isinstance(entry, dict)
        label, reason = _label(entry.get("label") if named else None, labels)
        box = _box(entry.get("bbox_2d") if named else entry, label, frame)
        if box is None or reason is not None:
            return None, "malformed" if box is None else reason
        boxes.append(box)
    return tuple(boxes), None


def _json_list(text: str) -> list[Any] | None:
    if len(text) > MAX_CHARACTERS:
        return None
    fenced = _FENCE.fullmatch(text.strip())
    try:
        value = json.loads(fenced.group(1) if fenced else text)
    except (ValueError, RecursionError):  # no JSON, an integer of thousands of digits; nested too deep
        return None
    return value if isinstance(value, list) else None


def _label(name: Any, labels: tuple[str, ...]) -> tuple[str | None, FailureReason | None]:
    if not labels:
        return None, None
    if name is None and len(labels) == 1:
        return labels[0], None
    return match_label(name, labels) if isinstance(name, str) else (None, "malformed")


def _box(corners: Any, label: str | None, frame: Frame) -> Box | None:
    if not isinstance(corners, list) or len(corners) != 4:
        return None
    if not all(type(c) in (int, float) and abs(c) <= MAX_COORDINATE for c in corners):  # NaN is not <=
        return None
    x1, y1, x2, y2 = map(float, corners)
    box = frame.to_original(Box(x1, y1, x2, y2, label))
    (width, height), (dx, dy) = frame.original, (OVERHANG * side for side in frame.original)
    if min(box.x1 + dx, box.y1 + dy) < 0 or box.x2 > width + dx or box.y2 > height + dy:
        return None
    clipped = Box(max(box.x1, 0.0), max(box.y1, 0.0), min(box.x2, width), min(box.y2, height), label)
    return clipped if clipped.x1 < clipped.x2 and clipped.y1 < clipped.y2 else None
