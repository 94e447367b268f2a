"""Right files with something wrong in their values or settings, for every reader: refused by file and place,
or read right; never read quietly wrong."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest
from pydantic import ValidationError

from helpers.data_files import save_arrays
from helpers.good_sets import SETS, Made, copied, outcome
from helpers.volume_files import patient, save_nifti, stored


def table(old: str, new: str, count: int = -1, file: str = "t.csv") -> Callable[[Path], dict[str, Any]]:
    """Replace text of a table, all of it or the first few."""

    def change(root: Path) -> dict[str, Any]:
        path = root / file
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new, count))
        return {}

    return change


def settings(**changed: Any) -> Callable[[Path], dict[str, Any]]:
    """Another recipe on right files."""
    return lambda root: changed


def renamed(old: str, new: str, **changed: Any) -> Callable[[Path], dict[str, Any]]:
    """A file under another name, which the recipe may say."""

    def change(root: Path) -> dict[str, Any]:
        (root / new).parent.mkdir(parents=True, exist_ok=True)
        (root / old).rename(root / new)
        return changed

    return change


def arrays(file: str, **changed: Any) -> Callable[[Path], dict[str, Any]]:
    """Other arrays in an .npz; None removes one, a function makes it of the old one."""

    def change(root: Path) -> dict[str, Any]:
        with np.load(root / file) as archive:
            whole = {key: archive[key] for key in archive.files}
        for key, value in changed.items():
            made = value(whole[key]) if callable(value) else value
            whole = {**whole, key: made} if made is not None else {k: v for k, v in whole.items() if k != key}
        save_arrays(root / file, whole)
        return {}

    return change


def records(
    change_one: Callable[[dict[str, Any]], Any], file: str = "q.json"
) -> Callable[[Path], dict[str, Any]]:
    """Another third record in a JSON list."""

    def change(root: Path) -> dict[str, Any]:
        path = root / file
        rows = json.loads(path.read_text())
        made = change_one(rows[2])
        rows[2] = rows[2] if made is None else made
        path.write_text(json.dumps(rows))
        return {}

    return change


def coco(change_it: Callable[[dict[str, Any]], Any]) -> Callable[[Path], dict[str, Any]]:
    """Another run-length file."""

    def change(root: Path) -> dict[str, Any]:
        path = root / "a.json"
        content = json.loads(path.read_text())
        change_it(content)
        path.write_text(json.dumps(content))
        return {}

    return change


def hub(column: str, value: Any, kind: Any = None) -> Callable[[Path], dict[str, Any]]:
    """One value all over a column of a data set of parquet files; another type where it says one."""

    def change(root: Path) -> dict[str, Any]:
        for path in (root / "set").iterdir():
            old = pyarrow.parquet.read_table(path)
            made = {name: old[name] for name in old.column_names}
            made[column] = pa.array([value] * len(old), kind)
            schema = None if kind is not None else old.schema.metadata
            pyarrow.parquet.write_table(pa.table(made).replace_schema_metadata(schema), path)
        return {}

    return change


def shard(old: bytes, new: bytes) -> Callable[[Path], dict[str, Any]]:
    """The content of files in a shard, of equal length."""

    def change(root: Path) -> dict[str, Any]:
        path = root / "tars/train.tar"
        raw = path.read_bytes()
        assert old in raw and len(old) == len(new)
        path.write_bytes(raw.replace(old, new, 1))
        return {}

    return change


def nifti_bytes(at: int, value: bytes) -> Callable[[Path], dict[str, Any]]:
    """Other bytes in the header of a volume."""

    def change(root: Path) -> dict[str, Any]:
        path = root / "scans/v3/scan.nii"
        raw = path.read_bytes()
        path.write_bytes(raw[:at] + value + raw[at + len(value) :])
        return {}

    return change


def header(keyword: str, value: Any, file: str = "scans/v3/2.dcm") -> Callable[[Path], dict[str, Any]]:
    """Another value in a DICOM header; None removes it."""

    def change(root: Path) -> dict[str, Any]:
        import pydicom

        data = pydicom.dcmread(root / file)
        if value is None:
            delattr(data, keyword)
        else:
            setattr(data, keyword, value)
        data.save_as(root / file)
        return {}

    return change


def volume_for_a_picture(root: Path) -> dict[str, Any]:
    """A table that names a NIfTI file."""
    array, affine = stored(patient(), "RAS")
    save_nifti(root / "images/a3.nii.gz", array, affine)
    return table("a3.png", "a3.nii.gz")(root)


def float_values(array: np.ndarray) -> np.ndarray:
    return array / 255


Change = Callable[[Path], dict[str, Any]]
VALUES: list[tuple[str, str, Change, str | None]] = [
    # tables
    ("csv", "columns swapped in the header", table("label,split", "split,label"), r"t\.csv line 2: .*'dark'"),
    (
        "csv",
        "a label misspelt",
        table("dark", "drak", 1),
        r"t\.csv line 2: label 'drak' .*did you mean 'dark'",
    ),
    ("csv", "labels in capitals", table("dark", "DARK"), None),
    ("csv", "labels that are NaN", table("dark", "nan"), r"t\.csv line 2: label 'nan'.*data\.blank"),
    ("csv", "labels that are numbers", table("dark", "0"), r"t\.csv line 2: label '0'"),
    ("csv", "labels of -1", table("dark", "-1"), r"t\.csv line 2: label '-1'.*data\.uncertain"),
    (
        "csv",
        "an unknown split",
        table("validation", "fold 2", 1),
        r"t\.csv line 6: split 'fold 2' is unknown",
    ),
    ("csv", "an empty split", table("a4.png,dark,validation", "a4.png,dark,"), r"t\.csv line 6: split empty"),
    ("csv", "an image twice", table("a1.png", "a0.png"), r"t\.csv line 3: case a0 is there twice"),
    ("csv", "an image twice, once without suffix", table("a1.png", "a0"), "both found as|is there twice"),
    ("csv", "a picture that is absent", table("a1.png", "b1.png"), r"b1\.png .*names in t\.csv match"),
    (
        "csv",
        "no picture at all",
        table(".png", ".jpeg"),
        r"0 of \d names in t\.csv match; .*images has 'a0\.png'",
    ),
    ("csv", "a path out of the folder", table("a1.png", "../images/a1.png"), None),
    ("csv", "an absolute path that is not there", table("a1.png", "/mnt/x/b1.png"), r"b1\.png"),
    ("csv", "a picture on the web", table("a1.png", "https://x.org/a1.png"), "not fetched from the web"),
    ("csv", "a cell too many", table("a1.png,", "a1.png,,"), r"t\.csv line 3 has more or fewer cells"),
    ("csv", "a cell too few", table("a1.png,", ""), r"t\.csv line 3 has more or fewer cells"),
    ("csv", "a quote that does not end", table("a1.png", '"a1.png'), r"t\.csv"),
    ("csv", "a column twice", table("image,label", "image,image"), r"t\.csv has column 'image' 2 times"),
    ("csv", "a header without names", table("image,label,split", ",,"), r"t\.csv has no column 'image'"),
    ("csv", "no header", table("image,label,split\n", ""), r"t\.csv has no column 'image'"),
    ("csv", "another separator", table(",", ";"), None),
    ("csv", "spaces around cells", table(",", " , "), None),
    ("csv", "a decimal comma in place of separators", table(",", " "), r"t\.csv has no column 'image'"),
    ("csv", "named as a workbook", renamed("t.csv", "t.xlsx", table="t.xlsx"), r"t\.xlsx is no xlsx file"),
    (
        "csv",
        "named as lines of JSON",
        renamed("t.csv", "t.jsonl", table="t.jsonl"),
        r"t\.jsonl is not valid JSON",
    ),
    ("csv", "a folder in place of the table", settings(table="images"), "images"),
    ("csv", "a picture in place of the table", settings(table="images/a0.png"), r"a0\.png cannot be read"),
    (
        "csv",
        "an encoding that it does not have",
        settings(encoding="utf-16"),
        r"t\.csv is no text in data\.encoding utf-16",
    ),
    (
        "csv",
        "an encoding that there is none of",
        settings(encoding="utf-9"),
        "data.encoding 'utf-9' is unknown",
    ),
    ("csv", "a page that a picture does not have", settings(page=3), "has no page 3"),
    ("csv", "a picture under another suffix", renamed("images/a3.png", "images/a3.jpg"), "a3"),
    (
        "csv",
        "a volume in place of a picture",
        volume_for_a_picture,
        r"a3\.nii\.gz .*it is a volume, of which reader volume shows slices",
    ),
    ("xlsx", "a sheet that is not there", settings(sheet="Sheet9"), r"t\.xlsx has no sheet 'Sheet9'"),
    (
        "xlsx",
        "named as text",
        renamed("t.xlsx", "t.csv", table="t.csv"),
        r"t\.csv is a xlsx file by its content",
    ),
    ("parquet", "named as text", renamed("t.parquet", "t.csv", table="t.csv"), r"t\.csv is a parquet file"),
    ("jsonl", "a list in a value", table('"dark"', '["dark"]', 1, "t.jsonl"), r"t\.jsonl item 1 has a list"),
    (
        "jsonl",
        "a number in place of an object",
        table('{"image": "a0.png"', '7\n{"image": "a0.png"', 1, "t.jsonl"),
        r"t\.jsonl item 1 is 7",
    ),
    ("jsonl", "null labels", table('"dark"', "null", -1, "t.jsonl"), r"t\.jsonl line 1: label empty"),
    (
        "one_hot",
        "two labels of a row",
        table("a0.png,1,0", "a0.png,1,1"),
        r"t\.csv line 2: dark, bright are all 1",
    ),
    (
        "one_hot",
        "no label of a row",
        table("a0.png,1,0", "a0.png,0,0"),
        r"t\.csv line 2: none of dark, bright",
    ),
    (
        "one_hot",
        "a share in place of 1",
        table("a0.png,1,0", "a0.png,0.7,0.3"),
        r"t\.csv line 2: column 'dark' is '0\.7'",
    ),
    ("one_hot", "a blank", table("a0.png,1,0", "a0.png,1,"), r"t\.csv line 2: column 'bright' is empty"),
    (
        "joined",
        "a key twice",
        table("k1,", "k0,", 1, "more.csv"),
        r"more\.csv line 3: key 'k0' is there twice",
    ),
    ("joined", "keys with zeros before them", table("k", "k0", -1, "more.csv"), r"more\.csv"),
    ("joined", "a label misspelt", table("dark", "drak", 1, "more.csv"), r"joined with more\.csv.*'drak'"),
    # masks
    (
        "masks",
        "a pattern that matches nothing",
        settings(masks={"spot": "mask/{stem}.png"}),
        "0 of 8 names match",
    ),
    (
        "masks",
        "a label that there is none of",
        settings(masks={"spots": "masks/{stem}.png"}),
        "did you mean 'spot'",
    ),
    ("label_map", "no listed value", settings(mask_values={"7": "spot"}), "has no box|no case"),
    ("label_map", "a value that is none", settings(mask_values={"two": "spot"}), "'two' is no value"),
    # folders and lists
    ("folder", "a class misspelt", renamed("set/train/dark/a0.png", "set/train/drak/a0.png"), "'drak'"),
    ("folder", "a split misspelt", renamed("set/train", "set/trian"), "trian"),
    ("lists", "a label misspelt", table("dark", "drak", 1, "train.txt"), r"'drak' .*train\.txt line 1"),
    ("lists", "a name without a label", table("a0.png dark", "a0.png", 1, "train.txt"), r"train\.txt line 1"),
    ("lists", "an image in two lists", table("a0.png", "a6.png", 1, "train.txt"), "a6"),
    # questions
    ("questions", "no answer", records(lambda row: row.__delitem__("answer")), r"q\.json row 3: .*answer"),
    (
        "questions",
        "an answer of null",
        records(lambda row: row.update(answer=None)),
        r"q\.json row 3: .*answer",
    ),
    ("questions", "an answer of NaN", records(lambda row: row.update(answer=float("nan"))), r"q\.json row 3"),
    (
        "questions",
        "an answer that is a mapping",
        records(lambda row: row.update(answer={"a": 1})),
        r"q\.json row 3",
    ),
    (
        "questions",
        "no question",
        records(lambda row: row.update(question="  ")),
        r"q\.json row 3: .*question",
    ),
    (
        "questions",
        "no picture",
        records(lambda row: row.update(img_name=None)),
        r"q\.json row 3 names no picture",
    ),
    (
        "questions",
        "a picture that is a number",
        records(lambda row: row.update(img_name=7)),
        r"q\.json row 3: the picture is 7",
    ),
    (
        "questions",
        "a picture that is absent",
        records(lambda row: row.update(img_name="b.png")),
        r"q\.json row 3: .*b\.png",
    ),
    (
        "questions",
        "a picture in broken base64",
        records(lambda row: row.update(img_name="data:image/png;base64,AAAA")),
        r"q\.json row 3: the picture",
    ),
    ("questions", "a list in place of a record", records(lambda row: [1]), r"q\.json row 3 is a list"),
    ("questions", "an id twice", records(lambda row: row.update(qid=0)), "twice"),
    # arrays
    ("npz", "labels of half", arrays("mine.npz", labels=lambda a: a + 0.5), "mine.npz: row 0 of labels"),
    ("npz", "labels that are NaN", arrays("mine.npz", labels=lambda a: a * np.nan), "mine.npz: .*NaN"),
    ("npz", "labels of infinity", arrays("mine.npz", labels=lambda a: a + np.inf), "mine.npz: "),
    (
        "npz",
        "labels below 0",
        arrays("mine.npz", labels=lambda a: -1 - a),
        "mine.npz: row 0 of labels has label -1",
    ),
    (
        "npz",
        "labels that are too many",
        arrays("mine.npz", labels=lambda a: np.tile(a, 2)),
        "mine.npz: array 'labels' is",
    ),
    ("npz", "no labels", arrays("mine.npz", labels=None), "mine.npz: array 'labels' cannot be read"),
    ("npz", "labels as text", arrays("mine.npz", labels=lambda a: np.array(["dark", "bright"])[a]), None),
    ("npz", "labels as floats", arrays("mine.npz", labels=lambda a: a.astype(float)), None),
    ("npz", "pickled labels", arrays("mine.npz", labels=lambda a: a.astype(object)), "pickled"),
    ("npz", "pictures from 0 to 1", arrays("mine.npz", images=float_values), "data.value_range"),
    (
        "npz",
        "pictures of four channels",
        arrays("mine.npz", images=lambda a: np.stack([a] * 4, -1)),
        "expected images",
    ),
    ("npz", "complex pictures", arrays("mine.npz", images=lambda a: a * 1j), "expected images"),
    ("npz", "a picture alone", arrays("mine.npz", images=lambda a: a[0]), "mine.npz: array 'images'"),
    ("npz", "pictures without pixels", arrays("mine.npz", images=lambda a: a[:, :0]), "expected images"),
    (
        "npz",
        "splits of another name",
        arrays("mine.npz", part=lambda a: np.char.add(a, "x")),
        r"mine\.npz row 0: split 'trainx'",
    ),
    ("npz", "splits as numbers", arrays("mine.npz", part=np.arange(8)), r"mine\.npz row 0: split '0'"),
    (
        "medmnist",
        "labels beyond the set",
        arrays("breastmnist.npz", train_labels=lambda a: a + 1),
        r"breastmnist\.npz: case .* has label 2",
    ),
    (
        "medmnist",
        "labels as floats",
        arrays("breastmnist.npz", train_labels=lambda a: a * 1.0),
        r"breastmnist\.npz: train_labels is float64",
    ),
    (
        "medmnist",
        "pictures of another size",
        arrays("breastmnist.npz", train_images=lambda a: a[:, :20]),
        r"breastmnist\.npz: images are 28 x 20",
    ),
    (
        "medmnist",
        "volumes",
        arrays("breastmnist.npz", train_images=lambda a: np.stack([a] * 28, 1)),
        r"breastmnist\.npz: train_images is",
    ),
    (
        "medmnist_3d",
        "pictures",
        arrays("vesselmnist3d.npz", train_images=lambda a: a[:, 0]),
        r"vesselmnist3d\.npz: train_images is",
    ),
    ("medmnist_3d", "a slice that is not there", settings(slices=[-29]), r"data\.slices names -29"),
    # data sets and shards
    ("hub_parquet", "labels that are NaN", hub("label", float("nan"), pa.float64()), r"row 0"),
    ("hub_parquet", "labels of null", hub("label", None, pa.int64()), r"row 0"),
    ("hub_parquet", "names in place of pictures", hub("image", "a.png"), r"expected pictures|a\.png of case"),
    ("hub_parquet", "a column of text", hub("image", "a.png", pa.string()), r"expected pictures"),
    ("hub_parquet", "a column that is not there", settings(label_column="labels"), "did you mean 'label'"),
    ("saved_to_disk", "no state", renamed("set/train/state.json", "set/train/x.json"), "set"),
    ("shards", "another suffix, against the checksum", shard(b"0000.cls", b"0000.txt"), r"train\.tar"),
    ("shards", "no picture", shard(b"0000.png", b"0000.pdf"), r"train\.tar"),
    ("shards", "a shard that is absent", settings(shards={"train": "tars/x.tar"}), r"x\.tar does not exist"),
    # DICOM and volumes
    ("dicom", "a row too few", table("a3.dcm,bright,train\n", ""), "7 of 8 files and 7 of 7 rows match"),
    ("dicom", "a row too many", table("a3.dcm", "b3.dcm"), "7 of 8 files and 7 of 8 rows match"),
    ("dicom", "no row of a file", table(".dcm", ".jpg"), "0 of 8 files match a row on file"),
    ("dicom", "a file as a picture", renamed("scans/a3.dcm", "scans/a3.png"), "a3"),
    ("dicom", "a window without width", settings(window=[40, 0]), "data.window"),
    ("nifti", "dimensions of 1 beyond the third", nifti_bytes(40, b"\6\0"), None),
    ("nifti", "negative sides", nifti_bytes(42, b"\xff\xff"), r"v3/scan\.nii"),
    (
        "nifti",
        "sides beyond the file",
        nifti_bytes(42, b"\xff\x7f"),
        r"v3/scan\.nii .*shorter than its header says",
    ),
    ("nifti", "a type that there is none of", nifti_bytes(70, b"\x03\x03"), r"v3/scan\.nii"),
    (
        "nifti",
        "spacing that is NaN",
        nifti_bytes(280, np.array([np.nan] * 12, "<f4").tobytes()),
        r"v3/scan\.nii",
    ),
    ("nifti", "no orientation", nifti_bytes(252, bytes(4)), r"v3/scan\.nii .*data\.axes"),
    (
        "nifti",
        "packed without saying so",
        renamed("scans/v3/scan.nii", "scans/v3/scan.nii.gz"),
        r"v3/scan\.nii\.gz",
    ),
    (
        "nifti",
        "another suffix",
        renamed("scans/v3/scan.nii", "scans/v3/scan.img"),
        "7 of 7 files and 7 of 8 rows match",
    ),
    ("nifti", "a row too few", table("v3,bright,train\n", ""), "7 of 8 files and 7 of 7 rows match"),
    ("nifti", "more slices than there are", settings(slices=9), "asks for 9"),
    ("series", "no position", header("ImagePositionPatient", None), "1 of 8 files do not say where they lie"),
    ("series", "a position twice", header("ImagePositionPatient", [10, 20, 31]), "lie at one place"),
    (
        "series",
        "a direction of its own",
        header("ImageOrientationPatient", [0, 1, 0, 0, 0, -1]),
        "different orientations",
    ),
    ("series", "a spacing of its own", header("PixelSpacing", [3, 3]), "different spacings"),
    ("series", "more rows than pixels", header("Rows", 90), "different sizes"),
    # boxes by run lengths
    (
        "run_lengths",
        "a code that is none",
        coco(lambda c: c["annotations"][2]["segmentation"].update(counts="@@@@")),
        r"a\.json",
    ),
    (
        "run_lengths",
        "a size of its own",
        coco(lambda c: c["annotations"][2]["segmentation"].update(size=[10, 12])),
        r"a\.json: .*of 12 x 10 pixels",
    ),
    (
        "run_lengths",
        "height and width swapped",
        coco(lambda c: c["annotations"][2]["segmentation"].update(size=[24, 20])),
        r"a\.json: .*swapped",
    ),
    (
        "run_lengths",
        "a size that is text",
        coco(lambda c: c["annotations"][2]["segmentation"].update(size="20x24")),
        r"a\.json",
    ),
    (
        "run_lengths",
        "counts below 0",
        coco(lambda c: c["annotations"][2]["segmentation"].update(counts=[-5, 400])),
        r"a\.json",
    ),
    (
        "run_lengths",
        "an empty polygon",
        coco(lambda c: c["annotations"][2].update(segmentation=[])),
        r"a\.json",
    ),
    (
        "run_lengths",
        "a polygon of one point",
        coco(lambda c: c["annotations"][2].update(segmentation=[[3, 4]])),
        r"a\.json",
    ),
    (
        "run_lengths",
        "an odd number of coordinates",
        coco(lambda c: c["annotations"][2].update(segmentation=[[3, 4, 5]])),
        r"a\.json",
    ),
    (
        "run_lengths",
        "no category of that id",
        coco(lambda c: c["annotations"][2].update(category_id=9)),
        r"a\.json: .*category_id 9",
    ),
    (
        "run_lengths",
        "no image of that id",
        coco(lambda c: c["annotations"][2].update(image_id=99)),
        r"a\.json: .*image_id 99",
    ),
    (
        "run_lengths",
        "a box that is text",
        coco(lambda c: c["annotations"][2].update(bbox=["a", 1, 2, 3])),
        r"a\.json .*bbox",
    ),
    (
        "run_lengths",
        "a box of three numbers",
        coco(lambda c: c["annotations"][2].update(bbox=[1, 2, 3])),
        r"a\.json .*bbox",
    ),
    ("run_lengths", "a width below 0", coco(lambda c: c["images"][2].update(width=-24)), r"a\.json|a2\.png"),
    (
        "run_lengths",
        "categories of one id",
        coco(lambda c: c["categories"].append({"id": 1, "name": "disc"})),
        r"a\.json",
    ),
    (
        "run_lengths",
        "all boxes in a crowd",
        coco(lambda c: [a.update(iscrowd=1) for a in c["annotations"]]),
        "has no box",
    ),
]


@pytest.mark.parametrize(("name", "what", "change", "said"), VALUES, ids=[f"{v[0]}: {v[1]}" for v in VALUES])
def test_wrong_values_are_refused_by_place(
    made_once: Made, name: str, what: str, change: Change, said: str | None, tmp_path: Path
) -> None:
    made, truth = copied(made_once, name, tmp_path)
    made = replace(made, data=made.data | change(tmp_path))
    line = outcome(tmp_path, made, truth)
    if said is None:
        assert line is None, line
    else:
        assert line is not None and re.search(said, line), line


def test_there_are_a_hundred_and_more() -> None:
    assert len(VALUES) == len({(name, what) for name, what, _, _ in VALUES}) >= 100


MANY = tuple(f"a rather long name of a finding, number {n:03d}" for n in range(80))
# Settings that name many labels, each where a reader of that set takes it
LISTS: list[dict[str, Any]] = [
    {},
    {"label_names": {name: name for name in MANY}},
    {"label_names": {str(n): name for n, name in enumerate(MANY)}},
    {"box_names": {name: name for name in MANY}},
    {"label_column": list(MANY)},
    {"masks": {MANY[0]: "masks/{stem}.png", MANY[1]: "mask/{stem}.png"}},
    {"mask_values": {"2": "spot"} | {str(n): name for n, name in enumerate(MANY, start=3)}},
]


@pytest.mark.parametrize("name", [name for name in SETS if name != "questions"])
def test_long_lists_are_cut_and_counted(made_once: Made, name: str, tmp_path: Path) -> None:
    """A task of 80 labels with long names, none of which the data has, however they are named."""
    made, truth = copied(made_once, name, tmp_path)
    tried = 0
    for more in LISTS:
        try:
            line = outcome(tmp_path, replace(made, labels=MANY, data=made.data | more), truth)
        except ValidationError:  # this reader has no such setting
            continue
        assert line is not None
        assert " more" in line or not any(label in line for label in MANY[3:])
        tried += 1
    assert tried
