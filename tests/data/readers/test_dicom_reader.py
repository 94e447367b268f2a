"""The reader of DICOM files: trees and DICOMDIRs, labels by table or folder, patients apart and unnamed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from helpers.data_files import save_csv
from helpers.dicom_files import save_dicom
from vrft_aug.data.cases import load_cases
from vrft_aug.data.notes import collecting
from vrft_aug.data.pseudonyms import KEY_FILE
from vrft_aug.data.readers.dicom import DicomData
from vrft_aug.data.splits import SPLITS
from vrft_aug.errors import UserError
from vrft_aug.nouns import Case, Task

pydicom = pytest.importorskip("pydicom", reason="the extra dicom is not installed")
TASK = Task("look", "classify", "What is it?", ("dark", "bright"))
SIDES = Task("look", "classify", "Which side?", ("left", "right"))


def film(number: int) -> np.ndarray:
    return np.random.default_rng(number).integers(0, 4096, (20, 24)).astype(np.uint16)


def save_tree(root: Path, count: int = 24) -> list[dict[str, str]]:
    """`scans/p<patient>/<n>.dcm`, two pictures a patient; what their headers say, in order."""
    rows = []
    for n in range(count):
        facts = {
            "PatientID": f"MRN{n // 2:05d}",
            "AccessionNumber": f"ACC-{n:04d}",
            "SOPInstanceUID": f"1.2.826.0.1.{n + 1}",
            "ViewPosition": ("CC", "MLO")[n % 2],
            "ImageLaterality": "LR"[n // 2 % 2],
            "Modality": "MG",
        }
        save_dicom(root / f"scans/p{n // 2}/{n}.dcm", film(n), **facts)
        rows.append(facts)
    return rows


def config(**settings: Any) -> DicomData:
    return DicomData.model_validate({"reader": "dicom", "folder": "scans", **settings})


def read(root: Path, task: Task = TASK, **settings: Any) -> dict[str, Case]:
    """All cases of all splits."""
    cases: dict[str, Case] = {}
    for split in SPLITS:
        try:
            cases |= {case.id: case for case in load_cases(config(**settings), task, root, split)}
        except UserError as error:
            if "has no cases in split" not in str(error):
                raise
    return cases


@pytest.mark.parametrize(
    ("join", "columns"),
    [
        ({"sop_instance_uid": "key"}, ["SOPInstanceUID"]),
        ({"accession_number": "key"}, ["AccessionNumber"]),
        ({"patient_id": "key", "view": "side"}, ["PatientID", "ViewPosition"]),
        ({"file": "key"}, ["file"]),
    ],
)
def test_a_table_is_joined_on_what_the_header_or_the_name_says(
    tmp_path: Path, join: dict[str, str], columns: list[str]
) -> None:
    headers = save_tree(tmp_path)
    names = ["key", "side"][: len(columns)]
    rows = [[*names, "label"]]
    for n, facts in enumerate(headers):
        known = {**facts, "file": f"p{n // 2}\\{n}"}
        rows.append([*(known[column] for column in columns), TASK.labels[n % 2]])
    save_csv(tmp_path / "labels.csv", rows[:1] + rows[:0:-1])
    cases = read(tmp_path, table="labels.csv", join=join)
    assert len(cases) == 24
    for n in range(24):
        wanted = np.asarray(film(n))
        (case,) = (
            case
            for case in cases.values()
            if str(getattr(case.images[0], "path")).endswith(f"/{n}.dcm")  # noqa: B009
        )
        assert case.target.label == TASK.labels[n % 2]
        assert case.images[0].open().size == wanted.shape[::-1]


def test_no_patient_is_in_two_splits_and_none_is_named(tmp_path: Path) -> None:
    headers = save_tree(tmp_path, 60)
    # One draw in 25 of a random key leaves a split of these 30 patients empty.
    (tmp_path / KEY_FILE).write_text("a key of the test\n")
    save_csv(tmp_path / "t.csv", [["file", "label"], *[[f"{n}.dcm", "dark"] for n in range(60)]])
    cases = read(tmp_path, table="t.csv")
    splits: dict[str, set[str]] = {}
    for case in cases.values():
        assert case.patient is not None
        splits.setdefault(case.patient, set()).add(case.id.split("/")[1])
        said = f"{case.id} {case.patient}"
        assert not any(value in said for facts in headers for value in facts.values() if len(value) > 2)
    assert len(splits) == 30
    assert all(len(of_patient) == 1 for of_patient in splits.values())
    assert {split for of_patient in splits.values() for split in of_patient} == set(SPLITS)


def test_names_depend_on_the_key_and_on_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save_tree(tmp_path)
    save_csv(tmp_path / "t.csv", [["file", "label"], *[[f"{n}.dcm", "dark"] for n in range(24)]])
    first = read(tmp_path, table="t.csv")
    assert (tmp_path / KEY_FILE).stat().st_mode & 0o777 == 0o600
    assert set(read(tmp_path, table="t.csv")) == set(first)
    monkeypatch.setenv("VRFT_PATIENT_KEY", "a secret of this hospital")
    second = read(tmp_path, table="t.csv")
    assert {id.split("/")[2] for id in second}.isdisjoint(id.split("/")[2] for id in first)
    (tmp_path / KEY_FILE).unlink()
    assert set(read(tmp_path, table="t.csv")) == set(second)
    assert not (tmp_path / KEY_FILE).exists()
    monkeypatch.setenv("VRFT_PATIENT_KEY", "short")
    with pytest.raises(UserError, match=r"VRFT_PATIENT_KEY has 5 characters; expected 16"):
        read(tmp_path, table="t.csv")


def test_folders_are_splits_and_classes(tmp_path: Path) -> None:
    for n, folder in enumerate(("train/Dark", "train/bright", "valid/Dark", "test/hell/x")):
        save_dicom(tmp_path / f"scans/{folder}/{n}.dcm", film(n), PatientID=f"p{n}")
    cases = read(tmp_path, label_names={"hell": "bright"})
    found = sorted((id.split("/")[1], case.target.label) for id, case in cases.items())
    assert found == [
        ("test", "bright"), ("train", "bright"), ("train", "dark"), ("validation", "dark"),
    ]  # fmt: skip


def test_words_of_the_header_choose_files_and_are_labels(tmp_path: Path) -> None:
    save_tree(tmp_path)
    names = {"L": "left", "R": "right"}
    cases = read(tmp_path, SIDES, only={"view": ["cc"]}, label_header="laterality", label_names=names)
    assert len(cases) == 12
    assert sum(case.target.label == "left" for case in cases.values()) == 6
    with pytest.raises(UserError, match=r"no file has view PA; they have CC \(12\), MLO \(12\)"):
        read(tmp_path, SIDES, only={"view": ["PA"]}, label_header="laterality", label_names=names)


def test_what_is_no_picture_is_passed_over_and_a_dicomdir_is_followed(tmp_path: Path) -> None:
    from pydicom.fileset import FileSet

    save_tree(tmp_path, 6)
    (tmp_path / "scans/notes.txt").write_text("x" * 300)
    report = pydicom.Dataset()
    report.SOPClassUID = "1.2.840.10008.5.1.4.1.1.88.11"
    report.PatientName = "CANARY"
    report.save_as(tmp_path / "scans/report.dcm", implicit_vr=False, little_endian=True)
    medium = FileSet()
    for path in sorted((tmp_path / "scans").rglob("[0-9].dcm"))[:4]:
        data = pydicom.dcmread(path)
        data.StudyDate, data.StudyTime, data.StudyID = "20200101", "101010", "1"
        data.SeriesNumber, data.InstanceNumber = 1, path.stem
        medium.add(data)
    medium.write(tmp_path / "disc")
    settings: dict[str, Any] = {"label_header": "view", "label_names": {"CC": "dark", "MLO": "bright"}}
    assert len(read(tmp_path, **settings)) == 6
    assert len(read(tmp_path, folder="disc/DICOMDIR", **settings)) == 4
    assert len(read(tmp_path, folder="disc", **settings)) == 4
    next(
        path for path in (tmp_path / "disc").rglob("*") if path.is_file() and path.name != "DICOMDIR"
    ).unlink()
    with pytest.raises(UserError, match="lists 4 files, of which 1 are not there"):
        read(tmp_path, folder="disc/DICOMDIR", **settings)


@pytest.mark.parametrize(
    ("frames", "shown"), [("middle", [3]), (2, [1, 4]), ([0, -1], [0, 5]), ("each", [0, 1, 2, 3, 4, 5])]
)
def test_frames_are_chosen(tmp_path: Path, frames: Any, shown: list[int]) -> None:
    clip = np.stack([np.full((8, 8), 40 * n, np.uint8) for n in range(6)])
    save_dicom(tmp_path / "scans/dark/a.dcm", clip, WindowCenter=128, WindowWidth=256)
    cases = read(tmp_path, frames=frames)
    seen = [np.asarray(image.open()).max() for case in cases.values() for image in case.images]
    assert seen == pytest.approx([40 * n for n in shown], abs=1)
    assert len(cases) == (6 if frames == "each" else 1)
    with pytest.raises(UserError, match=r"a\.dcm has 6 frames, and a case is one picture"):
        read(tmp_path)


def test_burned_in_text_is_told(tmp_path: Path) -> None:
    save_dicom(tmp_path / "scans/dark/a.dcm", film(0), BurnedInAnnotation="YES")
    save_dicom(tmp_path / "scans/dark/b.dcm", film(1), BurnedInAnnotation="NO")
    with collecting() as notes:
        read(tmp_path)
    (told,) = (note for note in notes if "burned" in note.text)
    assert told.level == "warning"
    assert told.text.startswith("1 of 2 DICOM files say that text is burned into their pixels")


def test_a_window_of_the_recipe_replaces_those_of_the_files(tmp_path: Path) -> None:
    save_dicom(tmp_path / "scans/dark/a.dcm", film(0), WindowCenter=10, WindowWidth=2)
    (wide,) = read(tmp_path, window=[2048, 4096]).values()
    (own,) = read(tmp_path).values()
    assert abs(np.asarray(wide.images[0].open())[..., 0] - film(0) / 16).max() < 1.5
    assert np.asarray(own.images[0].open()).mean() > 250


ACCESSION = {"accession_number": "a"}
WRONG: dict[str, tuple[dict[str, Any], list[list[str]], str]] = {
    "no match": ({"join": ACCESSION}, [["77777"]], "0 of 24 files match a row on accession_number"),
    "shape": ({"join": ACCESSION}, [["77777"]], "'99999'; a file has .* 'AAA-9999'"),
    "some": ({"join": ACCESSION}, [["ACC-0003"]], "1 of 24 files and 1 of 1 rows match"),
    "files": ({"join": {"file": "a"}}, [["0.dcm"], ["z"]], "1 of 24 files and 1 of 2 rows match on file"),
    "row twice": ({"join": {"patient_id": "a"}}, [["MRN00000"]] * 2, "line 3 has the same patient_id"),
    "unknown key": ({"join": {"acession_number": "a"}}, [["1"]], "did you mean 'accession_number'"),
    "no column": ({"join": {"file": "b"}}, [["1"]], r"no column 'b' \(join.file\)"),
    "no table": ({"table": "x.csv"}, [["1"]], "x.csv does not exist"),
    "label": ({"join": ACCESSION, "unmatched": "leave out"}, [["ACC-0003", "grey"]], "2: .*'grey'"),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_tables_that_do_not_fit_are_told_without_what_headers_say(tmp_path: Path, name: str) -> None:
    settings, rows, said = WRONG[name]
    headers = save_tree(tmp_path)
    save_csv(tmp_path / "t.csv", [["a", "label"], *[[*row, "dark"][:2] for row in rows]])
    with pytest.raises(UserError, match=said) as caught:
        read(tmp_path, **({"table": "t.csv"} | settings))
    message = str(caught.value)
    assert len(message) < 500
    for facts in headers:
        assert facts["AccessionNumber"] not in message
        assert facts["SOPInstanceUID"] not in message


def test_files_that_do_not_fit_are_told(tmp_path: Path) -> None:
    save_tree(tmp_path, 4)
    with pytest.raises(UserError, match=r"folder 'p0' below 'scans' is no label of task 'look'"):
        read(tmp_path)
    with pytest.raises(UserError, match=r"no\b.*does not exist; expected a folder of DICOM"):
        read(tmp_path, folder="no")
    (tmp_path / "text").mkdir()
    (tmp_path / "text/a.txt").write_text("no picture")
    with pytest.raises(UserError, match=r"holds no DICOM file, among 1 files"):
        read(tmp_path, folder="text")
    twin = (tmp_path / "scans/p0/0.dcm").read_bytes()
    (tmp_path / "scans/p1/again.dcm").write_bytes(twin)
    with pytest.raises(UserError, match=r"0\.dcm and .*again\.dcm hold the same picture"):
        read(tmp_path)
    (tmp_path / "scans/p1/again.dcm").write_bytes(b"")
    with pytest.raises(UserError, match=r"again\.dcm cannot be read as DICOM: it is empty, cut off"):
        read(tmp_path)


def test_the_registry_knows_the_settings(tmp_path: Path) -> None:
    from helpers.data_files import recipe_mapping, save_recipe_mapping
    from vrft_aug.recipe.file import load_recipe

    data = {"reader": "dicom", "folder": "scans", "window": [40, 400], "frames": "middle"}
    path = save_recipe_mapping(tmp_path / "a.yaml", recipe_mapping(tmp_path, "classify", TASK.labels, data))
    loaded = load_recipe(str(path)).tasks["look"].data
    assert loaded == config(window=[40, 400], frames="middle")
    again = yaml.safe_load(yaml.safe_dump(loaded.model_dump(mode="json")))
    assert DicomData.model_validate(again) == loaded
