"""Tables as public data sets and reports have them: each kind with the answer that has to come out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from helpers.data_files import save_csv, save_image
from helpers.wild_sets import draw, patients_by_split, read_cases, read_splits
from vrft_aug.errors import UserError
from vrft_aug.nouns import Box, Case

LESIONS = ["naevus", "melanoma"]
GRADES = ["none", "mild", "moderate", "severe", "proliferative"]
CSV: dict[str, Any] = {"reader": "csv", "table": "t.csv", "images": "images", "split_column": None}
BLANKS = {"plain": "", "one": ",,,,\n", "two": ",,,,\n,,,,\n", "of spaces": " , ,\t,,\n\n"}


def told(case: Case) -> set[str] | None:
    """The labels that are true of it."""
    return None if case.target.labels is None else set(case.target.labels)


@pytest.mark.parametrize("end", BLANKS)
def test_blank_rows_empty_columns_and_a_space_in_the_header(tmp_path: Path, end: str) -> None:
    """IDRiD's grading table."""
    names = [f"IDRiD_{n:03d}" for n in range(1, 31)]
    draw(tmp_path / "images", (f"{name}.jpg" for name in names))
    rows = "".join(f"{name},{n % 5},{n % 3},,\n" for n, name in enumerate(names, 1))
    (tmp_path / "t.csv").write_text(
        f"Image name,Retinopathy grade,Risk of macular edema ,,\n{rows}{BLANKS[end]}"
    )
    data = CSV | {"image_column": "Image name", "label_names": dict(enumerate(GRADES))}
    cases = read_cases(tmp_path, data | {"label_column": "Retinopathy grade"}, "grade", GRADES)
    assert {name: case.target.label for name, case in cases.items()} == {
        name: GRADES[n % 5] for n, name in enumerate(names, 1)
    }
    risk = data | {"label_column": "Risk of macular edema ", "label_names": {"0": "a", "1": "b", "2": "c"}}
    cases = read_cases(tmp_path, risk, "grade", ["a", "b", "c"])
    assert cases["IDRiD_004"].target.label == "b" and len(cases) == 30


def test_ids_without_suffix_and_files_in_capitals(tmp_path: Path) -> None:
    draw(tmp_path / "images", (f"IMG_{n}.JPG" for n in range(12)))
    save_csv(tmp_path / "t.csv", [["image", "label"], *([f"img_{n}", str(n % 2)] for n in range(12))])
    data = CSV | {"label_names": {"0": "a", "1": "b"}}
    cases = read_cases(tmp_path, data, "classify", ["a", "b"])
    assert {name: case.target.label for name, case in cases.items()} == {
        f"img_{n}": "ab"[n % 2] for n in range(12)
    }
    assert all(getattr(case.images[0], "path").name.startswith("IMG_") for case in cases.values())  # noqa: B009


@pytest.mark.parametrize("columns", ["label", ["MEL", "NV", "BCC"]])
def test_a_column_for_each_label(tmp_path: Path, columns: Any) -> None:
    """ISIC: one label for classify, and a row with none or two is an error; a set for multilabel."""
    labels = ["MEL", "NV", "BCC"]
    names = draw(tmp_path / "images", (f"ISIC_{n}.jpg" for n in range(30)))
    rows = [[name[:-4], *("1.0" if k == n % 3 else "0.0" for k in range(3))] for n, name in enumerate(names)]
    save_csv(tmp_path / "t.csv", [["image", *labels], *rows])
    data = CSV | {"label_column": columns}
    cases = read_cases(tmp_path, data, "classify", labels)
    assert {name: case.target.label for name, case in cases.items()} == {
        f"ISIC_{n}": labels[n % 3] for n in range(30)
    }
    for cells, said in (
        (["0.0", "0.0", "0.0"], "none of MEL, NV, BCC is 1"),
        (["1", "0", "1"], "MEL, BCC are"),
    ):
        save_csv(tmp_path / "t.csv", [["image", *labels], *rows[:-1], ["ISIC_29", *cells]])
        with pytest.raises(UserError, match=f"t.csv line 31: {said}.*exactly one"):
            read_cases(tmp_path, data, "classify", labels)
        found = told(read_cases(tmp_path, data, "multilabel", labels)["ISIC_29"])
        assert found == {name for name, cell in zip(labels, cells, strict=True) if float(cell)}


FINDINGS = ["Cardiomegaly", "Edema"]
CELLS = [("1.0", "0.0"), ("-1.0", "0.0"), ("", "1.0"), ("0.0", "-1.0"), ("0.0", "")]
RULES: dict[str, list[set[str] | None]] = {  # uncertain, blank: what the five kinds of rows are then
    "yes no": [{"Cardiomegaly"}, {"Cardiomegaly"}, {"Edema"}, {"Edema"}, set()],
    "no no": [{"Cardiomegaly"}, set(), {"Edema"}, set(), set()],
    "leave-out no": [{"Cardiomegaly"}, None, {"Edema"}, None, set()],
    "leave-out leave-out": [{"Cardiomegaly"}, None, None, None, None],
}


