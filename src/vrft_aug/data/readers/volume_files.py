"""The reader of volumes: NIfTI files and DICOM series below a folder, shown as slices or as a montage."""

from __future__ import annotations

import fnmatch
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from pydantic import Field, field_validator

from vrft_aug.data.dicom.instances import Instance, find_instances
from vrft_aug.data.dicom.quiet_pydicom import is_dicom
from vrft_aug.data.masks import connected_boxes
from vrft_aug.data.notes import note, some
from vrft_aug.data.pseudonyms import patient_key, pseudonym
from vrft_aug.data.readers.dicom import Word, check_window, chosen_instances, patient_of, tell_burned_in
from vrft_aug.data.readers.labelled_files import Item, LabelledFiles, Truth, label_items
from vrft_aug.data.slices import FrameChoice, choose
from vrft_aug.data.splits import patient_in
from vrft_aug.data.volumes.nifti import AXES, OTHERS, SUFFIXES, NiftiVolume, open_nifti
from vrft_aug.data.volumes.planes import PLANES, THICK, Plane, unusable
from vrft_aug.data.volumes.series import DicomSeries, facts_in_common, group_series, make_series
from vrft_aug.data.volumes.volume_picture import VolumePicture
from vrft_aug.errors import UserError, nearest
from vrft_aug.nouns import Box, Case, Target, Task

OBLIQUE = 10.0  # degrees; more is told
NEAR = 1e-2  # mm: affines that differ by less are one


class VolumeData(LabelledFiles):
    """NIfTI files and DICOM series as slices, hung radiologically; labels from a table or from folders."""

    files: str = "*"  # which NIfTI files, by their paths below the folder: "*_flair.nii.gz"; DICOM: all
    plane: Plane | Literal["acquired"] = "acquired"  # of thick slices; where a volume has none, axial
    slices: FrameChoice | Literal["each"] = "middle"  # counted from 0 from the feet, back or left
    montage: bool = False  # all chosen slices as one picture
    cases: Literal["volume", "slice"] = "volume"  # slice: each chosen slice is a case of its own
    window: tuple[float, float] | None = None  # centre and width, in HU of a CT; null: see VolumePicture
    part: int | None = Field(default=None, ge=0)  # of NIfTI files of four dimensions, counted from 0
    axes: str | None = None  # what array axes point to where a NIfTI file does not say: RAS, LPS, ...
    only: dict[Word, tuple[str, ...]] = Field(default_factory=dict)  # other DICOM files are left out
    least_slices: int = Field(default=1, ge=1)  # shorter volumes (scouts) are left out
    # For localise: label volumes beside the NIfTI files; * stands for what it stands for in `files`
    label_volumes: str | None = None
    mask_values: dict[str, str] = Field(default_factory=dict)  # value in them -> label
    min_area: int = Field(default=1, ge=1)  # voxels of a connected part in a slice; smaller ones are dropped

    @field_validator("axes")
    @classmethod
    def _three_directions(cls, value: str | None) -> str | None:
        if value is not None and (
            len(value) != 3 or sorted(AXES[a][0] for a in value if a in AXES) != [0, 1, 2]
        ):
            raise ValueError(
                f"axes {value!r} are no three directions; expected one of R L, A P, S I each, as LPS"
            )
        return value


@dataclass(frozen=True, repr=False)
class _Found:
    """A volume before it is opened: a NIfTI file, or the files of a series."""

    nifti: Path | None
    series: tuple[Instance, ...]
    item: Item

    @property
    def slices_at_most(self) -> int:
        return len(self.series) if self.nifti is None else 1 << 30


def read_volumes(config: VolumeData, task: Task, root: Path, split: str) -> list[Case]:
    """The cases of one split, one a volume or one a slice; ids such as scans/train/sub-01.

    DICOM series and their patients are called by keyed hashes, NIfTI files by their names; their patients are
    what data.patient_pattern finds in their paths. Raises UserError where files, labels or settings do not
    fit.
    """
    _check(config, task)
    found = _all(config, root)
    truths = label_items(config, task, root, [one.item for one in found])
    folder = Path(config.folder).name or "volumes"
    cases: list[Case] = []
    planes: Counter[str] = Counter()
    short = 0
    for one, truth in zip(found, truths, strict=True):
        if truth is None or truth.split != split:
            continue
        id = f"{folder}/{split}/{one.item.case}"
        volume = open_nifti(one.nifti, config.part, config.axes, id) if one.nifti else make_series(one.series)
        plane: Plane = volume.layout.acquired() if config.plane == "acquired" else config.plane
        count = volume.layout.shape[PLANES.index(plane)]
        if count < config.least_slices:
            short += 1
            continue
        planes[plane] += 1
        _tell(volume, plane)
        cases += _cases(config, volume, plane, id, one, truth, root)
    if short:
        note(f"{short:,} volumes have fewer than {config.least_slices} slices and are left out")
    if planes:
        listed = ", ".join(f"{plane} {number:,}" for plane, number in planes.most_common())
        note(f"planes shown: {listed}", "warning" if len(planes) > 1 else "info")
    return cases


