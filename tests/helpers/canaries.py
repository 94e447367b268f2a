"""Canaries: DICOM files with one in every text of their headers, and whether something tells of them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np

from helpers.dicom_files import dicom_dataset

TEXTS = (
    "AE", "AS", "CS", "DA", "DT", "LO", "LT", "PN", "SH", "ST", "TM", "UC", "UI", "UR", "UT",
)  # fmt: skip
# What decides how pixels are read keeps a true value; all other texts that DICOM defines are canaries.
KEPT = ("PhotometricInterpretation", "SOPClassUID", "SpecificCharacterSet", "TransferSyntaxUID")
CANARY = "9171"  # in every value: names, numbers, dates and UIDs; of no other meaning in what a run writes


def canary(vr: str, number: int) -> str:
    """A value of a kind of text, different in every element, that says 9171 twice."""
    own = f"{number:04d}"
    return {
        "AS": "171Y",
        "DA": f"9171{own[:2]}{own[2:]}"[:8],
        "DT": f"9171{own}9171",
        "TM": "9171",
        "UI": f"1.2.9171.{number}.9171",
        "PN": f"Zz9171^Canary{own}",
        "UR": f"http://zz9171.example/{own}",
    }.get(vr, f"Zz9171{own}"[:16])


def save_canaries(path: Path, number: int, level: int, **attributes: Any) -> Path:
    """A picture with a canary in every text of the header, also in sequences and private elements.

    `attributes` are set last.
    """
    import pydicom
    from pydicom.datadict import DicomDictionary, keyword_for_tag

    pixels = np.random.default_rng(number).integers(0, 40, (56, 56)).astype(np.uint8) + level
    data = dicom_dataset(pixels.astype(np.uint8))
    for tag, (vr, *_) in sorted(DicomDictionary.items()):
        keyword = keyword_for_tag(tag)
        group = tag >> 16
        if vr in TEXTS and keyword and keyword not in KEPT and group not in (0x0000, 0x0002, 0x0004):
            data.add_new(tag, vr, canary(vr, number))
    data.SOPInstanceUID = f"1.2.9171.77.{number}"
    data.StudyInstanceUID = f"1.2.9171.78.{number // 2}"
    data.PatientID = f"Zz9171{number // 2}"
    data.AccessionNumber = f"Zz9171A{number}"
    data.BurnedInAnnotation = "YES"
    inner = pydicom.Dataset()
    inner.PatientName = canary("PN", number)
    inner.TextValue = canary("UT", number)
    data.OtherPatientIDsSequence = pydicom.Sequence([inner])
    private = data.private_block(0x0011, "Zz9171", create=True)
    private.add_new(0x01, "LO", canary("LO", number))
    for keyword, value in attributes.items():
        setattr(data, keyword, value)
    data.file_meta.MediaStorageSOPClassUID = data.SOPClassUID
    data.file_meta.MediaStorageSOPInstanceUID = data.SOPInstanceUID
    data.file_meta.ImplementationVersionName = "ZZ9171"
    path.parent.mkdir(parents=True, exist_ok=True)
    data.save_as(path, enforce_file_format=True)
    return path


def vrft(*arguments: str, code: int = 0) -> str:
    """What a command prints, on both streams."""
    done = subprocess.run(
        [sys.executable, "-c", "from vrft_aug.cli import main; main()", *arguments],
        capture_output=True,
        text=True,
        timeout=400,
    )
    assert done.returncode == code, f"{arguments}: {done.stderr[-2000:]}"
    assert "Traceback" not in done.stderr
    return done.stdout + done.stderr


def speaks(content: bytes) -> bool:
    """Whether a canary is in it. Weights and pictures hold any digits by chance, but not these words."""
    return any(word in content for word in (b"Zz9171", b"ZZ9171", b"1.2.9171", b"zz9171", b"Canary"))


def private_recipe(root: Path, data: dict[str, Any], rewards: dict[str, float]) -> dict[str, Any]:
    """A whole road in two steps over the data below `root`."""
    stage = {"task": "look", "steps": 1, "prompts_per_step": 2, "max_new_tokens": 12}
    return {
        "name": "private", "seed": 1, "data_root": str(root), "model": {"name": "tiny", "device": "cpu"},
        "tasks": {
            "look": {
                "kind": "classify", "question": "Is it dark or bright?", "labels": ["dark", "bright"],
                "data": data,
            }
        },
        "stages": [
            {**stage, "name": "answers", "method": "sft"},
            {**stage, "name": "rewards", "method": "grpo", "generations": 2, "rewards": rewards},
        ],
        "evaluation": {"task": "look", "limit": 3, "max_new_tokens": 12, "bootstrap": 100},
    }  # fmt: skip