def save_chexpert(root: Path) -> list[str]:
    """Two views a patient; paths begin at the data root and hold the patient."""
    top = "CheXpert-v1.0-small"
    names = [f"{top}/train/patient{n // 2:05d}/study1/view{n % 2}_frontal.jpg" for n in range(40)]
    draw(root, names)
    rows = [[name, "Female", *CELLS[n % 5]] for n, name in enumerate(names)]
    save_csv(root / top / "train.csv", [["Path", "Sex", *FINDINGS], *rows])
    return names


@pytest.mark.parametrize("rules", RULES)
def test_uncertain_and_blank_cells_by_a_stated_rule(tmp_path: Path, rules: str) -> None:
    names = save_chexpert(tmp_path)
    data = {
        "reader": "csv", "table": "CheXpert-v1.0-small/train.csv", "images": ".", "image_column": "Path",
        "split_column": None, "label_column": FINDINGS, "patient_pattern": r"patient\d+",
    }  # fmt: skip
    with pytest.raises(UserError, match=r"line 3: .*'-1\.0'.*data\.uncertain says what it means"):
        read_cases(tmp_path, data, "multilabel", FINDINGS)
    uncertain, blank = (rule.replace("-", " ") for rule in rules.split())
    found, notes = read_splits(
        tmp_path, data | {"uncertain": uncertain, "blank": blank}, "multilabel", FINDINGS
    )
    read = {str(getattr(c.images[0], "path")): c for part in found.values() for c in part}  # noqa: B009
    for n, name in enumerate(names):
        case = read.get(str(tmp_path / name))
        assert (told(case) if case is not None else None) == RULES[rules][n % 5]
        assert case is None or case.patient == f"patient{n // 2:05d}"
    said = " ".join(note.text for note in notes)
    assert ("uncertain (-1) cells count as" in said) == (uncertain in ("yes", "no"))
    assert ("are uncertain and left out" in said) == (uncertain == "leave out")
    assert ("blank cells count as no" in said) == (blank == "no")
    parts = patients_by_split(found)
    assert not parts["train"] & parts["test"] and not parts["train"] & parts["validation"]


