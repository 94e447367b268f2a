"""DICOM series as volumes: the files in their order along the patient, and where they lie."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from vrft_aug.data.dicom.dicom_pixels import frame_values, read_dataset
from vrft_aug.data.dicom.instances import Instance
from vrft_aug.data.dicom.quiet_pydicom import Unreadable, dicom_file
from vrft_aug.data.notes import note
from vrft_aug.data.volumes.planes import BadVolume, Layout, Plane, Values, layout_of, place, unusable, upright

SAME = 1e-3  # mm, or of a direction: nearer is the same
UNEVEN = 0.1  # of the usual step: further off, a slice is missing
TO_RAS = np.array([-1.0, -1.0, 1.0])  # DICOM's patient axes point left, back and up


@dataclass(frozen=True)
class DicomSeries:
    """The files of one series, in order."""

    files: tuple[Path, ...]
    layout: Layout
    even: bool  # whether all steps between slices are the same

    @property
    def path(self) -> Path:
        """One of its files, for messages."""
        return self.files[len(self.files) // 2]

    @property
    def name(self) -> str:
        """For messages."""
        return f"{self.files[0].parent} ({len(self.files)} files)"

    def file_of(self, plane: Plane, number: int) -> Path | None:
        """The file that is this slice; None where a slice is cut across files."""
        axis, index = place(self.layout, plane, number)
        return self.files[index] if axis == 2 else None

    def slice(self, plane: Plane, number: int, case: str = "") -> Values:
        """Rescaled values as shown, (height, width) in voxels; UserError for a broken file."""
        axis, index = place(self.layout, plane, number)
        if axis == 2:
            return upright(_rescaled(self.files[index], case).T, self.layout, plane)
        if not self.even:
            raise unusable(
                self.name, case, f"a {plane} slice cuts across its slices, of which some are missing"
            )
        return upright(np.take(_stack(self.files), index, axis=axis), self.layout, plane)


def group_series(instances: Sequence[Instance]) -> list[list[Instance]]:
    """The pictures by series, in the order of their first file."""
    groups: defaultdict[str, list[Instance]] = defaultdict(list)
    for one in instances:
        groups[one.values["series_instance_uid"] or one.name.rpartition("/")[0]].append(one)
    return list(groups.values())


def make_series(instances: Sequence[Instance]) -> DicomSeries:
    """The files of a series in their order along the normal of their planes, and their place in the patient.

    Raises UserError where files do not say where they lie, or do not make one volume.
    """
    first = instances[0]
    name = f"{first.path.parent} ({len(instances)} files of a series, such as {first.path.name})"
    try:
        return _series(instances)
    except BadVolume as error:
        raise unusable(name, "", error) from None


def _series(instances: Sequence[Instance]) -> DicomSeries:
    several = [one for one in instances if one.frames != 1]
    if several:
        raise BadVolume(
            f"{several[0].path.name} has {several[0].frames} frames; reader dicom takes data.frames"
        )
    if any(not (one.position and one.orientation and one.spacing) for one in instances):
        lacking = sum(not (one.position and one.orientation and one.spacing) for one in instances)
        raise BadVolume(f"{lacking} of {len(instances)} files do not say where they lie in the patient")
    first = instances[0]
    for what, same in (
        ("sizes", all(one.size == first.size for one in instances)),
        (
            "orientations",
            all(np.allclose(one.orientation, first.orientation, atol=1e-2) for one in instances),
        ),
        ("spacings of pixels", all(np.allclose(one.spacing, first.spacing, rtol=1e-2) for one in instances)),
    ):
        if not same:
            raise BadVolume(
                f"its files have different {what} (a scout among them?); expected one stack of slices"
            )
    along, down = np.array(first.orientation[:3]), np.array(first.orientation[3:])
    if abs(along @ down) > 1e-2 or not np.allclose(
        [np.linalg.norm(along), np.linalg.norm(down)], 1, atol=1e-2
    ):
        raise BadVolume("its rows and columns are not at right angles to each other")
    normal = np.cross(along, down)
    heights = np.array([np.array(one.position) @ normal for one in instances])
    order = np.argsort(heights, kind="stable")
    files = tuple(instances[int(i)].path for i in order)
    steps = np.diff(heights[order])
    if (steps < SAME).any():
        twice = int((steps < SAME).sum())
        raise BadVolume(
            f"{twice + 1} slices lie at one place: several phases or echoes? Expected one volume a series"
        )
    last, start = (np.array(instances[int(order[i])].position) for i in (-1, 0))
    step = (last - start) / (len(files) - 1) if len(files) > 1 else normal * max(first.spacing)
    even = bool(not len(steps) or np.ptp(steps) <= UNEVEN * np.median(steps))
    if not even:
        note(f"{len(files):,} slices of a series lie at uneven steps: some are missing", "warning")
    affine = np.eye(4)
    affine[:3, 0] = along * first.spacing[1] * TO_RAS  # to the next column
    affine[:3, 1] = down * first.spacing[0] * TO_RAS  # to the next row
    affine[:3, 2] = step * TO_RAS
    affine[:3, 3] = start * TO_RAS
    return DicomSeries(files, layout_of(affine, (*first.size, len(files))), even)


def has_window(path: Path, case: str) -> bool:
    """Whether a file says what of its values is shown."""
    with dicom_file(path, case) as pydicom:
        header = read_dataset(pydicom, path, pixels=False)
        return bool(header.get("VOILUTSequence")) or header.get("WindowWidth") is not None


def _rescaled(path: Path, case: str) -> Values:
    """(rows, columns) of a file."""
    from pydicom.pixels import apply_modality_lut

    with dicom_file(path, case) as pydicom:
        header = read_dataset(pydicom, path)
        kind = str(header.get("PhotometricInterpretation", ""))
        if kind != "MONOCHROME2":
            raise Unreadable("it is a colour picture or white at 0; expected grey slices of a volume")
        values: Values = apply_modality_lut(frame_values(header, 0), header).astype(np.float32)
        return values


@lru_cache(maxsize=1)
def _stack(files: tuple[Path, ...]) -> Values:
    """All of a series, (columns, rows, slices)."""
    return np.stack([_rescaled(path, "").T for path in files], axis=-1)


def facts_in_common(instances: Sequence[Instance]) -> dict[str, str]:
    """What the headers of all files of a series say alike."""
    own: tuple[str, ...] = ("sop_instance_uid", "instance_number")
    common: dict[str, Any] = {}
    for key in instances[0].values:
        if key not in own:
            values = {one.values[key] for one in instances}
            common[key] = values.pop() if len(values) == 1 else ""
    return common
