"""Where the lesions of a case are, if anything tells it, and boxes of equal size elsewhere as a control."""

from __future__ import annotations

import random
from collections.abc import Hashable, Sequence
from dataclasses import replace

from vrft_aug.data.cases import EmptySplit, load_cases
from vrft_aug.data.picture_identity import picture_identity
from vrft_aug.data.splits import SPLITS
from vrft_aug.nouns import Box, Case, ImageRef
from vrft_aug.recipe.schema import Recipe
from vrft_aug.tasks.task import make_task

TRIES = 40  # places that are tried for a box: half where lesions of other cases are, half anywhere
Centre = tuple[float, float]  # of a box, as shares of the picture's width and height


def localise_tasks(recipe: Recipe, task: str) -> list[str]:
    """The other tasks of the recipe whose boxes may tell where the lesions of this one are."""
    return [name for name, config in recipe.tasks.items() if config.kind == "localise" and name != task]


def known_boxes(recipe: Recipe, task: str, split: str, cases: Sequence[Case]) -> dict[str, tuple[Box, ...]]:
    """Case id -> the boxes of its first picture, in its original pixels; () where it is known to have none.

    They are the case's own, else those of a localise task of the recipe that has the same picture, in `split`
    or any other. Cases of which nothing is known are left out. Raises UserError where a task's data cannot be
    read.
    """
    found = {case.id: case.target.boxes for case in cases if case.target.boxes is not None}
    wanted = {_key(case.images[0]): case.id for case in cases if case.id not in found}
    for name in localise_tasks(recipe, task):
        config = recipe.tasks[name]
        for part in sorted(SPLITS, key=lambda one: one != split):
            if not wanted:
                return found
            try:
                boxed = load_cases(config.data, make_task(name, config), recipe.root(), part)
            except EmptySplit:
                continue
            by_picture = {_key(one.images[0]): one.target.boxes for one in boxed if one.images}
            for key in wanted.keys() & by_picture.keys():
                found[wanted.pop(key)] = by_picture[key] or ()
    return found


def centres(boxes: Sequence[Box], size: tuple[int, int]) -> list[Centre]:
    """The centres of boxes in a picture of (width, height) pixels."""
    return [((box.x1 + box.x2) / 2 / size[0], (box.y1 + box.y2) / 2 / size[1]) for box in boxes]


def control_boxes(
    boxes: Sequence[Box], size: tuple[int, int], elsewhere: Sequence[Centre], source: random.Random
) -> tuple[Box, ...]:
    """A box of the same size for each, away from all of them and from each other where there is room.

    A box is moved by whole pixels, so that it covers as many: to a place where some case has a lesion
    (`elsewhere`), else to any place in the picture of (width, height) pixels; where every place that was
    tried overlaps, to the one that does least.
    """
    placed: list[Box] = []
    for box in boxes:
        across = (-int(box.x1), int(size[0] - box.x2))
        down = (-int(box.y1), int(size[1] - box.y2))
        tried = []
        for attempt in range(TRIES):
            if elsewhere and attempt < TRIES // 2:
                x, y = source.choice(elsewhere)
                dx = _within(round(x * size[0] - (box.x1 + box.x2) / 2), across)
                dy = _within(round(y * size[1] - (box.y1 + box.y2) / 2), down)
            else:
                dx, dy = source.randint(*sorted(across)), source.randint(*sorted(down))
            moved = replace(box, x1=box.x1 + dx, y1=box.y1 + dy, x2=box.x2 + dx, y2=box.y2 + dy, label=None)
            tried.append((overlap([moved], [*boxes, *placed]), attempt, moved))
            if tried[-1][0] == 0:
                break
        placed.append(min(tried, key=lambda one: one[:2])[2])
    return tuple(placed)


def overlap(some: Sequence[Box], others: Sequence[Box]) -> float:
    """The area in square pixels that boxes share with others, pair by pair."""
    return sum(
        Box(max(a.x1, b.x1), max(a.y1, b.y1), min(a.x2, b.x2), min(a.y2, b.y2)).area
        if max(a.x1, b.x1) < min(a.x2, b.x2)
        else 0.0
        for a in some
        for b in others
    )


def _within(value: int, limits: tuple[int, int]) -> int:
    low, high = limits
    return max(low, min(high, value))


def _key(image: ImageRef) -> Hashable:
    key = picture_identity(image)
    return key if isinstance(key, Hashable) else id(image)
