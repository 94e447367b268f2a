"""Boxes that are probably slips: outside their picture, tiny, all over it, or there twice."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from vrft_aug.nouns import Box
from vrft_aug.perception.matching import iou_matrix
from vrft_aug.preview.audit.audited import AuditedTask, Finding, plural

TINY = 3.0  # pixels of the shorter side below which a box is tiny
COVERING = 0.95  # of the picture's area
SAME = 0.9  # IoU from which two boxes of one label are one
SLACK = 0.5  # pixels that rounding may put outside
Found = list[tuple[int, tuple[Box, ...]]]  # (case, its boxes in question)


def slips(data: AuditedTask) -> Iterator[Finding]:
    """All four kinds; those that need the picture's size only where it is known."""
    outside: Found = []
    tiny: Found = []
    covering: Found = []
    doubled: Found = []
    for place, case in enumerate(data.cases):
        boxes = case.target.boxes
        if not boxes:
            continue
        size = data.first_size(place)
        for found, chosen in (
            (outside, [box for box in boxes if size is not None and _outside(box, size)]),
            (tiny, [box for box in boxes if min(box.x2 - box.x1, box.y2 - box.y1) < TINY]),
            (covering, [box for box in boxes if size is not None and _covers(box, size)]),
            (doubled, _doubled(boxes)),
        ):
            if chosen:
                found.append((place, tuple(chosen)))
    for name, found, what in (
        ("boxes-outside", outside, "outside their picture"),
        ("boxes-tiny", tiny, f"less than {TINY:g} pixels wide or high"),
        ("boxes-covering", covering, f"over {COVERING:.0%} of their picture or more"),
        ("boxes-doubled", doubled, f"on another one of the same label (IoU {SAME} or more)"),
    ):
        count = sum(len(boxes) for _, boxes in found)
        if count:
            examples = (data.example(_wording(data, *one), one[0], boxes=one[1]) for one in found)
            sentence = f"{plural(count, 'box', 'boxes')} of {plural(len(found), 'case')} {what}"
            yield data.finding(name, count, sentence, examples)


def _outside(box: Box, size: tuple[int, int]) -> bool:
    over = max(-box.x1, -box.y1, box.x2 - size[0], box.y2 - size[1])
    return over > SLACK or box.area == 0


def _covers(box: Box, size: tuple[int, int]) -> bool:
    return box.area >= COVERING * size[0] * size[1]


def _doubled(boxes: Sequence[Box]) -> list[Box]:
    """Each box that lies on an earlier one of its label."""
    if len(boxes) < 2:
        return []
    overlap = iou_matrix(boxes, boxes)
    return [
        box
        for i, box in enumerate(boxes)
        if any(overlap[i, j] >= SAME and boxes[j].label == box.label for j in range(i))
    ]


def _wording(data: AuditedTask, case: int, boxes: Sequence[Box]) -> str:
    box = boxes[0]
    corners = ", ".join(f"{value:.0f}" for value in (box.x1, box.y1, box.x2, box.y2))
    size = data.first_size(case)
    of = f" in a picture of {size[0]} x {size[1]} pixels" if size is not None else ""
    more = f" and {len(boxes) - 1} more" if len(boxes) > 1 else ""
    return f"{box.label or 'box'} [{corners}]{of}{more}"
