"""Pictures from files and arrays, opened when needed, always as upright RGB.

What becomes RGB how: grey is repeated; 16-bit, 32-bit and float grey is stretched from its darkest to its
brightest pixel to 0-255 (12-bit films in 16-bit files would be black otherwise); palettes are looked up;
transparency is composited on black; the EXIF turn is applied. Of several frames the first is taken.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from vrft_aug.data.npz import read_row
from vrft_aug.errors import UserError
from vrft_aug.nouns import ImageRef

SUFFIXES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", ".webp")
ORIENTATION = 0x0112  # the EXIF tag; 5 to 8 swap width and height
BROKEN = (OSError, SyntaxError, ValueError, EOFError, struct.error, zlib.error, Image.DecompressionBombError)


@dataclass(frozen=True)
class FileImage:
    """A picture in a file; `case` is named where the file turns out to be broken."""

    path: Path
    case: str = ""

    def open(self) -> Image.Image:
        """The picture as upright RGB; UserError where it cannot be decoded."""
        with decoding(self.path, self.case), Image.open(self.path) as image:
            return to_rgb(image)


@dataclass(frozen=True)
class ArrayImage:
    """Picture `index` of the uint8 array `key` in an .npz file: (n, h, w) grey or (n, h, w, 3) RGB."""

    path: Path
    key: str
    index: int

    def open(self) -> Image.Image:
        """The picture as RGB; UserError where the file cannot be read."""
        return Image.fromarray(read_row(self.path, self.key, self.index)).convert("RGB")


def header_size(path: Path, case: str = "") -> tuple[int, int]:
    """Upright (width, height) in pixels from the header alone; UserError where the file is no picture."""
    with decoding(path, case), Image.open(path) as image:
        width, height = image.size
        turned = image.getexif().get(ORIENTATION, 1) in (5, 6, 7, 8)
    return (height, width) if turned else (width, height)


def image_size(image: ImageRef) -> tuple[int, int]:
    """Upright (width, height) in pixels; of a file from its header alone."""
    return header_size(image.path, image.case) if isinstance(image, FileImage) else image.open().size


def to_rgb(image: Image.Image) -> Image.Image:
    """A copy as upright 8-bit RGB, see the top of this file."""
    image.load()
    upright = ImageOps.exif_transpose(image)
    if upright.mode.startswith("I") or upright.mode == "F":
        return _stretch(upright).convert("RGB")
    if upright.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in upright.info:
        transparent = upright.convert("RGBA")
        black = Image.new("RGBA", upright.size, (0, 0, 0, 255))
        return Image.alpha_composite(black, transparent).convert("RGB")
    return upright.convert("RGB")


def _stretch(image: Image.Image) -> Image.Image:
    """Grey of any depth to 8 bits: darkest pixel 0, brightest 255; a flat picture is black."""
    values = np.nan_to_num(np.asarray(image, dtype=np.float64))
    low, high = float(values.min()), float(values.max())
    scaled = (values - low) * (255 / (high - low)) if high > low else np.zeros_like(values)
    return Image.fromarray(np.rint(scaled).astype(np.uint8))


@contextmanager
def decoding(path: Path, case: str) -> Iterator[None]:
    """Turn what Pillow raises at a broken file into one line that names file and case."""
    of_case = f" of case {case}" if case else ""
    try:
        yield
    except FileNotFoundError:
        raise UserError(f"image {path}{of_case} does not exist") from None
    except BROKEN as error:
        reason = " ".join(str(error).split()).removesuffix(f" '{path}'")
        raise UserError(f"image {path}{of_case} cannot be decoded: {reason}") from None
