"""The eight ways a picture lies in its file (EXIF), and boxes and masks turned along with it.

Pictures are always shown upright. Boxes of most tools are in upright pixels too; those of tools that do not
know EXIF are in pixels as stored, and are turned here.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

from PIL import Image

from vrft_aug.nouns import Box

BoxPixels = Literal["upright", "stored"]  # what boxes are in: the picture turned by EXIF, or as it is stored
TAG = 0x0112
UPRIGHT = 1
SIDEWAYS = (5, 6, 7, 8)  # width and height change places
TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def of(image: Image.Image) -> int:
    """The orientation that an opened file declares; a PNG is decoded for it."""
    return int(image.getexif().get(TAG, UPRIGHT))


def turn(image: Image.Image, orientation: int) -> Image.Image:
    """A picture or mask as stored, turned upright; orientations unknown to EXIF change nothing."""
    return image.transpose(TURNS[orientation]) if orientation in TURNS else image


def turn_back(image: Image.Image, orientation: int) -> Image.Image:
    """The inverse of `turn`."""
    return turn(image, {6: 8, 8: 6}.get(orientation, orientation))


def turn_size(stored: tuple[int, int], orientation: int) -> tuple[int, int]:
    """Upright (width, height) of a picture stored as (width, height)."""
    return (stored[1], stored[0]) if orientation in SIDEWAYS else stored


def turn_box(box: Box, orientation: int, stored: tuple[int, int]) -> Box:
    """From pixels as stored, of a picture of (width, height) as stored, to upright pixels."""
    width, height = stored
    x1, y1, x2, y2 = box.x1, box.y1, box.x2, box.y2
    if orientation in (2, 3, 7, 8):  # the stored x axis runs backwards upright
        x1, x2 = width - x2, width - x1
    if orientation in (3, 4, 6, 7):
        y1, y2 = height - y2, height - y1
    if orientation in SIDEWAYS:
        x1, y1, x2, y2 = y1, x1, y2, x2
    return replace(box, x1=x1, y1=y1, x2=x2, y2=y2)
