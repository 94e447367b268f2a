"""What the model will see at its resolution: sizes, visual tokens, and how large lesions are in them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from vrft_aug.perception.model_view import View
from vrft_aug.preview.audit.audited import AuditedTask, Finding, plural

SHRUNK = 0.7  # of the sides that are left, below which detail is lost that may matter
FEW = 0.1  # share of a label's boxes below one token that is told


@dataclass(frozen=True)
class Spread:
    """The tenth, the half and nine tenths of some numbers."""

    low: float
    median: float
    high: float

    @staticmethod
    def of(values: Sequence[float]) -> Spread:
        """Of at least one number."""
        low, median, high = np.quantile(np.asarray(values, dtype=float), [0.1, 0.5, 0.9])
        return Spread(round(float(low), 2), round(float(median), 2), round(float(high), 2))


@dataclass(frozen=True)
class LesionSize:
    """Boxes of one label as the model sees them; a token is a square of the processed picture."""

    label: str
    boxes: int
    side: Spread  # square root of the area, in sides of a token
    below: int  # boxes of less area than one token


@dataclass(frozen=True)
class Seen:
    """What the model sees of a task."""

    token_side: int  # pixels of the processed picture
    width: Spread  # of the pictures, in pixels
    height: Spread
    scale: Spread  # side as seen over side on disk
    tokens: Spread  # a case, over all of its pictures
    lesions: tuple[LesionSize, ...] = ()


def what_is_seen(data: AuditedTask, view: View) -> Seen | None:
    """Of all cases whose pictures have a known size; None without any."""
    sizes, scales, tokens = [], [], []
    lesions: defaultdict[str, list[float]] = defaultdict(list)
    for place, case in enumerate(data.cases):
        known = [data.pictures.facts[at].size for at in data.shown[place]]
        if not known or any(0 in size for size in known):
            continue
        sizes.append(known[0])
        frame = view.frame(known[0])
        across, down = (seen / own for seen, own in zip(frame.processed, frame.original, strict=True))
        scales.append((across * down) ** 0.5)
        tokens.append(sum(view.image_tokens(size) for size in known))
        for box in case.target.boxes or ():
            side = (box.area * across * down) ** 0.5 / view.factor
            lesions[box.label or "box"].append(float(side))  # corners of drawn boxes are numpy's
    if not sizes:
        return None
    return Seen(
        token_side=view.factor,
        width=Spread.of([width for width, _ in sizes]),
        height=Spread.of([height for _, height in sizes]),
        scale=Spread.of(scales),
        tokens=Spread.of(tokens),
        lesions=tuple(
            LesionSize(label, len(sides), Spread.of(sides), sum(side < 1 for side in sides))
            for label, sides in sorted(lesions.items())
        ),
    )


def lost_detail(data: AuditedTask, seen: Seen | None) -> Iterator[Finding]:
    """Pictures that are shrunk much, and labels whose lesions are smaller than a token."""
    if seen is None:
        return
    if seen.scale.median < SHRUNK:
        what = (
            f"the model sees pictures at {seen.scale.median:.0%} of their sides (median), in "
            f"{seen.tokens.median:.0f} visual tokens"
        )
        yield data.finding("shrunk", len(data.cases), what)
    small = [one for one in seen.lesions if one.below > FEW * one.boxes]
    if small:
        below = sum(one.below for one in small)
        examples = (
            data.example(
                f"{one.label}: {one.below:,} of {plural(one.boxes, 'box', 'boxes')}; the median is "
                f"{one.side.median:.1f} tokens a side"
            )
            for one in small
        )
        what = f"{plural(below, 'box', 'boxes')} smaller than one visual token"
        yield data.finding("small-lesions", below, what, examples)
