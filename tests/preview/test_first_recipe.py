"""`vrft init --from`: data as people have it, and the recipe that is written for it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from helpers import annotated_sets
from helpers.data_files import GRADES, save_arrays, save_csv, save_image, save_medmnist
from helpers.dicom_files import save_dicom
from helpers.volume_files import patient, save_nifti, stored
from vrft_aug.errors import UserError
from vrft_aug.preview.guess.first_recipe import FirstRecipe, first_recipe
from vrft_aug.preview.guess.label_order import rank_order

COUNT = 40


def table(root: Path, header: list[str], row: Callable[[int], list[str]], folder: str = "images") -> Path:
    """A table of `COUNT` rows, the first cell the name of a picture that is there."""
    rows = [row(i) for i in range(COUNT)]
    for i, cells in enumerate(rows):
        path = root / folder / cells[0]
        save_image(path if path.suffix else path.with_suffix(".png"), seed=i)
    return save_csv(root / "labels.csv", [header, *rows])


def with_splits(root: Path) -> Path:
    """A table with splits and patients, labels that have an order."""
    return table(
        root, ["file", "patient_id", "dr_grade", "split", "age"],
        lambda i: [f"i{i}.png", f"p{i // 2}", GRADES[i // 2 % 5], "train" if i // 2 % 4 < 3 else "test", "6"],
    )  # fmt: skip


def of_numbers(root: Path) -> Path:
    """Grades as bare numbers in a folder whose name says what they grade; names without a suffix."""
    return table(root, ["id_code", "diagnosis"], lambda i: [f"a{i}", str(i % 5)], "aptos retinopathy")


def of_numbers_alone(root: Path) -> Path:
    """Bare numbers that nothing explains."""
    return table(root, ["image", "stage"], lambda i: [f"i{i}.png", str(i % 3)])


def one_hot(root: Path) -> Path:
    """A column a class, exactly one of them 1."""
    return table(
        root, ["image", "mel", "nev", "other"],
        lambda i: [f"i{i}.png", *("1" if i % 3 == k else "0" for k in range(3))],
    )  # fmt: skip


def flags(root: Path) -> Path:
    """A column a finding, several 1, some -1, some empty."""
    return table(
        root, ["Path", "Sex", "Effusion", "Edema", "Pneumothorax"],
        lambda i: [f"i{i}.png", "F" if i % 2 else "M", str(i % 2), ("1", "0", "-1", "")[i % 4],
                   str(i // 3 % 2)],
    )  # fmt: skip


def lists(root: Path) -> Path:
    """Several findings in a cell."""
    return table(
        root, ["image", "findings"],
        lambda i: [f"i{i}.png", ("No Finding", "mass", "mass|nodule", "nodule", "effusion|mass")[i % 5]],
    )  # fmt: skip


def box_rows(root: Path) -> Path:
    """Boxes in the rows."""
    return table(
        root, ["image", "xmin", "ymin", "xmax", "ymax", "class"],
        lambda i: [f"i{i}.png", "2", "3", "12", str(14 + i % 5), ("cyst", "mass")[i % 2]],
    )  # fmt: skip


def reports(root: Path) -> Path:
    """A question and an answer a row."""
    return table(
        root, ["image", "question", "answer"],
        lambda i: [f"i{i}.png", f"What is at {i}?", f"the number {i}"],
    )  # fmt: skip


def classes(root: Path) -> Path:
    """A folder a class."""
    for i in range(COUNT):
        save_image(root / "skin" / ("naevus", "melanoma")[i % 2] / f"i{i}.png", seed=i)
    return root / "skin"


def split_classes(root: Path) -> Path:
    """A folder a split, in it a folder a class."""
    for i in range(COUNT):
        split = ("train", "train", "val", "test")[i // 2 % 4]
        save_image(root / "chest_xray" / split / ("NORMAL", "PNEUMONIA")[i % 2] / f"i{i}.png", seed=i)
    return root / "chest_xray"


def coco_splits(root: Path) -> Path:
    """A COCO file a split, beside its pictures."""
    for part in ("train", "valid", "test"):
        annotated_sets.coco(root / "one" / part)
        content = json.loads((root / "one" / part / "a.json").read_text())
        for image in content["images"]:
            old = root / "one" / part / "images" / image["file_name"]
            image["file_name"] = f"{part}_{image['file_name']}"
            old.rename(root / "one" / part / image["file_name"])
        (root / "one" / part / "a.json").rename(root / "one" / part / "_annotations.coco.json")
        (root / "one" / part / "_annotations.coco.json").write_text(json.dumps(content))
        (root / "one" / part / "images").rmdir()
    return root / "one"


def boxes(write: Callable[[Path], Any]) -> Callable[[Path], Path]:
    """A set as an annotation tool writes it."""

    def make(root: Path) -> Path:
        write(root)
        return root

    return make


def yolo(root: Path) -> Path:
    """images/, labels/ and data.yaml."""
    annotated_sets.yolo(root)
    return root / "set"


def dicom_table(root: Path) -> Path:
    """DICOM files and a table of their names."""
    rows = [["file", "finding"]]
    for i in range(COUNT):
        pixels = np.random.default_rng(i).integers(0, 4096, (16, 16)).astype(np.uint16)
        save_dicom(root / "scans" / f"s{i}.dcm", pixels, PatientID=f"p{i}")
        rows.append([f"s{i}.dcm", ("cyst", "mass")[i % 2]])
    save_csv(root / "labels.csv", rows)
    return root


def nifti_folders(root: Path) -> Path:
    """NIfTI files in a folder a class."""
    for i in range(12):
        save_nifti(root / "brain mri" / ("glioma", "healthy")[i % 2] / f"s{i}.nii.gz", *stored(patient() + i))
    return root / "brain mri"


def questions(root: Path) -> Path:
    """A file as VQA-RAD has it."""
    content = []
    for i in range(COUNT):
        save_image(root / f"i{i}.jpg", seed=i)
        content.append(
            {"qid": i, "phrase_type": "test_para" if i % 4 == 3 else "freeform", "image_name": f"i{i}.jpg",
             "question": f"Is there a mass at {i}?", "answer": "Yes" if i % 2 else "No",
             "answer_type": "CLOSED",
             "question_type": "PRES", "image_organ": "CHEST"}
        )  # fmt: skip
    (root / "vqa.json").write_text(json.dumps(content))
    return root / "vqa.json"


def medmnist(root: Path) -> Path:
    """A file of MedMNIST."""
    return save_medmnist(root / "retinamnist.npz", count=20)


def own_arrays(root: Path) -> Path:
    """Arrays of one's own."""
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (COUNT, 12, 12), dtype=np.uint8)
    root.mkdir(parents=True)
    save_arrays(root / "mine.npz", {"x": images, "labels": np.array(["cyst", "mass"] * (COUNT // 2))})
    return root / "mine.npz"


SPLIT, STAGE, BOXED = {"split_column": "split"}, {"label_column": "stage"}, ("disc", "lesion")
LAYOUTS: dict[str, tuple[Callable[[Path], Path], str, tuple[str, ...], dict[str, Any]]] = {
    "splits and patients": (
        with_splits, "grade", tuple(GRADES),
        {"image_column": "file", "patient_column": "patient_id", "label_column": "dr_grade"} | SPLIT,
    ),
    "numbers that a bank knows": (of_numbers, "grade", tuple(GRADES), {"images": "aptos retinopathy"}),
    "numbers alone": (of_numbers_alone, "grade", ("class 0", "class 1", "class 2"), STAGE),
    "one-hot": (one_hot, "classify", ("mel", "nev", "other"), {"label_column": ["mel", "nev", "other"]}),
    "flags": (
        flags, "multilabel", ("Effusion", "Edema", "Pneumothorax"), {"uncertain": "leave out", "blank": "no"},
    ),
    "lists": (lists, "multilabel", ("effusion", "mass", "nodule"), {"label_separator": "|"}),
    "box rows": (box_rows, "localise", ("cyst", "mass"), {"box_label_column": "class"}),
    "questions in a table": (reports, "answer", (), {"reader": "json", "images": "images"}),
    "class folders": (classes, "classify", ("melanoma", "melanocytic nevi"), {"reader": "folder"}),
    "split folders": (split_classes, "classify", ("normal", "pneumonia"), {"reader": "folder"}),
    "COCO": (boxes(annotated_sets.coco), "localise", BOXED, {"reader": "coco", "images": "images"}),
    "COCO a split": (coco_splits, "localise", BOXED, {"reader": "coco"}),
    "YOLO": (yolo, "localise", ("lesion", "disc"), {"reader": "yolo", "names": "data.yaml"}),
    "VOC": (boxes(annotated_sets.voc), "localise", BOXED, {"annotations": "set/xml"}),
    "LabelMe": (boxes(annotated_sets.labelme), "localise", BOXED, {"reader": "labelme"}),
    "VIA": (boxes(annotated_sets.via), "localise", BOXED, {"reader": "via"}),
    "Label Studio": (boxes(annotated_sets.label_studio), "localise", BOXED, {"reader": "label_studio"}),
    "CVAT": (boxes(annotated_sets.cvat), "localise", BOXED, {"reader": "cvat"}),
    "DICOM and a table": (dicom_table, "classify", ("cyst", "mass"), {"join": {"file": "file"}}),
    "NIfTI folders": (nifti_folders, "classify", ("glioma", "healthy"), {"reader": "volume"}),
    "VQA-RAD": (questions, "answer", (), {"layout": "vqa-rad"}),
    "MedMNIST": (medmnist, "grade", tuple(GRADES), {"dataset": "retinamnist"}),
    "own arrays": (own_arrays, "classify", ("cyst", "mass"), {"images": "x", "labels": "labels"}),
}  # fmt: skip


def begun(root: Path, make: Callable[[Path], Path]) -> tuple[FirstRecipe, dict[str, Any]]:
    """What is written for a layout, and its task."""
    made = first_recipe(make(root / "data"), root / "my.yaml")
    return made, yaml.safe_load(made.path.read_text())["tasks"]["main"]


@pytest.mark.parametrize("name", LAYOUTS)
def test_a_recipe_is_written_that_check_passes(name: str, tmp_path: Path) -> None:
    make, kind, labels, settings = LAYOUTS[name]
    made, task = begun(tmp_path, make)
    assert made.fault is None
    assert (task["kind"], tuple(task.get("labels", ()))) == (kind, labels)
    assert {key: task["data"].get(key) for key in settings} == settings
    text = made.path.read_text()
    assert all(" ".join(sentence.split()) in text for sentence in (*made.said, *made.open))


def test_a_bank_is_taken_where_it_fits_and_offered_where_it_may(tmp_path: Path) -> None:
    _, task = begun(tmp_path / "a", of_numbers)
    assert task["knowledge"] in ("idrid", "retinamnist") and task["modality"] == "fundus photograph"
    assert task["data"]["label_names"] == {str(i): grade for i, grade in enumerate(GRADES)}
    thyroid = table(
        tmp_path / "thyroid",
        ["image", "dx"],
        lambda i: [f"i{i}.png", ("normal", "benign", "malignant")[i % 3]],
    )
    made = first_recipe(thyroid, tmp_path / "thyroid.yaml")
    assert "knowledge" not in yaml.safe_load(made.path.read_text())["tasks"]["main"]
    assert "# knowledge: busi" in made.path.read_text()


def test_what_could_not_be_known_is_said(tmp_path: Path) -> None:
    made, _ = begun(tmp_path / "a", of_numbers_alone)
    assert any("only numbers" in sentence for sentence in made.open)
    made, _ = begun(tmp_path / "b", flags)
    assert any("-1" in sentence for sentence in made.open)


def test_names_that_are_no_files_are_told_by_check(tmp_path: Path) -> None:
    path = with_splits(tmp_path / "data")
    (tmp_path / "data" / "images" / "i3.png").unlink()
    made = first_recipe(path, tmp_path / "my.yaml")
    assert made.fault is not None and "i3.png" in made.fault
    assert any("98%" in sentence for sentence in made.open)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda root: root / "gone", "does not exist"),
        (lambda root: root, "is empty"),
        (lambda root: save_image(root / "i.png").parent, "1 pictures and nothing that says what they show"),
        (
            lambda root: save_csv(root / "t.csv", [["name", "label"], ["i.png", "a"]]),
            "no column names pictures",
        ),
        (lambda root: save_image(root / "i.png"), "nothing that labels are read from"),
    ],
)
def test_where_nothing_can_be_made_of_it_one_line_and_no_file(
    make: Callable[[Path], Path], words: str, tmp_path: Path
) -> None:
    (tmp_path / "data").mkdir()
    with pytest.raises(UserError, match=words) as error:
        first_recipe(make(tmp_path / "data"), tmp_path / "my.yaml")
    assert len(str(error.value)) < 500 and not (tmp_path / "my.yaml").exists()


def test_nothing_is_written_over(tmp_path: Path) -> None:
    (tmp_path / "my.yaml").write_text("mine")
    with pytest.raises(UserError, match="exists already"):
        first_recipe(classes(tmp_path / "data"), tmp_path / "my.yaml")
    assert (tmp_path / "my.yaml").read_text() == "mine"


def test_a_table_of_another_encoding_and_separator_is_read(tmp_path: Path) -> None:
    path = with_splits(tmp_path / "data")
    text = path.read_text().replace(",", ";").replace("age", "größe")
    path.write_bytes(text.encode("cp1252"))
    made = first_recipe(path, tmp_path / "my.yaml")
    assert made.fault is None and any("cp1252" in sentence for sentence in made.open)


def test_an_encoding_that_is_not_western_is_not_guessed(tmp_path: Path) -> None:
    path = with_splits(tmp_path / "data")
    path.write_bytes(path.read_text().replace("mild", "良性").encode("gbk"))
    with pytest.raises(UserError, match=r"name its encoding with data\.encoding"):
        first_recipe(path, tmp_path / "my.yaml")


@pytest.mark.parametrize("named", [True, False], ids=["class names", "a flag"])
def test_rows_without_a_box_name_no_label(tmp_path: Path, named: bool) -> None:
    words = ("lesion", "No finding") if named else ("1", "0")
    path = table(
        tmp_path / "data", ["image", "x", "y", "width", "height", "Target"],
        lambda i: [f"i{i}.png", *(("2", "3", "9", "9") if i % 2 else ("", "", "", "")), words[i % 2 == 0]],
    )  # fmt: skip
    made = first_recipe(path, tmp_path / "my.yaml")
    task = yaml.safe_load(made.path.read_text())["tasks"]["main"]
    assert made.fault is None and task["labels"] == ["lesion"]
    assert ("box_label_column" in task["data"]) == named
    assert any("no column names what is in the boxes" in sentence for sentence in made.open) != named


def test_folders_of_pictures_and_masks_are_no_classes(tmp_path: Path) -> None:
    for i in range(4):
        save_image(tmp_path / "data" / ("images", "masks")[i % 2] / f"i{i // 2}.png", seed=i)
    with pytest.raises(UserError, match="nothing that says what they show"):
        first_recipe(tmp_path / "data", tmp_path / "my.yaml")


def test_a_folder_around_all_is_passed_and_a_picture_beside_it_is_not_lost(tmp_path: Path) -> None:
    classes(tmp_path / "data")
    made = first_recipe(tmp_path / "data", tmp_path / "my.yaml")
    assert made.fault is None and yaml.safe_load(made.path.read_text())["data_root"].endswith("data/skin")
    save_image(tmp_path / "data" / "stray.png")
    with pytest.raises(UserError, match="nothing that says what they show"):
        first_recipe(tmp_path / "data", tmp_path / "other.yaml")


def test_files_that_were_not_looked_at_are_named(tmp_path: Path) -> None:
    annotated_sets.coco(tmp_path / "data")
    save_csv(tmp_path / "data" / "grades.csv", [["image", "grade"], ["a0.png", "1"]])
    made = first_recipe(tmp_path / "data", tmp_path / "my.yaml")
    assert any("not looked at: grades.csv" in sentence for sentence in made.open)


@pytest.mark.parametrize(
    ("labels", "ordered"),
    [
        (("Severe NPDR", "No DR", "Mild NPDR"), ("No DR", "Mild NPDR", "Severe NPDR")),
        (("stage III", "stage I", "stage II"), ("stage I", "stage II", "stage III")),
        (("KL-4", "KL-10", "KL-0"), ("KL-0", "KL-4", "KL-10")),
        (("normal", "benign", "malignant"), None),
        (("melanoma", "naevus", "keratosis"), None),
        (("mild", "slight", "severe"), None),
    ],
)
def test_labels_that_say_how_much_are_put_in_order(
    labels: tuple[str, ...], ordered: tuple[str, ...] | None
) -> None:
    assert rank_order(labels) == ordered
