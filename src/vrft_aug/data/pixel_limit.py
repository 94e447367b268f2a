"""How many pixels a picture may have: Pillow's own limit, or the one that the environment sets."""

from __future__ import annotations

import os
import warnings
from pathlib import Path
from typing import IO

from PIL import Image

from vrft_aug.errors import UserError, shown

VARIABLE = "VRFT_MAX_PIXELS"
USUAL = 178_956_970  # where Pillow refuses a picture as a bomb that is to fill the memory
TOO_LARGE = (Image.DecompressionBombError, Image.DecompressionBombWarning)  # what `open_limited` raises


def most_pixels() -> int:
    """The limit; raises UserError where the environment sets no whole number."""
    given = os.environ.get(VARIABLE)
    if given is None:
        limit = USUAL
    elif given.strip().isdecimal() and int(given) > 0:
        limit = int(given)
    else:
        raise UserError(f"{VARIABLE} is {shown(given)}; expected a number of pixels, as {USUAL}")
    return limit


def open_limited(source: Path | IO[bytes]) -> Image.Image:
    """`Image.open`, which raises one of `TOO_LARGE` above the limit; Pillow's own is not asked."""
    Image.MAX_IMAGE_PIXELS = most_pixels()
    with warnings.catch_warnings():
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        return Image.open(source)


def too_large(size: tuple[int, int] | None = None) -> str:
    """Why a picture is refused, (width, height) where it is known, and what to do."""
    what = f"{size[0]} x {size[1]} pixels is too large" if size else "it is too large"
    return (
        f"{what}: expected at most {most_pixels():,} pixels; save it smaller, or set the environment "
        f"variable {VARIABLE}"
    )
