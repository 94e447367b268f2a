"""No header value of a DICOM file reaches anything that a whole run writes or prints."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from helpers.canaries import CANARY, private_recipe, save_canaries, speaks, vrft
from helpers.data_files import save_csv

pydicom = pytest.importorskip("pydicom", reason="the extra dicom is not installed")
pytestmark = pytest.mark.filterwarnings("ignore:Invalid value")  # as the test writes its canaries


def recipe(root: Path) -> dict[str, Any]:
    data = {
        "reader": "dicom", "folder": "scans", "table": "labels.csv",
        "join": {"accession_number": "accession"},
    }  # fmt: skip
    return private_recipe(root, data, {"format": 0.2, "accuracy": 1.0})


def test_the_files_are_full_of_canaries(tmp_path: Path) -> None:
    """The test can fail: the files hold hundreds of them, and a reader that prints a header would tell."""
    raw = save_canaries(tmp_path / "a.dcm", 3, 20).read_bytes()
    assert raw.count(CANARY.encode()) > 1000
    assert speaks(raw)
    assert CANARY in str(pydicom.dcmread(tmp_path / "a.dcm").PatientName)


@pytest.mark.slow
def test_a_whole_road_tells_nothing_of_the_headers(tmp_path: Path) -> None:
    root, work = tmp_path / "data", tmp_path / "work"
    work.mkdir()
    rows = [["accession", "label"]]
    for number in range(24):
        save_canaries(root / f"scans/s{number}.dcm", number, 20 + 180 * (number % 2))
        rows.append([f"Zz9171A{number}", ("dark", "bright")[number % 2]])
    save_csv(root / "labels.csv", rows)
    file = work / "private.yaml"
    file.write_text(yaml.safe_dump(recipe(root), sort_keys=False))
    run = work / "run"
    printed = {
        "check": vrft("check", str(file), "--decode"),
        "data": vrft("data", str(file), "--html", str(work / "data.html"), "--json", str(work / "data.json")),
        "data of a path": vrft("data", str(root / "scans"), "--html", str(work / "path.html")),
        "check as JSON": vrft("check", str(file), "--json"),
        "prompt": vrft("prompt", str(file)),
        "train": vrft("train", str(file), "--output", str(run)),
        "evaluate": vrft("evaluate", str(run), "--output", str(work / "again.json")),
        "report": vrft("report", str(run)),
        "export": vrft("export", str(run), "--to", str(work / "handed-on")),
        "predict": vrft("predict", str(run), str(root / "scans/s3.dcm"), "--json"),
    }
    assert "text is burned into their pixels" in printed["check"]
    whole = (root / "scans/s5.dcm").read_bytes()
    for name, broken in wrong_files(whole, root / "scans/s5.dcm").items():
        (root / "scans/s5.dcm").write_bytes(broken)
        printed[f"check, {name}"] = vrft("check", str(file), "--decode", code=2)
        printed[f"predict, {name}"] = vrft("predict", str(run), str(root / "scans/s5.dcm"), code=2)
    (root / "scans/s5.dcm").write_bytes(whole)
    save_csv(root / "labels.csv", [["accession", "label"], *[["Zz9171A3", "dark"]] * 2])
    printed["check, a row twice"] = vrft("check", str(file), code=2)
    save_csv(root / "labels.csv", [["accession", "label"], ["none", "dark"]])
    printed["check, no match"] = vrft("check", str(file), code=2)
    save_csv(root / "labels.csv", rows)
    told = [name for name, text in printed.items() if speaks(text.encode())]
    told += [
        str(path.relative_to(work))
        for path in work.rglob("*")
        if CANARY in path.name or (path.is_file() and speaks(path.read_bytes()))
    ]
    assert not told
    assert (run / "report.html").is_file() and (run / "rollouts.jsonl").is_file()
    assert list((run / "predictions").iterdir()) and (work / "handed-on" / "README.md").is_file()


def wrong_files(whole: bytes, path: Path) -> dict[str, bytes]:
    """The file broken in ways that make pydicom quote its header."""
    made = {"cut in the header": whole[: len(whole) // 3], "cut in the pixels": whole[:-200]}
    for name, keyword, value in (
        ("a wrong function", "VOILUTFunction", "Zz9171"),
        ("a wrong photometric interpretation", "PhotometricInterpretation", "Zz9171"),
        ("frames that are no number", "NumberOfFrames", "Zz9171"),
    ):
        data = pydicom.dcmread(path)
        data.add_new(keyword, "CS", value)
        if keyword == "VOILUTFunction":
            data.WindowCenter, data.WindowWidth = 5, 9
        other = path.with_suffix(".tmp")
        data.save_as(other, enforce_file_format=True)
        made[name] = other.read_bytes()
        other.unlink()
    return made
