"""Pictures from files and arrays, opened when needed, always as upright RGB.

What becomes RGB how: grey is repeated; 8 bits stay as they are; deeper and signed pixels are shown in a
robust range, see deep_pixels.py; palettes are looked up; transparency is composited on black; CMYK is
converted; the EXIF turn is applied. A file of several pages or frames is refused unless the one to take is
named.
"""

from __future__ import annotations

import hashlib
import io
import struct
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image, ImageOps

from vrft_aug.data import orientation
from vrft_aug.data.deep_pixels import deep_picture, deep_values
from vrft_aug.data.dicom.dicom_pixels import DicomImage
from vrft_aug.data.dicom.quiet_pydicom import SUFFIXES as dicom_suffixes
from vrft_aug.data.dicom.quiet_pydicom import is_dicom
from vrft_aug.data.npz import read_row
from vrft_aug.data.pixel_limit import TOO_LARGE, open_limited, too_large
from vrft_aug.errors import UserError
from vrft_aug.nouns import ImageRef

PLAIN_SUFFIXES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", ".webp", ".jp2", ".j2k", ".gif")
SUFFIXES = (*PLAIN_SUFFIXES, *dicom_suffixes)
BROKEN = (OSError, SyntaxError, ValueError, EOFError, struct.error, zlib.error)
VOLUMES = (".nii", ".nii.gz", ".mha", ".nrrd", ".mgz")  # whose users may take them for pictures
LONGEST = 200  # times the shorter side; image processors refuse more
REDUCED = 1  # of TIFF's tag 254: the page is a smaller copy of another


@dataclass(frozen=True, slots=True)
class FileImage:
    """A picture in a file, opened when it is needed.

    Args:
        path: the file, in any format that Pillow reads, or DICOM.
        case: the id that messages name where the file turns out to be broken.
        page: of several pages or frames, counted from 0; None: there has to be only one.
    """

    path: Path
    case: str = ""
    page: int | None = None

    def open(self) -> Image.Image:
        """The picture as upright RGB; UserError where it cannot be decoded."""
        if (dicom := _dicom(self.path, self.case, self.page)) is not None:
            return dicom.open()
        with decoding(self.path, self.case):
            return decoded(self.path, self.page)

    def size(self) -> tuple[int, int]:
        """Upright (width, height) in pixels from the header alone."""
        return header_size(self.path, self.case, self.page)


@dataclass(frozen=True)
class ArrayImage:
    """Picture `index` of the uint8 array `key` in an .npz file: (n, h, w) grey or (n, h, w, 3) RGB."""

    path: Path
    key: str
    index: int

    def open(self) -> Image.Image:
        """The picture as RGB; UserError where the file cannot be read."""
        return Image.fromarray(read_row(self.path, self.key, self.index)).convert("RGB")


@dataclass(frozen=True)
class Header:
    """How a picture lies in its file."""

    stored: tuple[int, int]  # (width, height) in pixels, not turned
    orientation: int  # EXIF's, 1 is upright

    @property
    def size(self) -> tuple[int, int]:
        """Upright (width, height) in pixels."""
        return orientation.turn_size(self.stored, self.orientation)


def read_header(path: Path, case: str = "", page: int | None = None) -> Header:
    """Without decoding a pixel; UserError where the file is no picture."""
    if (dicom := _dicom(path, case, page)) is not None:
        return Header(dicom.size(), orientation.UPRIGHT)
    with decoding(path, case), open_picture(path, page) as image:
        turned = _png_orientation(path) if image.format == "PNG" else orientation.of(image)
        # Pillow turns a TIFF itself and has its size upright from the start
        stored = orientation.turn_size(image.size, turned) if image.format == "TIFF" else image.size
        return Header(stored, turned)


def header_size(path: Path, case: str = "", page: int | None = None) -> tuple[int, int]:
    """Upright (width, height) in pixels from the header alone; UserError where the file is no picture."""
    return read_header(path, case, page).size


def image_size(image: ImageRef) -> tuple[int, int]:
    """Upright (width, height) in pixels; without decoding where the reference knows it (`size`)."""
    known: Any = getattr(image, "size", None)
    size: tuple[int, int] = known() if callable(known) else image.open().size
    return size


