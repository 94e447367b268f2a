"""No text of a NIfTI header, its extensions or a DICOM series reaches what a whole run writes or prints."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
import yaml

from helpers.canaries import CANARY, private_recipe, save_canaries, speaks, vrft
from helpers.data_files import save_csv

pytestmark = pytest.mark.filterwarnings("ignore:Invalid value")  # as the test writes its canaries
COUNT = 24  # volumes, every other one a NIfTI file


def save_told(path: Path, number: int, level: int) -> Path:
    """A NIfTI file with a canary in every text of its header, and in extensions of three kinds."""
    values = np.random.default_rng(number).integers(0, 40, (40, 40, 4)).astype(np.uint8) + level
    path.parent.mkdir(parents=True, exist_ok=True)
    image = nibabel.Nifti1Image(values.astype(np.uint8), np.diag([-1, -1, 3, 1]))
    image.set_sform(image.affine, 1)
    image.set_qform(image.affine, 1)
    for field in ("descrip", "aux_file", "intent_name", "db_name", "data_type"):
        image.header[field] = f"Zz9171{number:03d}"
    for code in (4, 6, 44):  # AFNI, a comment, MATLAB
        image.header.extensions.append(nibabel.nifti1.Nifti1Extension(code, b"Zz9171^Canary 9171 " * 4))
    nibabel.save(image, path)
    return path


def save_all(root: Path) -> None:
    rows = [["where", "label"]]
    for number in range(COUNT):
        folder, level = root / f"scans/v{number}", 20 + 180 * (number // 2 % 2)
        if number % 2:
            save_told(folder / "scan.nii.gz", number, level)
        else:
            for k in range(3):
                save_canaries(
                    folder / f"{k}.dcm", 100 * number + k, level, PatientID=f"Zz9171{number}",
                    SeriesInstanceUID=f"1.2.9171.79.{number}", PixelSpacing=[1, 1],
                    ImagePositionPatient=[0, 0, 3 * k], ImageOrientationPatient=[1, 0, 0, 0, 1, 0],
                )  # fmt: skip
        rows.append([f"v{number}", ("dark", "bright")[number // 2 % 2]])
    save_csv(root / "labels.csv", rows)


def recipe(root: Path) -> dict[str, Any]:
    data = {
        "reader": "volume", "folder": "scans", "table": "labels.csv", "join": {"folder": "where"},
        "window": [128, 256],
    }  # fmt: skip
    return private_recipe(root, data, {"accuracy": 1.0})


def test_the_files_are_full_of_canaries(tmp_path: Path) -> None:
    raw = gzip.decompress(save_told(tmp_path / "a.nii.gz", 3, 20).read_bytes())
    assert raw.count(CANARY.encode()) > 20 and speaks(raw)
    assert CANARY in str(nibabel.load(tmp_path / "a.nii.gz").header)


def broken(path: Path) -> dict[str, bytes]:
    """A NIfTI file broken in ways that make nibabel quote its header."""
    raw = bytearray(gzip.decompress(path.read_bytes()))
    made = {"cut": bytes(raw[:600]), "no magic": bytes(raw[:344] + b"Zz9" + raw[347:])}
    for name, at, value in (
        ("a wrong type", 70, b"\xff\x7f"),
        ("a wrong size", 42, b"\xff\x7f\xff\x7f\xff\x7f"),
        ("an extension without end", 352, b"\x10\xff\xff\x7f"),
    ):
        made[name] = bytes(raw[:at] + value + raw[at + len(value) :])
    return {name: gzip.compress(content) for name, content in made.items()}


@pytest.mark.slow
def test_a_whole_road_tells_nothing_of_the_headers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("pydicom", reason="the extra dicom is not installed")
    monkeypatch.setenv("VRFT_PATIENT_KEY", "a key of this test")  # splits depend on it
    root, work = tmp_path / "data", tmp_path / "work"
    work.mkdir()
    save_all(root)
    file, run = work / "private.yaml", work / "run"
    file.write_text(yaml.safe_dump(recipe(root), sort_keys=False))
    printed = {
        "check": vrft("check", str(file), "--decode"),
        "check as JSON": vrft("check", str(file), "--json"),
        "prompt": vrft("prompt", str(file)),
        "train": vrft("train", str(file), "--output", str(run)),
        "report": vrft("report", str(run)),
    }
    assert "planes shown: axial" in printed["check"] and "burned into their pixels" in printed["check"]
    path = root / "scans/v5/scan.nii.gz"
    whole = path.read_bytes()
    for name, content in broken(path).items():
        path.write_bytes(content)
        printed[f"check, {name}"] = vrft("check", str(file), "--decode", code=2)
    path.write_bytes(whole)
    dicom = root / "scans/v4/1.dcm"
    whole = dicom.read_bytes()
    dicom.write_bytes(whole[:-200])
    printed["check, a cut slice"] = vrft("check", str(file), "--decode", code=2)
    save_canaries(dicom, 401, 20, SeriesInstanceUID="1.2.9171.79.4", PixelSpacing=[1, 1],
                  ImagePositionPatient=[0, 0, 0], ImageOrientationPatient=[1, 0, 0, 0, 1, 0])  # fmt: skip
    printed["check, two slices at a place"] = vrft("check", str(file), "--decode", code=2)
    told = [name for name, text in printed.items() if speaks(text.encode())]
    told += [
        str(path.relative_to(work))
        for path in work.rglob("*")
        if CANARY in path.name or (path.is_file() and speaks(path.read_bytes()))
    ]
    assert not told
    assert (run / "report.html").is_file() and (run / "rollouts.jsonl").is_file()
