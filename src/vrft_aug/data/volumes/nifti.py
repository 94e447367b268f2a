"""NIfTI files: what their headers say of the geometry, and slices of their values; no text of a header.

Header texts (descrip, db_name, extensions) may name a patient; nibabel's own messages are not shown.
"""

from __future__ import annotations

import gzip
import logging
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from vrft_aug.data.volumes.planes import BadVolume, Layout, Plane, Values, layout_of, place, unusable, upright
from vrft_aug.errors import UserError

SUFFIXES = (".nii", ".nii.gz")
OTHERS = (".hdr", ".img", ".mha", ".mhd", ".nrrd", ".nhdr", ".mgz", ".mgh", ".mnc")  # told apart, not read
AXES = {"R": (0, 1), "L": (0, -1), "A": (1, 1), "P": (1, -1), "S": (2, 1), "I": (2, -1)}


@dataclass(frozen=True)
class NiftiVolume:
    """One NIfTI file, or one volume of a file of four dimensions."""

    path: Path
    layout: Layout
    affine: tuple[float, ...]  # of 16, row by row
    part: int | None = None  # of the fourth dimension

    @property
    def name(self) -> str:
        """For messages."""
        return str(self.path)

    def slice(self, plane: Plane, number: int, case: str = "") -> Values:
        """Scaled values as shown, (height, width) in voxels; UserError where the file is broken."""
        axis, index = place(self.layout, plane, number)
        with nifti_file(self.path, case):
            stored, slope, offset = _voxels(self.path, _stamp(self.path))
            whole = stored if self.part is None else stored[..., self.part]
            whole = whole.reshape(whole.shape[:3]) if whole.ndim != 3 else whole
            cut = np.asarray(np.moveaxis(whole, axis, 0)[index]).astype(np.float64)  # a view until here
        if slope != 1 or offset != 0:
            cut = cut * slope + offset
        return upright(cut, self.layout, plane)


def open_nifti(path: Path, part: int | None = None, axes: str | None = None, case: str = "") -> NiftiVolume:
    """The volume of a file from its header; `axes` are what its array's axes point to where it does not say.

    Raises UserError where the file is no NIfTI, is cut, has no orientation, or a fourth dimension unnamed.
    """
    with nifti_file(path, case) as nibabel:
        image = nibabel.load(path)
        if not isinstance(image, nibabel.Nifti1Image):
            raise BadVolume("it is no NIfTI file of one part, whatever its name says")
        shape = tuple(int(side) for side in image.shape)
        if image.get_data_dtype().kind not in "iuf":
            raise BadVolume("its voxels are colours or complex numbers; expected grey values")
        _check_length(path, image)
        spatial = _spatial(shape, part)
        affine = _affine(image, axes)
        return NiftiVolume(path, layout_of(affine, spatial), tuple(affine.ravel().tolist()), part)


def _spatial(shape: tuple[int, ...], part: int | None) -> tuple[int, ...]:
    """The three dimensions of space; BadVolume where there are more and none is named."""
    further = [side for side in shape[3:] if side != 1]
    if len(further) > 1:
        raise BadVolume(f"it has {len(shape)} dimensions; expected three, or four with data.part")
    count = further[0] if further else 1
    if part is None and count > 1:
        raise BadVolume(f"it has {count} volumes (times, directions or channels); name one with data.part")
    if part is not None and part >= count:
        raise BadVolume(f"it has {count} volumes, data.part is {part}, counted from 0")
    return (*shape[:3], *[1] * (3 - len(shape)))


def _affine(image: Any, axes: str | None) -> Values:
    """From voxels to mm, RAS+; BadVolume where the file does not say, or says two things."""
    from nibabel.orientations import io_orientation

    header = image.header
    quaternion, matrix = int(header["qform_code"]), int(header["sform_code"])
    if quaternion <= 0 and matrix <= 0:
        if axes is None:
            raise BadVolume(
                "it does not say how it lies in the patient (qform and sform codes are 0); say what its axes "
                "point to with data.axes, as RAS or LPS"
            )
        sides = np.abs(np.asarray(header["pixdim"][1:4], np.float64))
        affine = np.eye(4)
        affine[:3, :3] = 0
        for own, letter in enumerate(axes):
            axis, sign = AXES[letter]
            affine[axis, own] = sign * sides[own]
        return affine
    if quaternion > 0 and matrix > 0:
        both = [io_orientation(form) for form in (header.get_qform(), header.get_sform())]
        if not np.array_equal(*both):
            raise BadVolume("its qform and sform say different orientations; expected one, repair the header")
    return np.asarray(image.affine, np.float64)


def _check_length(path: Path, image: Any) -> None:
    """Raise BadVolume where an uncompressed file is shorter than its header says."""
    header = image.header
    size = header.get_data_dtype().itemsize * int(np.prod(image.shape, dtype=np.int64))
    if path.suffix == ".nii" and path.stat().st_size < int(header["vox_offset"]) + size:
        raise BadVolume("it is cut: its file is shorter than its header says")


def _stamp(path: Path) -> tuple[int, int]:
    status = path.stat()
    return status.st_size, status.st_mtime_ns


@lru_cache(maxsize=1)  # pictures of one case are opened one after the other
def _voxels(path: Path, stamp: tuple[int, int]) -> tuple[Values, float, float]:
    """Values as stored (mapped into memory, or unpacked), slope and offset."""
    import nibabel

    proxy = nibabel.load(path).dataobj
    return proxy.get_unscaled(), float(proxy.slope), float(proxy.inter)


@contextmanager
def nifti_file(path: Path, case: str = "") -> Iterator[Any]:
    """Yields nibabel, silenced; what goes wrong inside becomes one line that quotes nothing of the file."""
    try:
        import nibabel
    except ImportError:
        raise UserError("volumes need the package nibabel: pip install 'vrft-aug[volumes]'") from None
    logging.getLogger("nibabel.global").setLevel(logging.CRITICAL + 1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            yield nibabel
        except FileNotFoundError:
            raise unusable(str(path), case, "it does not exist") from None
        except BadVolume as error:
            raise unusable(str(path), case, error) from None
        except (MemoryError, UserError):
            raise
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            kind = type(error).__name__
            raise unusable(
                str(path), case, f"it is cut, damaged or not compressed as it says ({kind})"
            ) from None
        except Exception as error:  # of nibabel, whose text may quote the header
            kind = type(error).__name__
            raise unusable(str(path), case, f"it is damaged, cut, or no NIfTI file ({kind})") from None
