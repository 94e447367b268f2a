"""Pictures that are resized so much that what is looked for may be gone, in a line each."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from vrft_aug.nouns import Case
from vrft_aug.perception.model_view import GRIDS, View

SHRUNK = 0.5  # of a picture's sides
SMALL = 4  # pixels of the processed picture that the smaller side of a box should keep
LESION = 40  # pixels; the example where no box is known


def resized_away(view: View, case: Case, sizes: Sequence[tuple[int, int]]) -> Iterator[str]:
    """A line for each picture of (width, height) pixels that is seen at less than half of its sides.

    Of the first picture also where a box of the case is left less than SMALL pixels wide or high.
    """
    for place, (width, height) in enumerate(sizes):
        seen = view.frame((width, height)).processed
        across, down = seen[0] / width, seen[1] / height
        boxes = [(box.x2 - box.x1, box.y2 - box.y1) for box in case.target.boxes or ()] if place == 0 else []
        least = min(boxes, key=lambda box: min(box[0] * across, box[1] * down), default=None)
        lost = least is not None and min(least[0] * across, least[1] * down) < SMALL
        scale = min(across, down)
        if scale >= SHRUNK and not lost:
            continue
        if least is not None:
            becomes = (
                f"its smallest box, {least[0]:.0f} x {least[1]:.0f} pixels, becomes "
                f"{least[0] * across:.1f} x {least[1] * down:.1f}"
            )
        else:
            becomes = f"a lesion of {LESION} pixels becomes {LESION * scale:.1f}"
        told = f"image {width} x {height} is seen at {scale:.0%} of its sides: {becomes}"
        yield f"{told}; {_remedy(view, scale)}"


def _remedy(view: View, scale: float) -> str:
    if scale >= 1:
        return "cut the pictures to what matters, and enlarge that"
    if view.family in GRIDS:
        return f"raise model.max_pixels ({view.max_pixels}), or cut the pictures to what matters"
    return "this family resizes all pictures: cut them to what matters, or take a Qwen-VL"