def test_lists_in_cells_and_no_finding(tmp_path: Path) -> None:
    """NIH: "No Finding" is the empty set; unlisted findings are dropped only where the recipe says so."""
    cells = ["No Finding", "Cardiomegaly", "Cardiomegaly|Effusion", "Effusion"]
    names = draw(tmp_path / "images", (f"{n // 2:08d}_{n % 2:03d}.png" for n in range(40)))
    rows = [[name, cells[n % 4], str(n // 2)] for n, name in enumerate(names)]
    save_csv(tmp_path / "t.csv", [["Image Index", "Finding Labels", "Patient ID"], *rows])
    data = CSV | {
        "image_column": "Image Index", "label_column": "Finding Labels", "patient_column": "Patient ID"
    }  # fmt: skip
    sets = [set(), {"Cardiomegaly"}, {"Cardiomegaly", "Effusion"}, {"Effusion"}]
    both = ["Cardiomegaly", "Effusion"]
    for names_of in ({}, *({"Cardiomegaly": "Cardiomegaly", "Effusion": "Effusion", "No Finding": nothing}
                           for nothing in ("", "none"))):  # fmt: skip
        cases = read_cases(tmp_path, data | {"label_names": names_of}, "multilabel", both)
        assert [told(cases[name[:-4]]) for name in names] == sets * 10
    cases = read_cases(tmp_path, data, "multilabel", ["No Finding", *both])
    assert told(cases["00000000_000"]) == {"No Finding"}
    with pytest.raises(UserError, match=r"line 4: label 'Effusion' .*data\.unlisted: drop"):
        read_cases(tmp_path, data, "multilabel", ["Cardiomegaly"])
    found, _ = read_splits(tmp_path, data | {"unlisted": "drop"}, "multilabel", ["Cardiomegaly"])
    assert sum(told(case) == set() for part in found.values() for case in part) == 20
    parts = patients_by_split(found)
    assert not parts["train"] & parts["test"]


RSNA = ["patientId", "x", "y", "width", "height", "Target"]


def test_box_rows_of_rsna(tmp_path: Path) -> None:
    """One case an image; no box is known to be none; a class per image for classify."""
    draw(tmp_path / "images", (f"0004cfab-{n:04d}.png" for n in range(12)))
    rows = []
    for n in range(12):
        boxes = [["", "", "", "", "0"]]
        if n % 2:
            boxes = [["10", "12", "20", "20", "1"], ["40", "12", "15", "22", "1"]]
        rows += [[f"0004cfab-{n:04d}", *box] for box in boxes]
    save_csv(tmp_path / "t.csv", [RSNA, *rows])
    data = CSV | {"image_column": "patientId"}
    two = (Box(10, 12, 30, 32, "opacity"), Box(40, 12, 55, 34, "opacity"))
    for boxes_setting in ({}, {"boxes": "t.csv"}):
        cases = read_cases(tmp_path, data | boxes_setting, "localise", ["opacity"])
        assert [cases[f"0004cfab-{n:04d}"].target.boxes for n in range(12)] == [(), two] * 6
    named = data | {"label_column": "Target", "label_names": {"0": "normal", "1": "pneumonia"}}
    cases = read_cases(tmp_path, named, "classify", ["normal", "pneumonia"])
    assert [cases[f"0004cfab-{n:04d}"].target.label for n in range(12)] == ["normal", "pneumonia"] * 6


def test_box_rows_of_vindr(tmp_path: Path) -> None:
    draw(tmp_path / "images", (f"a{n}.png" for n in range(8)))
    rows = [["image_id", "class_name", "class_id", "rad_id", "x_min", "y_min", "x_max", "y_max"]]
    for n in range(8):
        rows.append(
            [
                f"a{n}",
                *(
                    ["No finding", "14", "R1"] + [""] * 4
                    if n % 2
                    else ["lesion", "3", "R1", "5", "6", "25", "21"]
                ),
            ]
        )
    save_csv(tmp_path / "t.csv", rows)
    cases = read_cases(tmp_path, CSV | {"image_column": "image_id"}, "localise", ["lesion"])
    box = (Box(5, 6, 25, 21, "lesion"),)
    assert [cases[f"a{n}"].target.boxes for n in range(8)] == [box, ()] * 4


@pytest.mark.parametrize("kind", ["semicolon", "tab", "utf16", "gbk", "xlsx"])
def test_separators_and_encodings(tmp_path: Path, kind: str) -> None:
    names = draw(tmp_path / "images", (f"a{n}.png" for n in range(12)))
    labels = ["良性", "恶性"]
    rows = [["image", "label"], *([name, labels[n % 2]] for n, name in enumerate(names))]
    data = CSV | {"table": "t.xlsx" if kind == "xlsx" else "t.csv"}
    if kind == "xlsx":
        openpyxl = pytest.importorskip("openpyxl", reason="the extra tables is not installed")
        book = openpyxl.Workbook()
        for row in rows:
            book.active.append(row)
        book.save(tmp_path / "t.xlsx")
    else:
        separator = {"semicolon": ";", "tab": "\t", "utf16": "\t", "gbk": ","}[kind]
        text = "".join(separator.join(row) + "\n" for row in rows)
        (tmp_path / "t.csv").write_text(text, encoding={"utf16": "utf-16", "gbk": "gbk"}.get(kind, "utf-8"))
    if kind == "gbk":
        with pytest.raises(UserError, match=r"t\.csv cannot be read as a UTF-8.*data\.encoding \(.*gbk"):
            read_cases(tmp_path, data, "classify", labels)
        data |= {"encoding": "gbk"}
    cases = read_cases(tmp_path, data, "classify", labels)
    assert {name: case.target.label for name, case in cases.items()} == {
        f"a{n}": labels[n % 2] for n in range(12)
    }


@pytest.mark.parametrize(("separator", "name"), [(";", "semicolons"), ("\t", "tabs"), ("|", "bars")])
def test_a_wrong_separator_is_told_by_name(tmp_path: Path, separator: str, name: str) -> None:
    names = draw(tmp_path / "images", (f"a{n}.png" for n in range(12)))
    rows = [["image", "label"], *([one, "ab"[n % 2]] for n, one in enumerate(names))]
    (tmp_path / "t.csv").write_text("".join(separator.join(row) + "\n" for row in rows))
    with pytest.raises(UserError, match=rf"t\.csv has {name}.* between its columns, but data\.separator"):
        read_cases(tmp_path, CSV | {"separator": "comma"}, "classify", ["a", "b"])
    assert len(read_cases(tmp_path, CSV, "classify", ["a", "b"])) == 12
    _, notes = read_splits(tmp_path, CSV, "classify", ["a", "b"])
    assert any(name in note.text for note in notes)
    word = {";": "semicolon", "\t": "tab", "|": "bar"}[separator]
    assert len(read_cases(tmp_path, CSV | {"separator": word}, "classify", ["a", "b"])) == 12


def test_two_eyes_of_a_patient_are_one_case(tmp_path: Path) -> None:
    draw(tmp_path / "images", (f"{n}_{side}.png" for n in range(4) for side in "LR"))
    rows = [[str(n), f"{n}_L.png", f"{n}_R.png", ("train", "test")[n // 2], str(n % 2)] for n in range(4)]
    save_csv(tmp_path / "t.csv", [["ID", "Left-Fundus", "Right-Fundus", "split", "N"], *rows])
    data = CSV | {
        "image_column": ["Left-Fundus", "Right-Fundus"], "label_column": "N", "split_column": "split",
        "label_names": {"0": "a", "1": "b"},
    }  # fmt: skip
    found, _ = read_splits(tmp_path, data, "classify", ["a", "b"])
    pictures = [getattr(image, "path").name for case in found["test"] for image in case.images]  # noqa: B009
    assert pictures == ["2_L.png", "2_R.png", "3_L.png", "3_R.png"]
    assert [case.target.label for case in found["test"]] == ["a", "b"]


def test_images_of_one_lesion_stay_together(tmp_path: Path) -> None:
    """HAM10000: the column lesion_id groups where it is named; a recipe that does not name it is warned."""
    names = draw(tmp_path / "images", (f"ISIC_{n:07d}.jpg" for n in range(40)))
    rows = [[f"HAM_{n // 2}", name[:-4], ("nv", "mel")[n // 2 % 2]] for n, name in enumerate(names)]
    save_csv(tmp_path / "t.csv", [["lesion_id", "image_id", "dx"], *rows])
    data = CSV | {
        "image_column": "image_id", "label_column": "dx", "label_names": {"nv": "naevus", "mel": "melanoma"}
    }  # fmt: skip
    found, _ = read_splits(tmp_path, data | {"patient_column": "lesion_id"}, "classify", LESIONS)
    parts = list(patients_by_split(found).values())
    assert sum(map(len, parts)) == 20 and set.union(*parts) == {f"HAM_{n}" for n in range(20)}
    _, notes = read_splits(tmp_path, data, "classify", LESIONS)
    assert any(n.level == "warning" and "column 'lesion_id' looks like patients" in n.text for n in notes)


def test_names_that_do_not_match_are_one_line_with_one_of_each_side(tmp_path: Path) -> None:
    draw(tmp_path / "images", (f"a{n}_png.rf.0123abcd.jpg" for n in range(12)))
    save_csv(tmp_path / "t.csv", [["image", "label"], *([f"scan{n}.png", "xy"[n % 2]] for n in range(12))])
    with pytest.raises(
        UserError, match=r"0 of \d+ names in t\.csv match; .*images has 'a0_png\.rf"
    ) as caught:
        read_cases(tmp_path, CSV, "classify", ["x", "y"])
    assert "scan" in str(caught.value) and len(str(caught.value).replace(str(tmp_path), "")) < 500


def test_a_path_of_another_machine_and_backslashes(tmp_path: Path) -> None:
    names = draw(tmp_path / "images", (f"sub/a{n}.png" for n in range(6)))
    rows = [[f"D:\\study\\images\\{name}".replace("/", "\\"), "xy"[n % 2]] for n, name in enumerate(names)]
    save_csv(tmp_path / "t.csv", [["image", "label"], *rows])
    cases = [case for part in read_splits(tmp_path, CSV, "classify", ["x", "y"])[0].values() for case in part]
    assert {getattr(case.images[0], "path") for case in cases} == {  # noqa: B009
        tmp_path / "images" / name for name in names
    }


@pytest.mark.parametrize(
    "splits", [{"train": "train", "test": "test"}, {"train": "Training", "test": "Testing"}]
)
def test_a_folder_for_each_class(tmp_path: Path, splits: dict[str, str]) -> None:
    for folder in splits.values():
        for label in ("NORMAL", "PNEUMONIA"):
            draw(tmp_path / "chest_xray" / folder / label, (f"IM-{n:04d}.jpeg" for n in range(4)))
    data = {"reader": "folder", "images": "chest_xray"}
    found, _ = read_splits(tmp_path, data, "classify", ["NORMAL", "PNEUMONIA"])
    assert {case.id for case in found["test"]} == {
        f"chest_xray/test/{label}/IM-{n:04d}" for label in ("NORMAL", "PNEUMONIA") for n in range(4)
    }
    for cases in found.values():
        assert all(str(case.target.label) in case.id for case in cases)
    assert len(found["train"]) + len(found["validation"]) == 8
    save_image(tmp_path / "chest_xray" / splits["train"] / "COVID" / "a.png")
    with pytest.raises(UserError, match="'COVID'"):
        read_splits(tmp_path, data, "classify", ["NORMAL", "PNEUMONIA"])
