"""Pictures of more than 8 bits a channel, and signed ones: their values, and what of them is shown.

Pillow keeps 16-bit grey, but gives only the upper 8 bits of 16-bit colour, in which a 12-bit picture is
nearly black; both bytes are read here, by unpacking the file once from either end.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Values = NDArray[np.floating[Any]]
OUTLIERS = 200  # one pixel of so many may be cut off at either end
STRETCH = 1.25  # times the range without them; they are only cut off where they make it wider
COLOUR = re.compile(r"(RGB|RGBA|RGBX);16([BLN])")
UNREAD = re.compile(r"(LA|CMYK|RGBa);16[BLN]")
# TIFF tags
PHOTOMETRIC, PLANAR, SAMPLE_FORMAT, BITS = 262, 284, 339, 258
WHITE_IS_ZERO, SIGNED = 0, 2


def deep_values(image: Image.Image, again: Callable[[], Image.Image]) -> Values | None:
    """Values as they are meant, (h, w) or (h, w, channels), of an opened file; None for plain 8 bits.

    Loads the picture; `again` opens the same one anew, of colour. Raises ValueError where Pillow would give
    the upper bytes only and the lower ones cannot be had.
    """
    raw = _raw_mode(image)
    if colour := COLOUR.fullmatch(raw):
        order = colour[2] if colour[2] != "N" else {"little": "L", "big": "B"}[sys.byteorder]
        return _both_bytes(image, again(), f"{colour[1]};16{'L' if order == 'B' else 'B'}")
    if UNREAD.fullmatch(raw):
        raise ValueError(f"{raw.split(';')[0]} with 16 bits a channel is not read; save it as RGB or grey")
    tags: Any = getattr(image, "tag_v2", {})
    inverted = tags.get(PHOTOMETRIC) == WHITE_IS_ZERO
    signed = tags.get(SAMPLE_FORMAT, (1,))[0] == SIGNED
    bits = tags.get(BITS, (8,))[0]
    image.load()  # which may turn it and drop its tags
    if image.mode == "L" and signed:
        return np.asarray(image).view(np.int8).astype(np.float32)
    if not (image.mode.startswith("I") or image.mode == "F"):
        return None
    values = np.asarray(image)
    if image.mode == "I" and tags and bits == 32 and not signed:
        values = values.view(np.uint32)  # Pillow takes them for signed
    deep: Values = values.astype(np.float64 if values.dtype.itemsize == 4 else np.float32)
    return deep * -1 if inverted else deep


def robust_range(values: Values) -> tuple[float, float]:
    """From where to where values are shown; (0, 0) where none is finite.

    From the lowest to the highest. But an end is cut off, the lowest or the highest 0.5 % of the pixels
    (rounded down), where these alone make the range over 1.25 times as wide: a hot pixel, a burned-in marker.
    """
    flat = values[np.isfinite(values)].ravel()
    if not flat.size:
        return 0.0, 0.0
    cut = flat.size // OUTLIERS
    places = [0, cut, flat.size - 1 - cut, flat.size - 1]
    lowest, low, high, highest = map(float, np.partition(flat, places)[places])
    if low == high:
        return lowest, highest
    widest = STRETCH * (high - low)
    return low if high - lowest > widest else lowest, high if highest - low > widest else highest


def to_8_bit(values: Values, shown: tuple[float, float]) -> NDArray[np.uint8]:
    """Linear from `shown` to 0-255, cut off outside; what is no number, or a flat picture, is black."""
    low, high = shown
    if not high > low:
        return np.zeros(values.shape, np.uint8)
    known = np.nan_to_num(values, nan=low, posinf=high, neginf=low)
    scaled = (np.clip(known, low, high) - low) * (255 / (high - low))
    shown_values: NDArray[np.uint8] = np.rint(scaled).astype(np.uint8)
    return shown_values


def deep_picture(values: Values) -> Image.Image:
    """8-bit grey, RGB or RGBA of deep values. Colour keeps its black and its hues: only the top moves."""
    if values.ndim == 2:
        return Image.fromarray(to_8_bit(values, robust_range(values)))
    _, high = robust_range(values[..., :3].max(axis=-1))
    colour = to_8_bit(values[..., :3], (0.0, high))
    if values.shape[-1] == 3:
        return Image.fromarray(colour)
    alpha = to_8_bit(values[..., 3:], (0.0, 65535.0))
    return Image.fromarray(np.concatenate([colour, alpha], axis=-1))


def _raw_mode(image: Image.Image) -> str:
    """How the file's decoder unpacks pixels, "" where it does not say."""
    tags: Any = getattr(image, "tag_v2", {})
    if tags.get(PLANAR) == 2 and tags.get(BITS, (8,))[0] > 8 and len(image.getbands()) > 1:
        raise ValueError("16-bit colour in separate planes is not read; save it with the planes together")
    tiles: Any = getattr(image, "tile", None)
    arguments = tiles[0].args if tiles else ""
    first = arguments[0] if isinstance(arguments, tuple) and arguments else arguments
    return first if isinstance(first, str) else ""


def _both_bytes(image: Image.Image, again: Image.Image, other_order: str) -> Values:
    """16-bit colour: unpacked as the file says, which gives the upper bytes, and as of the other order."""
    with again as lower:
        tiles: Any = lower.tile  # type: ignore[attr-defined]
        lower.tile = [  # type: ignore[attr-defined]
            tile._replace(args=(other_order, *tile.args[1:]) if isinstance(tile.args, tuple) else other_order)
            for tile in tiles
        ]
        image.load()
        values: Values = np.asarray(image).astype(np.float32) * 256 + np.asarray(lower)
        return values
