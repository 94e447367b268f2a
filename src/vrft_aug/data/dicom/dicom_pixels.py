"""From the pixels of a DICOM file to the picture that a viewer shows: RGB of 8 bits.

Stored values, rescaled (modality LUT), then seen through a window (VOI LUT), as in PS3.3 C.11; white and
black change places for MONOCHROME1; colour spaces and palettes become RGB. Overlays are not drawn. Without
any window the range is found as for deep pictures, without the padding around the field of view.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from vrft_aug.data.deep_pixels import robust_range, to_8_bit
from vrft_aug.data.dicom.quiet_pydicom import Unreadable, dicom_file
from vrft_aug.data.pixel_limit import most_pixels, too_large

GREY = ("MONOCHROME1", "MONOCHROME2")
COLOUR = ("RGB", "YBR_FULL", "YBR_FULL_422", "YBR_ICT", "YBR_RCT", "PALETTE COLOR")
TWELVE_BIT = "1.2.840.10008.1.2.4.51"  # the transfer syntax JPEG Extended
LONGEST = 200  # times the shorter side
# Attributes that decide what is shown, from the functional groups of enhanced multi-frame files
GROUPS = ("PixelValueTransformationSequence", "FrameVOILUTSequence")


@dataclass(frozen=True)
class DicomImage:
    """One frame of a DICOM file."""

    path: Path
    case: str = ""
    frame: int | None = 0  # counted from 0; None: there has to be only one
    window: tuple[float, float] | None = None  # centre and width after rescaling; None: the file's own
    stored_window: int = 0  # which of several windows or VOI LUTs of the file

    def open(self) -> Image.Image:
        """The picture as RGB; UserError where it cannot be read, which quotes nothing of the header."""
        with dicom_file(self.path, self.case) as pydicom:
            header = read_dataset(pydicom, self.path)
            frame = only_frame(header) if self.frame is None else self.frame
            return Image.fromarray(shown(header, frame, self.window, self.stored_window)).convert("RGB")

    def size(self) -> tuple[int, int]:
        """(width, height) in pixels from the header alone."""
        with dicom_file(self.path, self.case) as pydicom:
            header = read_dataset(pydicom, self.path, pixels=False)
            return int(header.Columns), int(header.Rows)


def read_dataset(pydicom: Any, path: Path, pixels: bool = True) -> Any:
    """The file as pydicom reads it; a file without the usual preamble is taken where it is a picture."""
    header = pydicom.dcmread(path, force=True, stop_before_pixels=not pixels)
    if "Rows" not in header or "Columns" not in header:
        raise Unreadable("it has no picture in it (no rows and columns)")
    check_shape(int(header.Columns), int(header.Rows))
    return header


def check_shape(width: int, height: int) -> None:
    """Raise Unreadable for a frame that no model could be shown."""
    if width < 1 or height < 1:
        raise Unreadable(f"its picture has {width} x {height} pixels")
    if max(width, height) > LONGEST * min(width, height):
        raise Unreadable(f"{width} x {height} pixels is too narrow; expected at most {LONGEST}:1")
    if width * height > most_pixels():
        raise Unreadable(too_large((width, height)))


def only_frame(header: Any) -> int:
    """The frame of a file that has one; Unreadable for one that has several."""
    if (count := frame_count(header)) != 1:
        raise Unreadable(f"it has {count} frames and one picture is expected; reader dicom takes data.frames")
    return 0


def frame_count(header: Any) -> int:
    """How many frames a file has; 1 where it does not say."""
    count = header.get("NumberOfFrames")
    return int(count) if count not in (None, "") else 1


def shown(
    header: Any, frame: int, window: tuple[float, float] | None = None, stored_window: int = 0
) -> NDArray[np.uint8]:
    """The frame as shown, (h, w) or (h, w, 3)."""
    kind = str(header.get("PhotometricInterpretation", ""))
    if kind not in (*GREY, *COLOUR):
        raise Unreadable("its photometric interpretation is none of grey, RGB, YBR and palette")
    if kind in GREY:
        values, limits = windowed(header, frame, window, stored_window)
        grey = to_8_bit(values, limits)
        return 255 - grey if kind == "MONOCHROME1" else grey
    if window is not None:
        raise Unreadable("it is a colour picture, which has no window; expected no data.window")
    return _colour(header, frame, kind)


def windowed(
    header: Any, frame: int, window: tuple[float, float] | None, stored_window: int
) -> tuple[NDArray[np.floating[Any]], tuple[float, float]]:
    """A grey frame rescaled and windowed, before white and black change places, and the range it has then.

    Equal to pydicom's `apply_voi_lut(apply_modality_lut(pixels))` wherever there is a window.
    """
    from pydicom.pixels import apply_modality_lut, apply_voi, apply_windowing

    facts = _of_frame(header, frame)
    stored = frame_values(header, frame)
    values = apply_modality_lut(stored, facts)
    if window is not None:
        facts.WindowCenter, facts.WindowWidth = window
        for name in ("VOILUTFunction", "VOILUTSequence"):
            facts.pop(name, None)
        stored_window = 0
    if facts.get("VOILUTSequence"):
        tables = facts.VOILUTSequence
        _check_index(stored_window, len(tables), "VOI tables")
        bits = int(tables[stored_window].LUTDescriptor[2])
        looked_up: NDArray[np.floating[Any]] = apply_voi(values, facts, stored_window).astype(np.float32)
        return looked_up, (0.0, float(2**bits - 1))
    if facts.get("WindowCenter") is not None and facts.get("WindowWidth") is not None:
        _check_index(stored_window, facts["WindowCenter"].VM, "windows")
        return apply_windowing(values, facts, stored_window), _range(facts)
    plain = values.astype(np.float64)
    padding = _padding(facts, stored)
    if padding is not None and not padding.all():
        plain[padding] = np.nan  # shown black
        if facts.PhotometricInterpretation == "MONOCHROME1":
            plain[padding] = np.nanmax(plain)
    return plain, robust_range(plain)


def frame_values(header: Any, frame: int) -> NDArray[Any]:
    """The stored values of a frame, bits beyond those stored (old overlays) cleared."""
    from pydicom.pixels import pixel_array

    count = frame_count(header)
    if not 0 <= frame < count:
        raise Unreadable(f"it has no frame {frame}; its {count} frames are counted from 0")
    if not any(name in header for name in ("PixelData", "FloatPixelData", "DoubleFloatPixelData")):
        raise Unreadable("it has no pixels in it")
    _check_layout(header)
    syntax = header.file_meta.get("TransferSyntaxUID") if hasattr(header, "file_meta") else None
    if syntax is None:
        syntax = header.file_meta.TransferSyntaxUID = _guessed_syntax(header)
    if not _decodable(syntax):
        known = syntax.name if syntax.name != str(syntax) and syntax.is_private is False else "of its own"
        raise Unreadable(f"its pixels are packed in a way that is not read here ({known}); unpack them first")
    if not syntax.is_compressed:
        _check_length(header, count)
    try:
        values: NDArray[Any] = pixel_array(header, index=frame)
    except RuntimeError:
        if syntax == TWELVE_BIT and int(header.BitsStored) > 8:
            raise Unreadable(
                "lossy JPEG of 12 bits needs the package pylibjpeg-libjpeg, of license GPL-3.0: "
                "pip install 'vrft-aug[dicom-jpeg12]'"
            ) from None
        raise
    stored, allocated = int(header.BitsStored), int(header.BitsAllocated)
    if values.dtype.kind == "u" and stored < allocated and values.ndim == 2:
        values = values & ((1 << stored) - 1)
    return values


def _check_layout(header: Any) -> None:
    """Raise Unreadable where what a stored value is made of contradicts itself: it would be read wrongly."""
    stored, allocated = int(header.BitsStored), int(header.BitsAllocated)
    highest = header.get("HighBit")
    if not 1 <= stored <= allocated or (highest is not None and int(highest) != stored - 1):
        raise Unreadable("its header is at odds with its pixels: bits allocated, stored and high do not fit")
    if header.get("PixelRepresentation") not in (None, 0, 1):
        raise Unreadable("its pixel representation is neither 0 (unsigned) nor 1 (signed)")


def _check_length(header: Any, frames: int) -> None:
    """Raise Unreadable where unpacked pixels are not as many as rows and columns say.

    Less than a row may follow them: some devices pad.
    """
    name = next(n for n in ("PixelData", "FloatPixelData", "DoubleFloatPixelData") if n in header)
    bits = {"FloatPixelData": 32, "DoubleFloatPixelData": 64}.get(name, int(header.BitsAllocated))
    samples = int(header.get("SamplesPerPixel", 1))
    row = int(header.Columns) * samples * bits
    if header.get("PhotometricInterpretation") == "YBR_FULL_422":
        row = row * 2 // 3  # two pixels share their colour
    expected, row = -(-row * int(header.Rows) * frames // 8), -(-row // 8)
    if not expected <= len(header[name].value) < expected + max(2, row):
        raise Unreadable(
            "it is truncated or damaged, or its header is at odds with its pixels, which are not as many as "
            f"{header.Columns} columns, {header.Rows} rows and {frames} frames make"
        )


def _colour(header: Any, frame: int, kind: str) -> NDArray[np.uint8]:
    from pydicom.pixels import apply_color_lut

    values = frame_values(header, frame)
    bits = int(header.BitsStored)
    if kind == "PALETTE COLOR":
        values = apply_color_lut(values, header)
        bits = 8 * values.dtype.itemsize
    if bits <= 8:
        eight: NDArray[np.uint8] = values[..., :3].astype(np.uint8)
        return eight
    return to_8_bit(values[..., :3].astype(np.float32), (0.0, float(2**bits - 1)))


def _of_frame(header: Any, frame: int) -> Any:
    """What decides how a frame is shown, with the functional groups of enhanced files laid over it."""
    from pydicom import Dataset

    facts = Dataset()
    facts.file_meta = header.file_meta  # tables are stored in the byte order of the file
    for element in header:
        if element.tag.group == 0x0028:
            facts.add(element)
    shared = header.get("SharedFunctionalGroupsSequence") or []
    each = header.get("PerFrameFunctionalGroupsSequence") or []
    for groups in [*shared[:1], *each[frame : frame + 1]]:
        for name in GROUPS:
            for item in groups.get(name) or []:
                facts.update(item)
    return facts


def _range(facts: Any) -> tuple[float, float]:
    """Between which values pydicom's windowing puts everything."""
    if facts.get("ModalityLUTSequence"):
        low, high = 0.0, float(2 ** int(facts.ModalityLUTSequence[0].LUTDescriptor[2]) - 1)
    elif facts.PixelRepresentation == 0:
        low, high = 0.0, float(2 ** int(facts.BitsStored) - 1)
    else:
        low, high = -float(2 ** (int(facts.BitsStored) - 1)), float(2 ** (int(facts.BitsStored) - 1) - 1)
    slope, intercept = facts.get("RescaleSlope"), facts.get("RescaleIntercept")
    if slope is not None and intercept is not None:
        low, high = low * float(slope) + float(intercept), high * float(slope) + float(intercept)
    return low, high


def _padding(facts: Any, stored: NDArray[Any]) -> NDArray[np.bool_] | None:
    """Which pixels lie outside the field of view, as the file says; None where it does not."""
    first = facts.get("PixelPaddingValue")
    if first in (None, ""):
        return None
    last = facts.get("PixelPaddingRangeLimit")
    low, high = sorted((int(first), int(last if last not in (None, "") else first)))
    inside: NDArray[np.bool_] = (stored >= low) & (stored <= high)
    return inside


def _check_index(index: int, count: int, what: str) -> None:
    if index >= count:
        raise Unreadable(f"it has {count} {what}, data.stored_window is {index}, counted from 0")


def _decodable(syntax: Any) -> bool:
    from pydicom.pixels import get_decoder

    try:
        return bool(get_decoder(syntax).is_available)
    except NotImplementedError:
        return False


def _guessed_syntax(header: Any) -> Any:
    """For files without file meta information: pydicom read them, so they are uncompressed."""
    from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

    implicit, little = header.original_encoding
    if implicit:
        return ImplicitVRLittleEndian
    return ExplicitVRLittleEndian if little else ExplicitVRBigEndian
