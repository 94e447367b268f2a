"""Box files of eight formats: the same boxes from each, and what only some of them have."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from helpers.annotated_sets import (
    FORMATS,
    NAMES,
    TRUTH,
    Data,
    boxes_of,
    label_studio,
    labelme,
    read_all,
    via,
    voc,
)
from vrft_aug.data.notes import collecting
from vrft_aug.errors import UserError
from vrft_aug.nouns import Box


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_gives_the_same_boxes(tmp_path: Path, name: str) -> None:
    assert boxes_of(read_all(tmp_path, FORMATS[name](tmp_path))) == TRUTH


def test_the_splits_do_not_depend_on_the_format(tmp_path: Path) -> None:
    dealt = []
    for name, write in FORMATS.items():
        if name == "label_studio":
            continue  # its names of uploaded files have a prefix, so they are other names
        found = read_all(tmp_path / name, write(tmp_path / name))
        dealt.append({s: sorted(case.id.rpartition("/")[2] for case in cases) for s, cases in found.items()})
    assert all(one == dealt[0] for one in dealt)


@pytest.mark.parametrize("name", FORMATS)
def test_a_label_without_a_box_is_refused_unless_accepted(tmp_path: Path, name: str) -> None:
    data = FORMATS[name](tmp_path)
    labels = ("lesion", "disc", "lesions")
    if name in ("coco", "cvat", "yolo", "box rows", "voc", "labelme", "via", "label_studio"):
        with pytest.raises(UserError, match=r"label 'lesions' .* has no box.*did you mean 'lesion'"):
            read_all(tmp_path, data, labels=labels)
    assert boxes_of(read_all(tmp_path, data | {"unused_labels": "accept"}, labels=labels)) == TRUTH


def one_shape(root: Path, **shape: Any) -> Data:
    """The LabelMe set with one shape in its second picture."""
    data = labelme(root)
    path = root / "set/labelme/a1.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"shapes": [shape]}))
    return data


@pytest.mark.parametrize(
    ("kind", "points", "box"),
    [
        ("circle", [[20, 20], [23, 24]], Box(15, 15, 25, 25, "lesion")),
        ("polygon", [[10, 10], [20, 12], [14, 30]], Box(10, 10, 20, 30, "lesion")),
    ],
)
def test_labelme_shapes(tmp_path: Path, kind: str, points: list[list[float]], box: Box) -> None:
    data = one_shape(tmp_path, label="lesion", shape_type=kind, points=points)
    assert boxes_of(read_all(tmp_path, data))["a1.png"] == (box,)


def test_labelme_points_are_left_out_and_told(tmp_path: Path) -> None:
    data = one_shape(tmp_path, label="lesion", shape_type="point", points=[[3, 4]])
    with collecting() as notes:
        assert boxes_of(read_all(tmp_path, data))["a1.png"] == ()
    assert any("points, lines" in note.text for note in notes)


def test_via_polygons_ellipses_and_several_attributes(tmp_path: Path) -> None:
    data = via(tmp_path)
    content = json.loads((tmp_path / "via.json").read_text())
    regions = content["_via_img_metadata"]["a1.png123"]["regions"]
    regions[0]["shape_attributes"] = {"name": "ellipse", "cx": 20, "cy": 20, "rx": 4, "ry": 8, "theta": 0}
    regions[1]["shape_attributes"] = {
        "name": "polygon",
        "all_points_x": [1, 5, 9],
        "all_points_y": [2, 30, 4],
    }
    (tmp_path / "via.json").write_text(json.dumps(content))
    found = boxes_of(read_all(tmp_path, data))["a1.png"]
    assert found == (Box(16, 12, 24, 28, "lesion"), Box(1, 2, 9, 30, "disc"))
    regions[0]["region_attributes"]["size"] = "big"
    (tmp_path / "via.json").write_text(json.dumps(content))
    with pytest.raises(UserError, match=r"kind, size; name the label's with data.label_attribute"):
        read_all(tmp_path, data)
    assert boxes_of(read_all(tmp_path, data | {"label_attribute": "kind"}))["a1.png"] == found


def test_voc_counts_from_one_where_the_recipe_says_so(tmp_path: Path) -> None:
    found = boxes_of(read_all(tmp_path, voc(tmp_path) | {"first_pixel": 1}))
    assert found["a1.png"][0] == Box(4, 7, 21, 24, "lesion")


def test_label_studio_turns_in_pixels_and_asks_which_annotation(tmp_path: Path) -> None:
    data = label_studio(tmp_path)
    tasks = json.loads((tmp_path / "ls.json").read_text())
    value = tasks[1]["annotations"][0]["result"][0]["value"]
    value |= {"x": 50, "y": 25, "width": 25, "height": 10, "rotation": 90}  # 16 x 4.8 pixels at (32, 12)
    (tmp_path / "ls.json").write_text(json.dumps(tasks))
    assert boxes_of(read_all(tmp_path, data))["a1.png"][0] == Box(27.2, 12, 32, 28, "lesion")
    tasks[1]["annotations"].append({"result": []})
    (tmp_path / "ls.json").write_text(json.dumps(tasks))
    with pytest.raises(UserError, match="task 1 has 2 annotations; say which"):
        read_all(tmp_path, data)
    assert boxes_of(read_all(tmp_path, data | {"several": "last"}))["a1.png"] == ()


def test_split_folders_of_yolo_and_subsets_of_cvat_are_kept(tmp_path: Path) -> None:
    data = FORMATS["yolo"](tmp_path)
    for split, names in (("train", NAMES[:8]), ("valid", NAMES[8:10]), ("test", NAMES[10:])):
        for name in names:
            for kind, suffix in (("images", ".png"), ("labels", ".txt")):
                file = name.replace(".png", suffix)
                (tmp_path / "set" / split / kind).mkdir(parents=True, exist_ok=True)
                (tmp_path / "set" / kind / file).rename(tmp_path / "set" / split / kind / file)
    found = read_all(tmp_path, data)
    assert [len(found[split]) for split in ("train", "validation", "test")] == [8, 2, 2]
    data = FORMATS["cvat"](tmp_path)
    xml = (tmp_path / "cvat.xml").read_text()
    for i in range(12):
        xml = xml.replace(f'id="{i}"', f'id="{i}" subset="{("Train", "Validation", "Test")[i % 3]}"')
    (tmp_path / "cvat.xml").write_text(xml)
    assert [len(cases) for cases in read_all(tmp_path, data).values()] == [4, 4, 4]
