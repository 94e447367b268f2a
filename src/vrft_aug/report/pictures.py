"""Thumbnails for a page: small, without the file's metadata, with the true and the predicted boxes drawn."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from itertools import pairwise

from PIL import Image, ImageDraw, ImageFont

from vrft_aug.nouns import Box, ImageRef

SIDE = 320  # pixels of the longer side, unless asked for otherwise; two for each pixel on the page
SMALLEST = 224  # smaller pictures are enlarged, so that lines and boxes can be told apart
TEXT = 13  # pixels of the labels of boxes
TRUE, PREDICTED, HALO = "#35e0ff", "#ffe14a", "#000000"


def thumbnail(
    ref: ImageRef, true: Sequence[Box] = (), predicted: Sequence[Box] = (), side: int = SIDE
) -> str:
    """A picture as a `data:` address; boxes, in pixels of the original, are drawn on it.

    True boxes have a solid cyan line, predicted ones a dashed yellow line; where boxes have labels these
    stand above the true ones and below the predicted ones.
    """
    image = ref.open()
    scale = _scale(image.size, side)
    size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    drawn = image.resize(size, Image.Resampling.LANCZOS if scale < 1 else Image.Resampling.NEAREST)
    pen = ImageDraw.Draw(drawn)
    for box in true:
        _outline(pen, box, scale, TRUE, dash=0)
    for box in predicted:
        _outline(pen, box, scale, PREDICTED, dash=7)
    for box in true:
        _name(pen, box, scale, TRUE, above=True)
    for box in predicted:
        _name(pen, box, scale, PREDICTED, above=False)
    drawn.info.clear()  # comments and the like, which Pillow would copy into the new file
    buffer = io.BytesIO()
    drawn.save(buffer, format="JPEG", quality=85, subsampling=0)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode()


def _scale(size: tuple[int, int], side: int) -> float:
    longest = max(size)
    if longest > side:
        return side / longest
    return max(1, -(-SMALLEST // longest))  # whole, so that pixels stay square


def _outline(pen: ImageDraw.ImageDraw, box: Box, scale: float, colour: str, dash: int) -> None:
    """A line of two pixels along the inner edge on a dark halo; `dash` 0 is solid."""
    left, top = box.x1 * scale, box.y1 * scale
    right, bottom = max(left + 1, box.x2 * scale - 1), max(top + 1, box.y2 * scale - 1)
    corners = [(left, top), (right, top), (right, bottom), (left, bottom), (left, top)]
    pieces = [piece for start, end in pairwise(corners) for piece in _dashes(start, end, dash)]
    for piece in pieces:
        pen.line(piece, fill=HALO, width=4)
    for piece in pieces:
        pen.line(piece, fill=colour, width=2)


def _name(pen: ImageDraw.ImageDraw, box: Box, scale: float, colour: str, above: bool) -> None:
    """The label of a box at its outside, moved as far as it takes to stay in the picture."""
    if not box.label:
        return
    font = ImageFont.load_default(size=TEXT)
    width, height = pen.im.size
    x = max(2.0, min(box.x1 * scale, width - pen.textlength(box.label, font=font) - 2))
    y = box.y1 * scale - TEXT - 5 if above else box.y2 * scale + 1
    place = (x, max(1.0, min(y, height - TEXT - 5)))
    pen.text(place, box.label, fill=colour, font=font, stroke_width=2, stroke_fill=HALO)


def _dashes(
    start: tuple[float, float], end: tuple[float, float], dash: int
) -> list[tuple[tuple[float, float], tuple[float, float]]]:
    length = abs(end[0] - start[0]) + abs(end[1] - start[1])  # sides are axis-parallel
    if dash == 0 or length <= dash:
        return [(start, end)]
    dx, dy = ((b - a) / length for a, b in zip(start, end, strict=True))
    pieces = []
    at = 0.0
    while at < length:
        to = min(at + dash, length)
        pieces.append(((start[0] + dx * at, start[1] + dy * at), (start[0] + dx * to, start[1] + dy * to)))
        at += 2 * dash * 0.8
    return pieces