def _check(config: VolumeData, task: Task) -> None:
    check_window(config.window)
    if config.montage and config.cases == "slice":
        raise UserError("data.montage shows slices together, data.cases: slice each by itself; choose one")
    if task.kind != "localise":
        if config.label_volumes:
            raise UserError(
                f"data.label_volumes are boxes, which task {task.name!r} ({task.kind}) does not ask for"
            )
        return
    if not config.label_volumes or not config.mask_values:
        raise UserError(
            f"task {task.name!r} is of kind localise and needs data.label_volumes with data.mask_values, as "
            "{1: lesion}"
        )
    single = config.slices == "middle" or config.slices == 1 or config.cases == "slice"
    if config.montage or not (single or (isinstance(config.slices, tuple) and len(config.slices) == 1)):
        raise UserError(
            f"task {task.name!r} is of kind localise, whose boxes lie in one picture; expected one slice "
            "(data.slices), or data.cases: slice"
        )
    if config.files.count("*") != 1 or config.label_volumes.count("*") != 1:
        raise UserError(
            f"data.files {config.files!r} and data.label_volumes {config.label_volumes!r}: expected one * in "
            "each, which stands for the same, as imagesTr/*.nii.gz and labelsTr/*.nii.gz"
        )
    for value, label in config.mask_values.items():
        if not value.lstrip("-").isdigit():
            raise UserError(f"data.mask_values: {value!r} is no value; expected a whole number")
        if label not in task.labels:
            raise UserError(
                f"data.mask_values: {label!r} is not a label of task {task.name!r}"
                f"{nearest(label, task.labels)}; it has {some(task.labels, 12)}"
            )


def _all(config: VolumeData, root: Path) -> list[_Found]:
    """The volumes below the folder, NIfTI files by path, then DICOM series."""
    top = root / config.folder
    if not top.is_dir():
        raise UserError(f"{top} does not exist or is no folder; expected one with volumes (data.folder)")
    nifti: list[str] = []
    others: Counter[str] = Counter()
    dicom = 0
    for name in _files(top):
        suffix = "".join(Path(name).suffixes[-2:]).lower()
        if suffix.endswith(SUFFIXES):
            nifti.append(name)
        elif suffix.endswith(OTHERS):
            others[Path(name).suffix.lower()] += 1
        elif is_dicom(top / name):
            dicom += 1
    chosen = [name for name in nifti if fnmatch.fnmatchcase(name, config.files)]
    if others:
        note(
            f"{config.folder} has {sum(others.values()):,} files not read here ({some(list(others))})",
            "warning",
        )
    if nifti and not chosen and not dicom:
        raise UserError(
            f"0 of {len(nifti):,} NIfTI files in {top} match data.files {config.files!r}; there is {nifti[0]}"
        )
    found = [*_niftis(config, top, chosen), *(_series_of(config, root, top) if dicom else ())]
    if not found:
        has = f"; it has {sum(others.values()):,} files of {some(list(others))}" if others else ""
        raise UserError(f"{top} has no volumes: expected .nii, .nii.gz or DICOM series{has} (data.folder)")
    return found


def _files(top: Path) -> Iterator[str]:
    for folder, folders, names in os.walk(top):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            if not name.startswith("."):
                yield (Path(folder) / name).relative_to(top).as_posix()


def _niftis(config: VolumeData, top: Path, names: Sequence[str]) -> list[_Found]:
    stems = [name[: -len(".nii.gz" if name.lower().endswith(".gz") else ".nii")] for name in names]
    bare = Counter(stem.rpartition("/")[2] for stem in stems)
    unique = all(count == 1 for count in bare.values())
    found = []
    for name, stem in zip(names, stems, strict=True):
        patient = patient_in(config.patient_pattern, name)
        keys = {"folder": name.rpartition("/")[0]}
        case = stem.rpartition("/")[2] if unique else stem
        found.append(_Found(top / name, (), Item(name, case, patient, keys)))
    if config.patient_pattern and found and not any(one.item.patient for one in found):
        raise UserError(
            f"data.patient_pattern {config.patient_pattern!r} finds no patient in any of {len(found):,} "
            f"paths, such as {names[0]}"
        )
    return found


