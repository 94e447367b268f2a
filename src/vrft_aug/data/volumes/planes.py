"""How a volume lies in the patient, and how its slices are shown.

Canonical axes are those of NIfTI, RAS+: right, anterior, superior, each counted in that direction, as
`nibabel.as_closest_canonical` has them. Nothing is resampled for it: an oblique volume keeps its own planes,
under the name of the nearest. Slices hang in radiological convention: axial ones seen from the feet, the
patient's right on the left and the front on top; coronal ones from the front, the patient's right on the left
and the head on top; sagittal ones with the front on the left and the head on top.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from vrft_aug.errors import UserError

Plane = Literal["sagittal", "coronal", "axial"]
PLANES: tuple[Plane, ...] = ("sagittal", "coronal", "axial")  # across the first, second, third canonical axis
THICK = 1.2  # times the other spacings: slices so thick are how a volume was acquired
SQUARE = 1.01  # pixels whose sides differ by less are square
LONGEST = 50  # times the shorter side of a voxel
MOST_VOXELS = 1 << 31
Values = NDArray[Any]


class BadVolume(Exception):
    """Why a volume cannot be used, in words without any text of its header."""


@dataclass(frozen=True)
class Layout:
    """Where the canonical axes of a volume are in its array.

    Args:
        shape: voxels along the canonical axes R, A, S.
        spacing: mm along them.
        axes: which axis of the array runs along each.
        flipped: whether it runs the other way, to the left, back or feet.
        tilt: degrees by which the array's axes miss the canonical ones at most.
    """

    shape: tuple[int, int, int]
    spacing: tuple[float, float, float]
    axes: tuple[int, int, int]
    flipped: tuple[bool, bool, bool]
    tilt: float = 0.0

    def acquired(self) -> Plane:
        """The plane of thick slices; axial where no side of a voxel is clearly the longest."""
        longest = max(range(3), key=lambda axis: self.spacing[axis])
        others = [self.spacing[axis] for axis in range(3) if axis != longest]
        return PLANES[longest] if self.spacing[longest] > THICK * max(others) else "axial"

    def picture_size(self, plane: Plane) -> tuple[int, int]:
        """(width, height) of a slice in square pixels, of the smaller side of a voxel in that plane."""
        across, down = (axis for axis in range(3) if axis != PLANES.index(plane))
        wide, high = self.spacing[across], self.spacing[down]
        width, height = self.shape[across], self.shape[down]
        if max(wide, high) > SQUARE * min(wide, high):
            least = min(wide, high)
            width, height = max(1, round(width * wide / least)), max(1, round(height * high / least))
        return width, height


def layout_of(affine: Values, shape: Sequence[int]) -> Layout:
    """The layout of a 3-D array whose voxel (i, j, k) lies at affine @ (i, j, k, 1), in mm, RAS+.

    Raises BadVolume where the matrix places nothing.
    """
    from nibabel.orientations import io_orientation

    matrix = np.asarray(affine, np.float64)
    linear = matrix[:3, :3]
    sides = np.linalg.norm(linear, axis=0) if np.isfinite(matrix).all() else np.zeros(3)
    if not (sides > 0).all() or abs(np.linalg.det(linear / sides)) < 1e-3:
        raise BadVolume("the matrix that places its voxels in the patient is not finite, or flattens it")
    if sides.max() > LONGEST * sides.min():
        listed = " x ".join(f"{side:.3g}" for side in sides)
        raise BadVolume(f"its voxels are {listed} mm; expected sides that differ less than {LONGEST} times")
    check_shape(shape)
    found = io_orientation(matrix)
    if not np.isfinite(found).all():
        raise BadVolume("the matrix that places its voxels in the patient is ambiguous")
    axes = [int(np.flatnonzero(found[:, 0] == axis)[0]) for axis in range(3)]
    cosines = [abs(linear[axis, own]) / sides[own] for axis, own in enumerate(axes)]
    return Layout(
        shape=(int(shape[axes[0]]), int(shape[axes[1]]), int(shape[axes[2]])),
        spacing=(float(sides[axes[0]]), float(sides[axes[1]]), float(sides[axes[2]])),
        axes=(axes[0], axes[1], axes[2]),
        flipped=(bool(found[axes[0], 1] < 0), bool(found[axes[1], 1] < 0), bool(found[axes[2], 1] < 0)),
        tilt=max(math.degrees(math.acos(min(1.0, cosine))) for cosine in cosines),
    )


def check_shape(shape: Sequence[int]) -> None:
    """Raise BadVolume for a volume without voxels, or of more than anyone has."""
    if len(shape) != 3 or min(shape) < 1:
        raise BadVolume(f"its shape is {' x '.join(map(str, shape))}; expected three dimensions of 1 or more")
    if math.prod(shape) > MOST_VOXELS:
        raise BadVolume(f"it has {math.prod(shape):,} voxels; expected at most {MOST_VOXELS:,}")


def place(layout: Layout, plane: Plane, number: int) -> tuple[int, int]:
    """(axis of the array, index along it) of slice `number` of a plane, counted along its canonical axis."""
    axis = PLANES.index(plane)
    return layout.axes[axis], layout.shape[axis] - 1 - number if layout.flipped[axis] else number


def upright(cut: Values, layout: Layout, plane: Plane) -> Values:
    """A slice, (n, m) in the order of the array's remaining axes, as it is shown: rows from the front or the
    head down, columns from the patient's right or front on."""
    across, down = (axis for axis in range(3) if axis != PLANES.index(plane))
    ordered = cut if layout.axes[across] < layout.axes[down] else cut.T  # (across, down)
    if layout.flipped[across]:
        ordered = ordered[::-1]
    if layout.flipped[down]:
        ordered = ordered[:, ::-1]
    return ordered.T[::-1, ::-1]


def squared(picture: Image.Image, layout: Layout, plane: Plane) -> Image.Image:
    """The slice in square pixels; as it is where its pixels are square already."""
    size = layout.picture_size(plane)
    return picture if picture.size == size else picture.resize(size, Image.Resampling.BILINEAR)


def unusable(what: str, case: str, reason: object) -> UserError:
    """The line that says why a volume cannot be used; `what` names it."""
    return UserError(f"volume {what}{f' of case {case}' if case else ''} cannot be read: {reason}")
