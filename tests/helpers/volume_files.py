"""Volumes that tests write: a patient in RAS+ whose every voxel says where it is, in any order of axes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nibabel
import numpy as np
from nibabel.orientations import apply_orientation, axcodes2ornt, inv_ornt_aff, io_orientation, ornt_transform

from helpers.dicom_files import save_dicom

SHAPE = (12, 10, 8)  # of the patient: right, front, head


def patient(shape: tuple[int, int, int] = SHAPE) -> np.ndarray:
    """Bright to the right, front and head, each voxel of another value, int16."""
    return np.arange(np.prod(shape), dtype=np.int16).reshape(shape)


def stored(
    canonical: np.ndarray, axes: str = "RAS", spacing: tuple[float, float, float] = (1, 1, 1)
) -> tuple[np.ndarray, np.ndarray]:
    """The patient in an array whose axes point as named, and its affine; spacing is along R, A, S."""
    affine = np.diag([*spacing, 1.0])
    affine[:3, 3] = (-5, 7, 11)
    turn = ornt_transform(io_orientation(affine), axcodes2ornt(tuple(axes)))
    return apply_orientation(canonical, turn), affine @ inv_ornt_aff(turn, canonical.shape)


def save_nifti(path: Path, array: np.ndarray, affine: np.ndarray) -> Path:
    """A file whose sform and qform both say the affine."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image = nibabel.Nifti1Image(array, affine)
    image.set_qform(affine, 1)
    image.set_sform(affine, 1)
    nibabel.save(image, path)
    return path


def save_series(
    folder: Path, canonical: np.ndarray, spacing: tuple[float, float, float] = (1, 1, 1), **header: Any
) -> list[Path]:
    """The patient as axial slices in DICOM files whose names are in no order of place."""
    count = canonical.shape[2]
    files = []
    for k in range(count):
        pixels = canonical[::-1, ::-1, k].T  # columns to the left, rows to the back
        files.append(
            save_dicom(
                folder / f"{k * 5 % count if count % 5 else k}.dcm", np.ascontiguousarray(pixels),
                **{
                    "SeriesInstanceUID": "1.2.3.4", "PixelSpacing": [spacing[1], spacing[0]],
                    "ImageOrientationPatient": [1, 0, 0, 0, 1, 0],
                    "ImagePositionPatient": [10.0, 20.0, 30.0 + k * spacing[2]], **header,
                },
            )
        )  # fmt: skip
    return files
