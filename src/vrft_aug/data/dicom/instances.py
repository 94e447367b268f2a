"""The DICOM pictures below a folder, or those that a DICOMDIR lists, by their headers."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from vrft_aug.data.dicom.dicom_pixels import check_shape, frame_count
from vrft_aug.data.dicom.quiet_pydicom import Unreadable, dicom_file, is_dicom
from vrft_aug.errors import UserError

# What a table can be joined on and pictures chosen by -> DICOM's keyword
ATTRIBUTES = {
    "sop_instance_uid": "SOPInstanceUID",
    "series_instance_uid": "SeriesInstanceUID",
    "study_instance_uid": "StudyInstanceUID",
    "accession_number": "AccessionNumber",
    "patient_id": "PatientID",
    "instance_number": "InstanceNumber",
    "modality": "Modality",
    "laterality": "ImageLaterality",
    "view": "ViewPosition",
    "body_part": "BodyPartExamined",
}
OTHERS = (
    "SOPClassUID", "Laterality",
    "IssuerOfPatientID", "BurnedInAnnotation", "Rows", "Columns", "NumberOfFrames",
    "ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "DirectoryRecordSequence",
)  # fmt: skip
# Words that DICOM defines for these attributes: all that is ever said of a value, whatever a file holds
DEFINED = {
    "laterality": ("L", "R", "B", "U"),
    "view": (
        "AP", "PA", "LL", "RL", "RLD", "LLD", "RLO", "LLO", "CC", "MLO", "ML", "LM", "LMO", "XCC", "XCCL",
        "XCCM", "FB", "SIO", "ISO", "CV", "AT", "LAT", "LATERAL", "OBL", "AX", "COR", "SAG",
    ),
    "modality": (
        "CR", "CT", "DX", "ES", "GM", "IO", "IVOCT", "IVUS", "MG", "MR", "NM", "OCT", "OP", "OPT", "OT", "PT",
        "PX", "RF", "RG", "SC", "SM", "US", "XA", "XC",
    ),
}  # fmt: skip


@dataclass(frozen=True, repr=False)
class Instance:
    """One file: what its header says, which stays in memory, and where it lies."""

    path: Path
    name: str  # its path below the folder, with /
    values: dict[str, str]  # by the names of ATTRIBUTES, "" where absent
    issuer: str  # of the patient id
    frames: int
    size: tuple[int, int]  # (width, height) in pixels
    burned_in: bool  # says that it has annotations in its pixels
    position: tuple[float, ...] = ()  # mm, of the first pixel: x, y, z towards left, back, head
    orientation: tuple[float, ...] = ()  # direction of rows, then of columns
    spacing: tuple[float, ...] = ()  # mm between rows, between columns

    def __repr__(self) -> str:
        return f"Instance({self.name})"  # of a header nothing is shown, also not in a traceback


def find_instances(folder: Path) -> tuple[Instance, ...]:
    """All pictures below a folder, or that a DICOMDIR file lists, by name; what is no picture is passed over.

    Raises UserError where there is no folder, no picture, a broken file, or the same picture twice.
    """
    if folder.is_file():
        files = _listed(folder)
    elif folder.is_dir():
        files = sorted(
            Path(at) / name for at, _, names in os.walk(folder) for name in names if name[0] != "."
        )
    else:
        raise UserError(
            f"{folder} does not exist; expected a folder of DICOM files, or a DICOMDIR (data.folder)"
        )
    stats = tuple((path, (found := path.stat()).st_size, found.st_mtime_ns) for path in files)
    return _read_all(folder, stats)


@lru_cache(maxsize=4)  # every split reads the same headers
def _read_all(folder: Path, files: tuple[tuple[Path, int, int], ...]) -> tuple[Instance, ...]:
    base = folder.parent if folder.is_file() else folder
    dicom = [path for path, _, _ in files if is_dicom(path)]
    found = [one for path in dicom if (one := _instance(path, base)) is not None]
    if not found:
        what = f"{len(dicom)} DICOM files, but none with a picture" if dicom else "no DICOM file"
        raise UserError(f"{folder} holds {what}, among {len(files)} files; expected pictures (data.folder)")
    first: dict[str, Instance] = {}
    for one in found:
        uid = one.values["sop_instance_uid"]
        if uid and (other := first.setdefault(uid, one)) is not one:
            raise UserError(f"{other.path} and {one.path} hold the same picture; remove one of them")
    return tuple(found)


def _instance(path: Path, base: Path) -> Instance | None:
    """A file's header; None where it is DICOM but no picture (a report, a structure set, a DICOMDIR)."""
    with dicom_file(path) as pydicom:
        wanted = [*ATTRIBUTES.values(), *OTHERS]
        header = pydicom.dcmread(path, force=True, stop_before_pixels=True, specific_tags=wanted)
        if "Rows" not in header or "Columns" not in header:
            kind = header.get("SOPClassUID")
            if kind is None and "DirectoryRecordSequence" not in header:
                raise Unreadable("it is empty, cut off in its header, or no DICOM at all")
            if kind is not None and "Image Storage" in kind.name:
                raise Unreadable("it is cut off before its picture begins")
            return None
        check_shape(int(header.Columns), int(header.Rows))
        values = {name: _text(header, keyword) for name, keyword in ATTRIBUTES.items()}
        values["laterality"] = values["laterality"] or _text(header, "Laterality")
        return Instance(
            path=path,
            name=path.relative_to(base).as_posix(),
            values=values,
            issuer=_text(header, "IssuerOfPatientID"),
            frames=frame_count(header),
            size=(int(header.Columns), int(header.Rows)),
            burned_in=_text(header, "BurnedInAnnotation").upper() == "YES",
            position=_numbers(header, "ImagePositionPatient", 3),
            orientation=_numbers(header, "ImageOrientationPatient", 6),
            spacing=_numbers(header, "PixelSpacing", 2),
        )


def _listed(path: Path) -> list[Path]:
    """The files of a DICOMDIR that are there; UserError where some are not, or where it is something else."""
    with dicom_file(path) as pydicom:
        header = pydicom.dcmread(path)
        records = header.get("DirectoryRecordSequence")
        if records is None:
            raise Unreadable("it is no DICOMDIR; expected data.folder to be a folder or a DICOMDIR")
        named = [record.ReferencedFileID for record in records if "ReferencedFileID" in record]
    parts = [[name] if isinstance(name, str) else list(name) for name in named]
    files = [found for one in parts if (found := _on_disk(path.parent, one)) is not None]
    if len(files) < len(parts):
        raise UserError(
            f"{path} lists {len(parts)} files, of which {len(parts) - len(files)} are not there; copy the "
            "whole medium, or name its folder as data.folder"
        )
    return sorted(set(files))


def _on_disk(folder: Path, parts: list[Any]) -> Path | None:
    """A file by its parts, also in lower case, as some systems copy from a disc."""
    if any(str(part) in ("", "..") or "/" in str(part) for part in parts):
        return None
    for path in (folder.joinpath(*map(str, parts)), folder.joinpath(*(str(part).lower() for part in parts))):
        if path.is_file():
            return path
    return None


def _text(header: Any, keyword: str) -> str:
    value = header.get(keyword)
    return "" if value is None else str(value).strip().strip("\0")


def _numbers(header: Any, keyword: str, count: int) -> tuple[float, ...]:
    value = header.get(keyword)
    if value is None or isinstance(value, str) or len(value) != count:
        return ()
    return tuple(float(one) for one in value)
