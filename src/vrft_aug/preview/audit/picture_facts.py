"""What one picture is, in a kilobyte: opened once, measured, and forgotten.

Everything here runs in worker processes, one picture at a time. Nothing of a DICOM header is read but what
makes the pixels.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, fields, is_dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from vrft_aug.data.images import PLAIN_SUFFIXES
from vrft_aug.errors import UserError
from vrft_aug.nouns import ImageRef
from vrft_aug.preview.audit.burned_text import letters_in_rows

Grey = NDArray[np.uint8]  # (height, width)
THUMB = 32  # pixels a side of what the fingerprints are made of, whatever the shape of the picture
MEASURED = 512  # pixels of the longer side at which borders and text are looked for
FLAT = 10  # grey values that a border's row may span
DEEP = {"I;16": 16, "I;16B": 16, "I;16L": 16, "I": 32, "F": 32, "1": 1}  # bits of a channel, else 8
# Sum of the quantisation table of luminance in the JPEG standard (annex K), which stands for quality 50
STANDARD_TABLE = 3689


@dataclass(frozen=True, slots=True)
class PictureFacts:
    """A picture measured; one that cannot be opened has `error` and nothing else."""

    size: tuple[int, int] = (0, 0)  # upright (width, height) in pixels
    suffix: str = ""  # of the file, in lower case; "" where it is in no file of its own
    format: str = ""  # as Pillow calls it
    mode: str = "RGB"  # as stored
    bits: int = 8  # a channel, as stored
    length: int = 0  # of the file, in bytes
    file_hash: str = ""  # of its bytes
    pixel_hash: str = ""  # of the upright RGB pixels and their size
    mean: float = 0.0  # of the grey values, 0 to 255
    spread: float = 0.0  # their standard deviation
    span: int = 0  # the brightest less the darkest
    dark: float = 0.0  # share of pixels below 10
    bright: float = 0.0  # share of pixels above 245
    colour: float = 0.0  # mean distance between the largest and the smallest channel
    border: tuple[float, float, float, float] = (0.0, 0.0, 0.0, 0.0)  # flat share: left, top, right, bottom
    quality: int | None = None  # of a JPEG, 1 to 100, by its table
    letters: int = 0  # marks that stand in rows as letters do
    thumb: bytes = b""  # THUMB x THUMB grey values
    error: str | None = None


def measure_picture(image: ImageRef) -> PictureFacts:
    """Open a picture and measure it; what is wrong with it is in `error`, in one line."""
    try:
        opened = image.open()
    except UserError as error:
        return PictureFacts(error=" ".join(str(error).split()))
    grey = opened.convert("L")
    values: Grey = np.asarray(grey)
    small = grey if max(grey.size) <= MEASURED else grey.copy()
    small.thumbnail((MEASURED, MEASURED), Image.Resampling.BOX)
    reduced: Grey = np.asarray(small)
    colours = np.asarray(opened if small is grey else opened.resize(small.size, Image.Resampling.BOX))
    return PictureFacts(
        size=opened.size,
        pixel_hash=hashlib.sha256(repr(opened.size).encode() + opened.tobytes()).hexdigest()[:32],
        mean=round(float(values.mean()), 2),
        spread=round(float(values.std()), 2),
        span=int(values.max()) - int(values.min()),
        dark=round(float((values < 10).mean()), 4),
        bright=round(float((values > 245).mean()), 4),
        colour=round(float(np.ptp(colours.astype(np.int16), axis=2).mean()), 2),
        border=flat_border(reduced),
        letters=letters_in_rows(reduced),
        thumb=grey.resize((THUMB, THUMB), Image.Resampling.LANCZOS).tobytes(),
        **_of_file(image),
    )


def picture_key(image: Any) -> Any:
    """What makes two references the same picture: all that says where it lies, not for which case."""
    names = _places_of(image.__class__)
    said = ((name, getattr(image, name)) for name in names)
    places = (name + str(value) if isinstance(value, Path) else (name, value) for name, value in said)
    return tuple(one for one in places if isinstance(one, str) or one[1] is not None) or id(image)


@cache
def _places_of(kind: Any) -> tuple[str, ...]:
    """The fields of a reference that say where the picture lies; () of what is no dataclass."""
    if not is_dataclass(kind):
        return ()
    return tuple(one.name for one in fields(kind) if one.name not in ("case", "expected", "annotations"))


def file_of(image: ImageRef) -> Path | None:
    """The file that a picture is; None where it is one of several things in a file, or in none."""
    path = getattr(image, "path", None)
    inside = any(getattr(image, key, None) is not None for key in ("index", "offset", "key"))
    return path if isinstance(path, Path) and not inside else None


def flat_border(grey: Grey) -> tuple[float, float, float, float]:
    """Share of width and height that rows and columns of one colour take: left, top, right, bottom."""
    columns = np.ptp(grey, axis=0) <= FLAT
    rows = np.ptp(grey, axis=1) <= FLAT
    sides = (columns, rows, columns[::-1], rows[::-1])
    left, top, right, bottom = (round(_leading(flat) / len(flat), 3) for flat in sides)
    return left, top, right, bottom


def jpeg_quality(tables: dict[int, list[int]] | None) -> int | None:
    """The quality setting, 1 to 100, that the IJG's library would need for this table of luminance."""
    if not tables or len(tables.get(0, ())) != 64:
        return None
    scale = 100 * sum(tables[0]) / STANDARD_TABLE
    return max(1, min(100, round((200 - scale) / 2 if scale <= 100 else 5000 / scale)))


def _leading(flat: NDArray[np.bool_]) -> int:
    return len(flat) if flat.all() else int(np.argmin(flat))


def _of_file(image: ImageRef) -> dict[str, Any]:
    """What the file says of itself, where the picture is a file of its own."""
    path = file_of(image)
    if path is None:
        return {}
    try:
        content = path.read_bytes()
    except OSError:
        return {}
    facts: dict[str, Any] = {
        "suffix": path.suffix.lower(),
        "length": len(content),
        "file_hash": hashlib.sha256(content).hexdigest()[:32],
    }
    if path.suffix.lower() not in PLAIN_SUFFIXES:
        return facts
    with Image.open(path) as header:
        mode, tables = header.mode, getattr(header, "quantization", None)
        deep = max((int(bits) for bits in _sample_bits(header)), default=DEEP.get(mode, 8))
        return facts | {
            "format": header.format or "",
            "mode": mode,
            "bits": deep,
            "quality": jpeg_quality(tables),
        }


def _sample_bits(header: Image.Image) -> tuple[int, ...]:
    """Bits a channel of a TIFF, which Pillow's mode hides where it reads 16-bit colour as 8."""
    tags: Any = getattr(header, "tag_v2", None)
    return tuple(tags.get(258, ())) if tags is not None else ()
