"""Which slices of a volume, or frames of a file, are shown; and several of them as one picture."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Annotated, Literal

import annotated_types
from PIL import Image

from vrft_aug.errors import UserError

Count = Annotated[int, annotated_types.Ge(1), annotated_types.Le(64)]
# the one in the middle; so many, evenly spaced; or these, counted from 0, from the end where negative
FrameChoice = Literal["middle"] | Count | tuple[int, ...]


def choose(choice: FrameChoice, count: int, where: str, setting: str) -> list[int]:
    """The places chosen of `count`, in order; `where` names the file in the UserError where there are fewer.

    n evenly spaced ones are the middles of n equal parts, so that 1 is the middle and ends are never shown.
    """
    if choice == "middle":
        return [count // 2]
    if isinstance(choice, int):
        if choice > count:
            raise UserError(f"{where} has {count} slices or frames, {setting} asks for {choice}")
        return [int((2 * place + 1) * count / (2 * choice)) for place in range(choice)]
    if not choice:
        raise UserError(f"{setting} is an empty list; expected places counted from 0")
    outside = [place for place in choice if not -count <= place < count]
    if outside:
        raise UserError(f"{where} has {count} slices or frames, counted from 0; {setting} names {outside[0]}")
    return [place % count for place in choice]


def grid(count: int) -> tuple[int, int]:
    """(columns, rows) of a grid as square as can be."""
    columns = math.ceil(math.sqrt(count))
    return columns, math.ceil(count / columns)


def montage(pictures: Sequence[Image.Image]) -> Image.Image:
    """Pictures of one size side by side, row by row, in a grid as square as can be; black where it ends."""
    columns, rows = grid(len(pictures))
    width, height = pictures[0].size
    whole = Image.new("RGB", (columns * width, rows * height))
    for place, picture in enumerate(pictures):
        whole.paste(picture, (place % columns * width, place // columns * height))
    return whole
