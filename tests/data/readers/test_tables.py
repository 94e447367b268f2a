"""The CSV and COCO readers: labels, splits, patients, questions, boxes, and what is refused."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from helpers.data_files import COCO, CSV, save_coco, save_csv, save_image, save_table
from vrft_aug.data.cases import EmptySplit, load_cases
from vrft_aug.data.splits import deal
from vrft_aug.errors import UserError
from vrft_aug.nouns import Box, Case
from vrft_aug.recipe.task_config import TaskConfig
from vrft_aug.tasks.task import make_task

SPLITS = ("train", "validation", "test")
TWO = ("dark", "bright")


def load(
    root: Path,
    data: Mapping[str, Any],
    split: str = "train",
    kind: str = "classify",
    labels: Sequence[str] = TWO,
) -> list[Case]:
    config = TaskConfig.model_validate({"kind": kind, "question": "?", "labels": labels, "data": data})
    return load_cases(config.data, make_task("look", config), root, split)


def save_rows(root: Path, rows: Sequence[Sequence[str]]) -> None:
    save_csv(root / "set" / "table.csv", rows)
    image = rows[0].index("image") if "image" in rows[0] else 0
    for row in rows[1:]:
        save_image(root / "set" / row[image])


def test_rows_become_cases_with_readable_ids(tmp_path: Path) -> None:
    save_table(tmp_path)
    cases = load(tmp_path, CSV, "test")
    assert [case.id for case in cases] == ["set/test/i3", "set/test/i7", "set/test/i11"]
    assert [case.target.label for case in cases] == ["bright"] * 3
    assert cases[0].images[0].open().size == (40, 30)


def test_a_table_beside_its_images_lends_its_own_name_to_the_ids(tmp_path: Path) -> None:
    save_csv(tmp_path / "mine.csv", [["image", "label", "split"], ["a.png", "dark", "test"]])
    save_image(tmp_path / "a.png")
    assert load(tmp_path, {"reader": "csv", "table": "mine.csv"}, "test")[0].id == "mine/test/a"


def test_values_are_translated_and_images_found_without_their_suffix(tmp_path: Path) -> None:
    save_csv(tmp_path / "set/table.csv", [["id", "dr", "split"], ["a", "0", "testing"], ["b", " 1 ", "Test"]])
    for name in ("a.jpg", "b.png"):
        save_image(tmp_path / "set" / name)
    data = CSV | {"image_column": "id", "label_column": "dr", "label_names": {0: "dark", 1: "Bright"}}
    assert [case.target.label for case in load(tmp_path, data, "test")] == ["dark", "bright"]


def test_images_of_one_name_in_two_folders_keep_their_folders(tmp_path: Path) -> None:
    header = ["image", "label", "split"]
    save_rows(tmp_path, [header, ["p1/a.png", "dark", "test"], ["p2/a.png", "dark", "test"]])
    assert [case.id for case in load(tmp_path, CSV, "test")] == ["set/test/p1/a", "set/test/p2/a"]


def test_train_and_validation_never_share_a_patient(tmp_path: Path) -> None:
    rows = [["image", "label", "split", "patient"]]
    rows += [[f"i{i}.png", "dark", "test" if i % 5 == 0 else "train", f"p{i // 3}"] for i in range(150)]
    save_rows(tmp_path, rows)
    # the table itself has patients in train and in test, which is refused unless it is accepted
    data = CSV | {"patient_column": "patient", "shared_patients": "accept"}
    cases = {split: load(tmp_path, data, split) for split in SPLITS}
    patients = {split: {case.patient for case in found} for split, found in cases.items()}
    assert not patients["train"] & patients["validation"]
    assert sum(map(len, cases.values())) == 150
    assert len(cases["test"]) == 30  # the table's own test images are left alone
    assert 4 <= len(cases["validation"]) <= 36


def test_dealing_is_by_owner_and_unmoved_by_other_rows() -> None:
    owners = [f"patient {i}" for i in range(2000)]
    dealt = deal(owners, None)
    assert deal(owners[500:600], None) == dealt[500:600]
    shares = [dealt.count(split) / len(dealt) for split in SPLITS]
    assert shares == pytest.approx([0.65, 0.15, 0.2], abs=0.03)
    carved = deal(owners, ["train"] * 2000)
    assert carved.count("validation") / 2000 == pytest.approx(0.15, abs=0.03)
    assert all(d == "validation" for c, d in zip(carved, dealt, strict=True) if c == "validation")
    assert deal(owners, ["validation", *["train"] * 1999]).count("validation") == 1  # its own are kept


def test_without_a_split_column_all_three_are_dealt(tmp_path: Path) -> None:
    save_table(tmp_path, 60)
    data = CSV | {"split_column": None}
    ids = [case.id.rpartition("/")[2] for split in SPLITS for case in load(tmp_path, data, split)]
    assert sorted(ids) == sorted(f"i{i}" for i in range(60))


def test_questions_and_answers_may_share_an_image(tmp_path: Path) -> None:
    rows = [["image", "question", "answer", "split"], ["a.png", "Which organ?", "liver", "test"]]
    save_rows(tmp_path, [*rows, ["a.png", "", "ct", "test"]])
    data = CSV | {"question_column": "question", "text_column": "answer", "label_column": None}
    first, second = load(tmp_path, data, "test", "answer", ())
    assert (first.id, first.question, first.target.text) == ("set/test/a/q1", "Which organ?", "liver")
    assert (second.id, second.question) == ("set/test/a/q2", None)


def test_coco_boxes_are_corners_and_images_without_any_are_cases(tmp_path: Path) -> None:
    boxes = {
        "images/a.png": [("spot", [1, 2, 3, 4]), ("disc", [0, 0, 40, 30])],
        "images/b.png": [],
        "images/c.png": [("disc", [5, 5, 5, 5])],
    }
    save_coco(tmp_path, boxes)
    save_csv(tmp_path / "set/splits.csv", [["image", "split"], *[[name, "test"] for name in boxes]])
    data = COCO | {"splits": "set/splits.csv", "box_names": {"spot": "lesion"}}
    cases = load(tmp_path, data, "test", "localise", ["lesion"])
    assert [case.id for case in cases] == ["set/test/a", "set/test/b", "set/test/c"]
    assert [case.target.boxes for case in cases] == [(Box(1, 2, 4, 6, "lesion"),), (), ()]
    by_name = load(tmp_path, data | {"box_names": {}}, "test", "localise", ["disc", "spot"])
    assert [len(case.target.boxes or ()) for case in by_name] == [2, 0, 1]


def test_boxes_join_a_table_by_file_name_and_unlisted_images_are_left_out(tmp_path: Path) -> None:
    save_table(tmp_path, 4)
    save_coco(tmp_path, {"i0.png": [("spot", [1, 1, 2, 2])], "images/i1.png": []})
    (tmp_path / "set/i0.png").unlink()  # joined by its bare name
    cases = load(tmp_path, CSV | {"boxes": "set/boxes.json"}, "train", "localise", ["spot"])
    dealt = {case.id.rpartition("/")[2]: case.target.boxes for case in cases}
    for case in load_or_none(tmp_path, CSV | {"boxes": "set/boxes.json"}, "validation"):
        dealt[case.id.rpartition("/")[2]] = case.target.boxes
    assert dealt == {"i0": (Box(1, 1, 3, 3, "spot"),), "i1": ()}


def load_or_none(root: Path, data: Mapping[str, Any], split: str) -> list[Case]:
    try:
        return load(root, data, split, "localise", ["spot"])
    except EmptySplit:
        return []


def test_boxes_over_the_border_are_clipped_up_to_a_pixel(tmp_path: Path) -> None:
    save_coco(tmp_path, {"a.png": [("spot", [-0.5, -1, 41.5, 32])]})
    save_csv(tmp_path / "set/splits.csv", [["image", "split"], ["a.png", "test"]])
    data = COCO | {"splits": "set/splits.csv"}
    assert load(tmp_path, data, "test", "localise", ["spot"])[0].target.boxes == (Box(0, 0, 40, 30, "spot"),)


@pytest.mark.parametrize("bbox", [[0, 0, 42, 5], [-2, 0, 5, 5], [1, 1, 0, 5], [1, 1, 5, -5], [1, 29, 5, 3]])
def test_boxes_outside_their_image_name_file_and_image(tmp_path: Path, bbox: list[float]) -> None:
    save_coco(tmp_path, {"a.png": [("spot", bbox)]})
    with pytest.raises(UserError, match=r"boxes.json.*a.png is empty or outside its image of 40 x 30"):
        load(tmp_path, COCO, "train", "localise", ["spot"])


def test_annotations_of_another_size_are_refused(tmp_path: Path) -> None:
    save_coco(tmp_path, {f"{i}.png": [] for i in range(20)})
    for i in range(20):
        save_image(tmp_path / "set" / f"{i}.png", (20, 15))
    with pytest.raises(UserError, match=r"is 20 x 15 pixels, but .*boxes.json says 40 x 30"):
        load(tmp_path, COCO, "train", "localise", ["spot"])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"table": "set/absent.csv"}, r"set/absent.csv does not exist.*VRFT_DATA"),
        ({"table": "idrid/grades.csv"}, r"idrid/grades.csv does not exist.*ieee-dataport.org"),
        ({"table": "busi/labels.csv"}, r"busi/labels.csv does not exist.*scholar.cu.edu.eg"),
        (
            {"label_column": "lable"},
            r"no column 'lable' \(label_column\); did you mean 'label'.*image, label, split",
        ),
        ({"image_column": "file"}, r"no column 'file' \(image_column\); its columns are image, label, split"),
        ({"split_column": "fold"}, r"no column 'fold' \(split_column\)"),
        ({"label_names": {"dark": "dark"}}, r"table.csv line \d+: label 'bright' is not in data.label_names"),
        (
            {"label_names": {"dark": "drak", "bright": "bright"}},
            r"label 'drak' is not one of.*did you mean 'dark'",
        ),
        ({"images": "elsewhere"}, r"image .*elsewhere/images/i\d+.png of case set/train/i\d+ does not exist"),
        ({"label_column": None}, "needs data.label_column"),
    ],
)
def test_settings_that_do_not_fit_the_table(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    save_table(tmp_path)
    with pytest.raises(UserError, match=message) as caught:
        load(tmp_path, CSV | change)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([["i0.png", "dark", "train"]] * 2, r"line 3: case i0 is there twice, first in .*line 2"),
        ([["i0.png", "dark", "train"], ["i0.png", "dark", "test"]], "is there twice"),
        ([["i0.png", "dark", "fold1"]], r"line 2: split 'fold1' is unknown"),
        ([["i0.png", "", "train"]], r"line 2: label empty"),
        ([["i0.png", "dim", "train"]], r"line 2: label 'dim' is not one of task 'look'; it has dark, bright"),
        ([["i0.png", "dark"]], "line 2 has more or fewer cells"),
        ([["i0.png", "dark", "train", "x"]], "line 2 has more or fewer cells"),
        ([["i0.png", "dark", "test"]], "no cases in split 'train'"),
        ([], "no cases in split 'train'"),
    ],
)
def test_rows_that_are_wrong_name_their_line(tmp_path: Path, rows: list[list[str]], message: str) -> None:
    save_rows(tmp_path, [["image", "label", "split"], *rows])
    with pytest.raises(UserError, match=message):
        load(tmp_path, CSV)


def test_files_that_are_no_table_no_boxes_or_no_picture(tmp_path: Path) -> None:
    save_table(tmp_path)
    (tmp_path / "set/images/i0.png").write_text("no picture")
    with pytest.raises(UserError, match=r"i0.png of case set/\w+/i0 cannot be decoded"):
        for split in SPLITS:
            load(tmp_path, CSV, split)
    (tmp_path / "set/table.csv").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UserError, match=r"table.csv cannot be read as a UTF-8 CSV"):
        load(tmp_path, CSV)
    (tmp_path / "set/table.csv").write_text("")
    with pytest.raises(UserError, match="its columns are none, it is empty"):
        load(tmp_path, CSV)
    nan = '{"images":[],"categories":[],"annotations":[{"image_id":0,"category_id":0,"bbox":[0,NaN,1,1]}]}'
    for text, message in [
        ("{", "not valid JSON"),
        ("[]", "no COCO"),
        ("{}", "images"),
        (nan, "bbox.1 is nan"),
    ]:
        (tmp_path / "set/boxes.json").write_text(text)
        with pytest.raises(UserError, match=message):
            load(tmp_path, COCO, "train", "localise", ["spot"])


@pytest.mark.parametrize(
    ("change", "labels", "message"),
    [
        ({"box_names": {"spt": "spot"}}, ["spot"], r"no category 'spt' \(box_names\); did you mean 'spot'"),
        (
            {"box_names": {"spot": "sport"}},
            ["spot"],
            "'sport' is not a label of task 'look'; did you mean 'spot'",
        ),
        ({}, ["lesion"], r"no category of task 'look'; the file has spot, disc.*set data.box_names"),
        ({"annotations": "set/absent.json"}, ["spot"], "absent.json does not exist"),
        ({"splits": "set/splits.csv"}, ["spot"], r"splits.csv has no row for image b.png"),
    ],
)
def test_settings_that_do_not_fit_the_boxes(
    tmp_path: Path, change: dict[str, Any], labels: list[str], message: str
) -> None:
    save_coco(tmp_path, {"a.png": [("spot", [1, 1, 5, 5])], "b.png": []})
    save_csv(tmp_path / "set/splits.csv", [["image", "split"], ["a.png", "train"]])
    with pytest.raises(UserError, match=message):
        load(tmp_path, COCO | change, "train", "localise", labels)


def test_a_reader_of_ones_own_is_found_and_checked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "own_reader.py").write_text(
        "from vrft_aug.nouns import Case, Target\n"
        "def read(root, split, task, ids=('a',), label='dark'):\n"
        "    return [Case(id=i, images=(), target=Target(label=label)) for i in ids]\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    data = {"reader": "own_reader:read"}
    assert load(tmp_path, data)[0].id == "a"
    for options, message in [
        ({"ids": ["a", "a"]}, "case a twice"),
        ({"label": "dim"}, "case a has label 'dim'"),
    ]:
        with pytest.raises(UserError, match=message):
            load(tmp_path, data | {"options": options})
    with pytest.raises(UserError, match="own_reader:raed"):
        load(tmp_path, {"reader": "own_reader:raed"})


def test_cells_with_several_labels(tmp_path: Path) -> None:
    rows = [["image", "label", "split"], ["a.png", "dark| round", "test"], ["b.png", "", "test"]]
    save_rows(tmp_path, rows)
    cases = load(tmp_path, CSV, "test", "multilabel", ["dark", "round"])
    assert [case.target.labels for case in cases] == [{"dark", "round"}, frozenset()]
    save_rows(tmp_path, [*rows, ["c.png", "dark|bright", "test"]])
    with pytest.raises(UserError, match="label 'bright' is not one of"):
        load(tmp_path, CSV, "test", "multilabel", ["dark", "round"])


@pytest.mark.parametrize(("complete", "absent"), [(False, set()), (True, {"disc"})])
def test_complete_boxes_rule_findings_out(tmp_path: Path, complete: bool, absent: set[str]) -> None:
    save_table(tmp_path, 4)
    save_coco(tmp_path, {f"images/i{i}.png": [("spot", [1, 1, 2, 2])] for i in range(3)})
    names = {"spot": "bright spot", "disc": "disc"}
    known = {"boxes": "set/boxes.json", "box_names": names, "boxes_complete": complete}
    case = load(tmp_path, CSV | known)[0]
    assert case.target.boxes == (Box(1, 1, 3, 3, "bright spot"),) and case.target.absent == absent