def to_rgb(image: Image.Image, again: Callable[[], Image.Image]) -> Image.Image:
    """The picture as upright 8-bit RGB, see the top of this file; `again` opens it a second time."""
    values = deep_values(image, again)
    image.load()
    turned = orientation.of(image)
    if values is not None:
        upright = orientation.turn(deep_picture(values), turned)
    elif turned in orientation.TURNS:
        upright = ImageOps.exif_transpose(image)
    else:
        upright = image
    if upright.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in upright.info:
        transparent = upright.convert("RGBA")
        black = Image.new("RGBA", upright.size, (0, 0, 0, 255))
        return Image.alpha_composite(black, transparent).convert("RGB")
    if upright.mode != "RGB":
        return upright.convert("RGB")
    if upright is not image:
        return upright
    return _detached(image)


def content_name(content: bytes) -> str:
    """What tells a picture by its file's bytes where it has no name: 16 hexadecimal digits of a SHA-256."""
    return hashlib.sha256(content).hexdigest()[:16]


def _detached(image: Image.Image) -> Image.Image:
    """The loaded picture free of its file, which may be closed: a large one is in memory once."""
    if getattr(image, "map", None) is not None:  # in memory that belongs to the file
        return image.copy()
    pixels: Image.Image = image._new(image.im)
    return pixels


def _dicom(path: Path, case: str, page: int | None) -> DicomImage | None:
    """The file as DICOM; None where it is something else."""
    if path.suffix.lower() in PLAIN_SUFFIXES or not is_dicom(path):
        return None
    return DicomImage(path, case, page)


def decoded(source: Path | bytes, page: int | None = None) -> Image.Image:
    """The picture of a file, or of its content, as upright RGB; raises what Pillow does, see `decoding`."""
    with open_picture(source, page) as image:
        return to_rgb(image, lambda: open_picture(source, page))


def open_picture(source: Path | bytes, page: int | None = None) -> Image.Image:
    """The file with its page chosen and its shape looked at, nothing decoded; ValueError where that fails."""
    image = open_limited(io.BytesIO(source) if isinstance(source, bytes) else source)
    if image.format == "TIFF" and orientation.of(image) in orientation.SIDEWAYS:
        # Pillow would map an uncompressed grey one into memory, in rows of the length that it has upright
        setattr(image, "filename", "")  # noqa: B010 (of its subclasses)
    try:
        _choose(image, page)
        width, height = image.size
        if max(width, height) > LONGEST * min(width, height):
            raise ValueError(f"{width} x {height} pixels is too narrow; expected at most {LONGEST}:1")
    except BaseException:
        image.close()
        raise
    return image


def _choose(image: Image.Image, page: int | None) -> None:
    count = getattr(image, "n_frames", 1)
    if image.format == "MPO":  # a camera's photograph, with its preview or depth behind it
        count = 1
    if count == 1 and not page:
        return
    whole = [n for n in range(count) if not _reduced(image, n)] if image.format == "TIFF" else [*range(count)]
    if page is not None and page not in range(count):
        raise ValueError(f"it has no page {page}; its {count} pages are counted from 0")
    if page is None and len(whole) > 1:
        raise ValueError(
            f"it has {len(whole)} pages or frames and one picture is expected; name one "
            "(data.page of reader csv, from 0), or save it as a file"
        )
    image.seek(page if page is not None else whole[0] if whole else 0)


def _png_orientation(path: Path) -> int:
    """Of a PNG from its chunks alone: Pillow decodes the whole picture to look for one at the end."""
    with path.open("rb") as file:
        file.seek(8)
        while len(head := file.read(8)) == 8:
            length, name = struct.unpack(">I4s", head)
            if name == b"eXIf":
                exif = Image.Exif()
                exif.load(file.read(length))
                return int(exif.get(orientation.TAG, orientation.UPRIGHT))
            file.seek(length + 4, 1)
    return orientation.UPRIGHT


def _reduced(image: Image.Image, page: int) -> bool:
    image.seek(page)
    tags: Any = image.tag_v2  # type: ignore[attr-defined]
    return bool(tags.get(254, 0) & REDUCED)


@contextmanager
def decoding(path: Path, case: str) -> Iterator[None]:
    """Turn what Pillow raises at a broken file into one line that names file and case."""
    of_case = f" of case {case}" if case else ""
    try:
        yield
    except FileNotFoundError:
        raise UserError(f"image {path}{of_case} does not exist") from None
    except TOO_LARGE:
        raise UserError(f"image {path}{of_case} cannot be decoded: {too_large()}") from None
    except BROKEN as error:
        reason = " ".join(str(error).split()).removesuffix(f" '{path}'")
        if path.name.lower().endswith(VOLUMES):
            reason = "it is a volume, of which reader volume shows slices"
        raise UserError(f"image {path}{of_case} cannot be decoded: {reason}") from None
