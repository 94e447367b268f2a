"""Slices of a volume as pictures: one, or several in a grid, in 8-bit grey through one window."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from vrft_aug.data.deep_pixels import robust_range, to_8_bit
from vrft_aug.data.dicom.dicom_pixels import read_dataset, shown
from vrft_aug.data.dicom.quiet_pydicom import dicom_file
from vrft_aug.data.slices import grid, montage
from vrft_aug.data.volumes.nifti import NiftiVolume
from vrft_aug.data.volumes.planes import Plane, Values, squared, upright
from vrft_aug.data.volumes.series import DicomSeries, has_window


@dataclass(frozen=True)
class VolumePicture:
    """One slice of a volume, or several side by side, opened when needed.

    Args:
        volume: the file or files.
        plane: across which canonical axis it is cut.
        numbers: the slices, counted along that axis; several: a montage, row by row.
        case: the id that messages name.
        window: centre and width in values of the volume (HU of a CT); None: a DICOM file's own, else one
            robust range for all of `together`.
        together: all slices of the case.
    """

    volume: NiftiVolume | DicomSeries
    plane: Plane
    numbers: tuple[int, ...]
    case: str = ""
    window: tuple[float, float] | None = None
    together: tuple[int, ...] = ()

    @property
    def path(self) -> Path:
        """The file, or one of them."""
        return self.volume.path

    def open(self) -> Image.Image:
        """The picture as RGB; UserError where a file cannot be read."""
        pictures = [self._squared(grey) for grey in self._greys()]
        return pictures[0] if len(pictures) == 1 else montage(pictures)

    def size(self) -> tuple[int, int]:
        """(width, height) in pixels, from the headers."""
        width, height = self.volume.layout.picture_size(self.plane)
        columns, rows = grid(len(self.numbers))
        return columns * width, rows * height

    def _squared(self, grey: NDArray[np.uint8]) -> Image.Image:
        picture = Image.fromarray(np.ascontiguousarray(grey))
        return squared(picture, self.volume.layout, self.plane).convert("RGB")

    def _greys(self) -> list[NDArray[np.uint8]]:
        if isinstance(self.volume, DicomSeries):
            files = [self.volume.file_of(self.plane, number) for number in self.numbers]
            whole = [file for file in files if file is not None]  # slices that are a file each
            if whole and (self.window is not None or has_window(whole[0], self.case)):
                return [self._of_file(file) for file in whole]
        if self.window is not None:
            limits = _limits(self.window)
        else:
            limits = robust_range(
                np.concatenate([self._values(n).ravel() for n in self.together or self.numbers])
            )
        return [to_8_bit(self._values(number), limits) for number in self.numbers]

    def _of_file(self, file: Path) -> NDArray[np.uint8]:
        """As reader dicom shows it, turned."""
        with dicom_file(file, self.case) as pydicom:
            grey = shown(read_dataset(pydicom, file), 0, self.window)
        return np.asarray(upright(grey.T, self.volume.layout, self.plane))

    def _values(self, number: int) -> Values:
        return self.volume.slice(self.plane, number, self.case)


def _limits(window: tuple[float, float]) -> tuple[float, float]:
    """What is black and what is white, as DICOM's linear window has it (PS3.3 C.11.2.1.2.1)."""
    centre, width = window
    if width <= 1:
        return centre - 0.5, math.nextafter(centre - 0.5, math.inf)
    return centre - 0.5 - (width - 1) / 2, centre - 0.5 + (width - 1) / 2
