"""DICOM files that tests write: any pixels, any header, a canary in every text of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from pydicom import Dataset, Sequence
from pydicom.dataset import FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

CANARY = "CANARY"


def dicom_dataset(pixels: np.ndarray, **attributes: Any) -> Dataset:
    """A CT picture of (h, w), (frames, h, w) or (h, w, 3) pixels; attributes by DICOM's keywords.

    None removes one. Signed where the pixels are.
    """
    data = Dataset()
    data.file_meta = FileMetaDataset()
    data.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    data.SOPClassUID = CTImageStorage
    data.SOPInstanceUID = generate_uid()
    data.StudyInstanceUID = generate_uid()
    data.SeriesInstanceUID = generate_uid()
    data.PatientID = "patient 1"
    data.Modality = "CT"
    colour = pixels.ndim == 3 and pixels.shape[-1] == 3
    frames = pixels.shape[0] if pixels.ndim == 3 and not colour else None
    data.Rows, data.Columns = pixels.shape[:2] if frames is None else pixels.shape[1:]
    if frames is not None:
        data.NumberOfFrames = frames
    data.SamplesPerPixel = 3 if colour else 1
    data.PhotometricInterpretation = "RGB" if colour else "MONOCHROME2"
    if colour:
        data.PlanarConfiguration = 0
    data.BitsAllocated = data.BitsStored = pixels.dtype.itemsize * 8
    data.HighBit = data.BitsStored - 1
    data.PixelRepresentation = int(pixels.dtype.kind == "i")
    data.PixelData = pixels.tobytes()
    for keyword, value in attributes.items():
        if value is None:
            delattr(data, keyword)
        else:
            setattr(data, keyword, value)
    if "BitsStored" in attributes:
        data.HighBit = data.BitsStored - 1
    return data


def save_dicom(path: Path, pixels: np.ndarray, **attributes: Any) -> Path:
    """The data set as a file with preamble and file meta information."""
    path.parent.mkdir(parents=True, exist_ok=True)
    data = dicom_dataset(pixels, **attributes)
    data.file_meta.MediaStorageSOPClassUID = data.SOPClassUID
    data.file_meta.MediaStorageSOPInstanceUID = data.SOPInstanceUID
    data.save_as(path, enforce_file_format=True)
    return path


def item(**attributes: Any) -> Sequence:
    """A sequence of one item."""
    data = Dataset()
    for keyword, value in attributes.items():
        setattr(data, keyword, value)
    return Sequence([data])