def _series_of(config: VolumeData, root: Path, top: Path) -> list[_Found]:
    instances = chosen_instances(config.only, find_instances(top))
    tell_burned_in(instances)
    key = patient_key(root)
    groups = group_series(instances)
    kept = [group for group in groups if len(group) >= config.least_slices]
    if len(kept) < len(groups):
        note(
            f"{len(groups) - len(kept):,} series have fewer than {config.least_slices} files and are left out"
        )
    found = []
    for group in kept:
        first = group[0]
        name = first.values["series_instance_uid"] or first.name.rpartition("/")[0]
        keys = facts_in_common(group) | {"folder": first.name.rpartition("/")[0]}
        item = Item(first.name, pseudonym(key, "series", name), patient_of(first, key), keys)
        found.append(_Found(None, tuple(group), item))
    return found


def _tell(volume: NiftiVolume | DicomSeries, plane: Plane) -> None:
    layout = volume.layout
    if layout.tilt > OBLIQUE:
        note("some volumes are oblique: slices are shown as acquired, under the name of the nearest plane")
    across = PLANES.index(plane)
    own = max(layout.spacing)
    if layout.spacing[across] < own / (THICK * 2) and layout.acquired() != plane:
        note(
            f"some volumes are cut across their thick slices by data.plane: {plane}, and look blurred",
            "warning",
        )


def _cases(
    config: VolumeData, volume: NiftiVolume | DicomSeries, plane: Plane, id: str, one: _Found, truth: Truth,
    root: Path,
) -> list[Case]:  # fmt: skip
    count = volume.layout.shape[PLANES.index(plane)]
    numbers = list(range(count)) if config.slices == "each" else choose(
        config.slices, count, f"volume {volume.name}", "data.slices"
    )  # fmt: skip
    labels = _label_volume(config, volume, one, id, root) if config.label_volumes else None
    outcome = truth.outcome
    target = Target(
        label=outcome if isinstance(outcome, str) else None,
        labels=outcome if isinstance(outcome, frozenset) else None,
        text=truth.text,
    )
    patient = one.item.patient or None

    def picture(shown: Sequence[int], case: str) -> VolumePicture:
        return VolumePicture(volume, plane, tuple(shown), case, config.window, tuple(numbers))

    def true(number: int) -> Target:
        return target if labels is None else Target(boxes=_boxes(config, labels, plane, number, id))

    if config.cases == "slice":
        ids = [f"{id}/{plane}-{number}" for number in numbers]
        return [
            Case(own, (picture([n], own),), true(n), patient) for own, n in zip(ids, numbers, strict=True)
        ]
    shown = [picture(numbers, id)] if config.montage else [picture([number], id) for number in numbers]
    return [Case(id, tuple(shown), true(numbers[0]), patient)]


def _label_volume(
    config: VolumeData, volume: NiftiVolume | DicomSeries, one: _Found, case: str, root: Path
) -> NiftiVolume:
    """The label volume of a NIfTI file, voxel for voxel its own."""
    if not isinstance(volume, NiftiVolume):
        raise unusable(volume.name, case, "label volumes belong to NIfTI files; convert the series to NIfTI")
    before, after = config.files.split("*")
    name = one.item.name
    star = name[len(before) : len(name) - len(after)]
    path = root / config.folder / str(config.label_volumes).replace("*", star)
    labels = open_nifti(path, None, config.axes, case)
    if labels.layout.shape != volume.layout.shape or not np.allclose(labels.affine, volume.affine, atol=NEAR):
        sizes = [" x ".join(map(str, one.layout.shape)) for one in (labels, volume)]
        raise unusable(
            str(path),
            case,
            f"its voxels ({sizes[0]}) do not lie on those of {volume.path.name} ({sizes[1]}); resample it",
        )
    return labels


def _boxes(config: VolumeData, labels: NiftiVolume, plane: Plane, number: int, case: str) -> tuple[Box, ...]:
    """Boxes around the connected parts of a slice, in pixels of the picture that is shown."""
    values = labels.slice(plane, number, case)
    if not np.array_equal(values, np.round(values)):
        raise unusable(
            str(labels.path), case, "its values are no whole numbers; expected labels (resampled smoothly?)"
        )
    width, height = labels.layout.picture_size(plane)
    x, y = width / values.shape[1], height / values.shape[0]
    return tuple(
        Box(box.x1 * x, box.y1 * y, box.x2 * x, box.y2 * y, box.label)
        for value, label in config.mask_values.items()
        for box in connected_boxes(values == int(value), config.min_area, label)
    )
