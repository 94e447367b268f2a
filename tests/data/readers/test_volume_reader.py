"""The reader of volumes: files and series below a folder, labels, slices, patients, label volumes."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from helpers.data_files import save_csv
from helpers.volume_files import patient, save_nifti, save_series, stored
from helpers.wild_sets import patients_by_split, read_cases, read_splits
from vrft_aug.data.notes import Note
from vrft_aug.data.volumes.volume_picture import VolumePicture
from vrft_aug.errors import UserError
from vrft_aug.nouns import Box, Case

LABELS = ["no", "yes"]
VOLUME: dict[str, Any] = {"reader": "volume", "folder": "scans"}


def save_scans(root: Path, count: int = 24, name: str = "{n}.nii.gz", axes: str = "LPS") -> list[str]:
    """Volumes of 12 x 10 x 8 voxels of other values each, two a patient where `name` says so."""
    names = [name.format(n=n, p=n // 2) for n in range(count)]
    for n, file in enumerate(names):
        array, affine = stored(patient() + n, axes, (1, 1, 2))
        save_nifti(root / "scans" / file, array, affine)
    return names


def picture(case: Case, number: int = 0) -> VolumePicture:
    image = case.images[number]
    assert isinstance(image, VolumePicture)
    return image


def said(notes: list[Note]) -> str:
    return " ".join(note.text for note in notes)


def test_labels_from_a_table_by_name_and_patients_from_paths(tmp_path: Path) -> None:
    names = save_scans(tmp_path, 40, "sub-{p:02d}/scan_{n}.nii.gz")
    rows = [["scan", "label"], *([f"scan_{n}", LABELS[n % 2]] for n in range(40))]
    save_csv(tmp_path / "t.csv", rows)
    data = VOLUME | {"table": "t.csv", "join": {"file": "scan"}, "patient_pattern": r"sub-\d+"}
    found, notes = read_splits(tmp_path, data, "classify", LABELS)
    cases = {case.id.rpartition("/")[2]: case for part in found.values() for case in part}
    assert {name: case.target.label for name, case in cases.items()} == {
        f"scan_{n}": LABELS[n % 2] for n in range(40)
    }
    assert "planes shown: axial" in said(notes)
    parts = patients_by_split(found)
    assert sum(map(len, parts.values())) == len(set.union(*parts.values())) == 20
    one = found["train"][0]
    assert one.id.startswith("scans/train/scan_")
    assert str(picture(one).path).endswith(names[int(one.id.rpartition("_")[2])])
    shown = pickle.loads(pickle.dumps(one)).images[0].open()
    assert shown.size == (12, 10) and np.asarray(shown)[0, 0, 0] == 255  # right, front


def test_folders_are_classes_within_splits(tmp_path: Path) -> None:
    save_scans(tmp_path, 4, "train/yes/{n}.nii")
    save_scans(tmp_path, 4, "train/no/{n}.nii")
    save_scans(tmp_path, 2, "test/no/x{n}.nii.gz")
    found, _ = read_splits(tmp_path, VOLUME, "classify", LABELS)
    assert {case.id for case in found["test"]} == {f"scans/test/test/no/x{n}" for n in range(2)}
    assert len(found["train"]) + len(found["validation"]) == 8
    assert all((case.target.label or "?") in case.id.split("/") for part in found.values() for case in part)


@pytest.mark.parametrize(
    ("settings", "pictures", "size", "first"),
    [
        ({}, 1, (12, 10), (4,)),
        ({"slices": 3}, 3, (12, 10), (1,)),
        ({"slices": [0, -1]}, 2, (12, 10), (0,)),
        ({"slices": "each"}, 8, (12, 10), (0,)),
        ({"slices": 4, "montage": True}, 1, (24, 20), (1, 3, 5, 7)),
        ({"slices": "each", "montage": True}, 1, (36, 30), tuple(range(8))),
        ({"plane": "coronal"}, 1, (12, 16), (5,)),
        ({"plane": "sagittal", "slices": [2]}, 1, (10, 16), (2,)),
    ],
)
def test_which_slices_are_shown(
    tmp_path: Path, settings: dict[str, Any], pictures: int, size: tuple[int, int], first: tuple[int, ...]
) -> None:
    save_scans(tmp_path)
    save_csv(tmp_path / "t.csv", [["file", "label"], *([f"{n}.nii.gz", LABELS[n % 2]] for n in range(24))])
    cases = read_cases(tmp_path, VOLUME | {"table": "t.csv"} | settings, "classify", LABELS)
    assert len(cases) == 24
    case = cases["7"]
    assert len(case.images) == pictures
    assert picture(case).numbers == first
    assert case.images[0].open().size == picture(case).size() == size


def test_each_slice_may_be_a_case(tmp_path: Path) -> None:
    save_scans(tmp_path)
    save_csv(tmp_path / "t.csv", [["file", "label"], *([f"{n}.nii.gz", LABELS[n % 2]] for n in range(24))])
    data = VOLUME | {"table": "t.csv", "cases": "slice", "slices": [1, 5]}
    found, _ = read_splits(tmp_path, data, "classify", LABELS)
    ids = {case.id.partition("/")[2] for part in found.values() for case in part}
    assert {id.partition("/")[2] for id in ids} == {f"{n}/axial-{k}" for n in range(24) for k in (1, 5)}
    owners = [{case.id.split("/")[2] for case in part} for part in found.values()]
    assert sum(map(len, owners)) == 24  # slices of a volume are in one split


def test_series_are_joined_on_their_headers_and_named_by_hashes(tmp_path: Path) -> None:
    for n in range(12):
        save_series(tmp_path / f"scans/p{n // 2}/s{n}", patient() + n, SeriesInstanceUID=f"1.2.9.{n}",
                    AccessionNumber=f"ACC{n:03d}", PatientID=f"MRN{n // 2}", Modality="MR")  # fmt: skip
    rows = [[f"ACC{n:03d}", f"p{n // 2}/s{n}", LABELS[n % 2]] for n in range(12)]
    save_csv(tmp_path / "t.csv", [["acc", "where", "label"], *rows])
    for join in ({"accession_number": "acc"}, {"folder": "where"}):
        found, _ = read_splits(tmp_path, VOLUME | {"table": "t.csv", "join": join}, "classify", LABELS)
        cases = [case for part in found.values() for case in part]
        assert len(cases) == 12
        for case in cases:
            n = int(picture(case).path.parent.name[1:])
            assert case.target.label == LABELS[n % 2]
            assert case.patient is not None and "MRN" not in case.id + case.patient and "ACC" not in case.id
        parts = patients_by_split(found)
        assert sum(map(len, parts.values())) == len(set.union(*parts.values())) == 6
    save_series(
        tmp_path / "scans/p0/scout", patient((12, 10, 1)), SeriesInstanceUID="1.2.9.99", Modality="MR"
    )
    with pytest.raises(UserError, match=r"12 of 13 files and 12 of 12 rows match"):
        read_splits(tmp_path, VOLUME | {"table": "t.csv", "join": {"folder": "where"}}, "classify", LABELS)
    data = VOLUME | {"table": "t.csv", "join": {"folder": "where"}, "least_slices": 2}
    found, notes = read_splits(tmp_path, data, "classify", LABELS)
    assert sum(map(len, found.values())) == 12 and "1 series have fewer than 2 files" in said(notes)


BOXES: dict[str, Any] = {
    "reader": "volume",
    "folder": ".",
    "files": "images/*_0000.nii.gz",
    "label_volumes": "labels/*.nii.gz",
    "mask_values": {"1": "lesion", "2": "cyst"},
    "unused_labels": "accept",
}


def save_labelled(root: Path, axes: str, spacing: tuple[float, float, float] = (1, 1, 1)) -> None:
    """A lesion at R 2-5, A 3-8, S 4-6 and a cyst at R 8-10, A 0-2, S 4-5, ends outside."""
    labels = np.zeros((12, 10, 8), np.uint8)
    labels[2:5, 3:8, 4:6] = 1
    labels[8:10, 0:2, 4:5] = 2
    for n in range(12):
        for folder, values, end in (("images", patient(), "_0000"), ("labels", labels, "")):
            array, affine = stored(values, axes, spacing)
            save_nifti(root / folder / f"c{n}{end}.nii.gz", array, affine)


@pytest.mark.parametrize("axes", ["RAS", "LPS", "SRP", "AIL"])
def test_boxes_of_label_volumes_lie_in_the_slice_that_is_shown(tmp_path: Path, axes: str) -> None:
    save_labelled(tmp_path, axes, (1, 1, 2))
    lesion, cyst = Box(12 - 5, 10 - 8, 12 - 2, 10 - 3, "lesion"), Box(2, 8, 4, 10, "cyst")
    for slices, boxes in (([4], (lesion, cyst)), ([5], (lesion,)), ([0], ())):
        cases = read_cases(tmp_path, BOXES | {"slices": slices}, "localise", ["lesion", "cyst"])
        assert [case.target.boxes for case in cases.values()] == [boxes] * 12
    coronal = read_cases(
        tmp_path, BOXES | {"slices": [4], "plane": "coronal"}, "localise", ["lesion", "cyst"]
    )
    assert coronal["c3_0000"].target.boxes == (Box(7, 4, 10, 8, "lesion"),)  # S 4-6 of 8, 2 mm a voxel
    assert picture(coronal["c3_0000"]).size() == (12, 16)
    found, _ = read_splits(
        tmp_path, BOXES | {"cases": "slice", "slices": "each"}, "localise", ["lesion", "cyst"]
    )
    cases_of = [case for part in found.values() for case in part]
    boxes_at = {case.id.rpartition("-")[2]: len(case.target.boxes or ()) for case in cases_of}
    assert len(cases_of) == 12 * 8
    assert boxes_at == {str(number): {4: 2, 5: 1}.get(number, 0) for number in range(8)}


WRONG: list[tuple[dict[str, Any], str, str]] = [
    ({"folder": "nowhere"}, "classify", "nowhere does not exist"),
    ({"folder": "empty"}, "classify", r"empty has no volumes: expected \.nii"),
    ({"folder": "others"}, "classify", r"others has no volumes: .*it has 1 files of \.nrrd"),
    ({"files": "*_flair.nii.gz"}, "classify", r"0 of 24 NIfTI files in .* match data\.files '\*_flair"),
    ({"patient_pattern": "sub-.."}, "classify", "finds no patient in any of 24 paths, such as 0.nii.gz"),
    ({"slices": 9}, "classify", "has 8 slices or frames, data.slices asks for 9"),
    ({"slices": [8]}, "classify", "has 8 slices or frames, counted from 0; data.slices names 8"),
    ({"window": [40, 0]}, "classify", "expected \\[centre, width\\] with a width of 1"),
    ({"montage": True, "cases": "slice"}, "classify", "choose one"),
    ({"label_volumes": "*.nii"}, "classify", "data.label_volumes are boxes"),
    ({}, "localise", "needs data.label_volumes with data.mask_values"),
    ({"label_volumes": "x*", "mask_values": {1: "no"}, "slices": 3}, "localise", "boxes lie in one picture"),
    ({"label_volumes": "x", "mask_values": {1: "no"}}, "localise", r"expected one \* in each"),
    ({"label_volumes": "x*", "mask_values": {"a": "no"}}, "localise", "'a' is no value"),
    ({"label_volumes": "x*", "mask_values": {1: "yess"}}, "localise", "did you mean 'yes'"),
    ({"label_volumes": "l/*", "mask_values": {1: "no"}}, "localise", r"l/\d+\.nii\.gz .*it does not exist"),
    ({"table": None}, "classify", "in no folder of a class"),
    ({"join": {"foldr": "file"}}, "classify", "did you mean 'folder'"),
]


@pytest.mark.parametrize(("changed", "kind", "message"), WRONG)
def test_wrong_settings_are_one_line(
    tmp_path: Path, changed: dict[str, Any], kind: str, message: str
) -> None:
    save_scans(tmp_path)
    save_csv(tmp_path / "t.csv", [["file", "label"], *([f"{n}.nii.gz", LABELS[n % 2]] for n in range(24))])
    (tmp_path / "empty").mkdir()
    (tmp_path / "others").mkdir()
    (tmp_path / "others/a.nrrd").write_text("NRRD0004")
    with pytest.raises(UserError, match=message) as caught:
        read_cases(tmp_path, VOLUME | {"table": "t.csv"} | changed, kind, LABELS)
    line = str(caught.value)
    assert "\n" not in line and len(line.replace(str(tmp_path), "")) < 500


def test_label_volumes_that_do_not_lie_on_their_volume_are_refused(tmp_path: Path) -> None:
    save_labelled(tmp_path, "RAS")
    array, affine = stored(np.zeros((12, 10, 8), np.uint8), "RAS", (1, 1, 2))
    save_nifti(tmp_path / "labels/c3.nii.gz", array, affine)
    with pytest.raises(UserError, match=r"labels/c3\.nii\.gz .*do not lie on those of c3_0000\.nii\.gz"):
        read_cases(tmp_path, BOXES, "localise", ["lesion", "cyst"])
    array, affine = stored(np.full((12, 10, 8), 0.5, np.float32), "RAS")
    save_nifti(tmp_path / "labels/c3.nii.gz", array, affine)
    with pytest.raises(UserError, match=r"labels/c3\.nii\.gz .*no whole numbers"):
        read_cases(tmp_path, BOXES, "localise", ["lesion", "cyst"])
