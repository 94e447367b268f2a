"""Box files and masks as tools export them: each kind with the answer that has to come out."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from helpers.data_files import save_csv
from helpers.wild_sets import SIZE, draw, read_cases, read_splits
from vrft_aug.data.readers.coco_boxes import read_coco_file
from vrft_aug.errors import UserError
from vrft_aug.nouns import Box

BOX = Box(5, 6, 25, 21, "lesion")
COCO: dict[str, Any] = {"reader": "coco", "annotations": "a.json", "images": "images"}


def coco(names: list[str], size: dict[str, Any] | None = None, first: int = 0) -> dict[str, Any]:
    """A box in every image, and a root category that has none."""
    sized = {"width": SIZE[0], "height": SIZE[1]} if size is None else size
    return {
        "images": [{"id": first + i, "file_name": name, **sized} for i, name in enumerate(names)],
        "annotations": [
            {"id": i, "image_id": first + i, "category_id": 1, "bbox": [5, 6, 20, 15], "iscrowd": 0}
            for i in range(len(names))
        ],
        "categories": [
            {"id": 0, "name": "lesion", "supercategory": "none"},
            {"id": 1, "name": "lesion", "supercategory": "lesion"},
        ],
    }


def write(path: Path, content: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))


@pytest.mark.parametrize("images", [".", "images"])
def test_names_with_backslashes(tmp_path: Path, images: str) -> None:
    """Label Studio on Windows writes images\\a.png."""
    names = draw(tmp_path / "images", (f"a{n}.png" for n in range(8)))
    write(tmp_path / "a.json", coco([f"images\\{name}" for name in names]))
    cases = read_cases(tmp_path, COCO | {"images": images}, "localise", ["lesion"])
    assert len(cases) == 8
    assert all(case.target.boxes == (BOX,) for case in cases.values())


@pytest.mark.parametrize("size", [{"width": 0, "height": 0}, {"width": None, "height": None}, {}])
def test_a_size_that_is_not_said_is_the_pictures(tmp_path: Path, size: dict[str, Any]) -> None:
    names = draw(tmp_path / "images", (f"a{n}.png" for n in range(8)))
    content = coco(names, size)
    write(tmp_path / "a.json", content)
    cases = read_cases(tmp_path, COCO, "localise", ["lesion"])
    assert all(case.target.boxes == (BOX,) for case in cases.values()) and len(cases) == 8
    content["annotations"][3]["bbox"] = [5, 6, 64, 15]  # of 64 pixels
    write(tmp_path / "a.json", content)
    with pytest.raises(UserError, match=r"a\.json: box .* a3\.png is empty or outside its image of 64 x 48"):
        read_cases(tmp_path, COCO, "localise", ["lesion"])


WRONG_KEYS: dict[str, tuple[Any, str]] = {
    "no annotations": ({"images": [], "categories": []}, r"lacks annotations; it has images, categories"),
    "no categories": ({"images": [], "annotations": []}, r"lacks categories; it has images, annotations"),
    "LabelMe": ({"shapes": [], "imagePath": "a.png"}, r"a LabelMe file \(reader: labelme\)"),
    "VIA": ({"a.png1": {"filename": "a.png", "regions": []}}, r"a VIA project or export \(reader: via\)"),
    "Label Studio": ([{"data": {}, "annotations": []}], r"a Label Studio export \(reader: label_studio\)"),
    "a bare list": ([{"image": "a.png", "bbox": [1, 2, 3, 4]}], r"a bare list of objects"),
    "annotations that are no list": ({"images": [], "annotations": {}, "categories": []}, r"expected a list"),
}


@pytest.mark.parametrize("what", WRONG_KEYS)
def test_what_is_no_coco_file_is_called_what_it_is(tmp_path: Path, what: str) -> None:
    content, said = WRONG_KEYS[what]
    write(tmp_path / "a.json", content)
    with pytest.raises(UserError, match=rf"a\.json is no COCO detection file.*{said}"):
        read_cases(tmp_path, COCO, "localise", ["lesion"])


def test_an_image_id_twice_is_named_and_images_are_counted_once(tmp_path: Path) -> None:
    """After merging two files; the pictures are not looked at, and no list is searched for each image."""
    content = coco([f"f{n:07d}.png" for n in range(20_000)])
    write(tmp_path / "a.json", content)
    images, _ = read_coco_file(tmp_path / "a.json", tmp_path)
    assert len(images) == 20_000
    content["images"][-1]["id"] = 7
    write(tmp_path / "a.json", content)
    with pytest.raises(UserError, match=r"image id 7 is listed twice .*f0000007\.png, f0019999\.png") as told:
        read_cases(tmp_path, COCO, "localise", ["lesion"])
    assert "\n" not in str(told.value)


def save_roboflow(root: Path, shared: bool) -> None:
    """A file per split, three augmented copies of each scan; `shared`: one scan's copy is in test too."""
    hashes = ("0a1b", "2c3d", "4e5f")
    scans = {"train": [f"scan-{n}_png.rf.{h}{n:04d}.jpg" for n in range(30) for h in hashes]}
    scans["valid"] = ["scan-90_png.rf.aa.jpg"]
    scans["test"] = [f"scan-{4 if shared else 91}_png.rf.bb.jpg"]
    for split, names in scans.items():
        draw(root / split, names)
        write(root / split / "_annotations.coco.json", coco(names))


FILES = {split: f"{split}/_annotations.coco.json" for split in ("train", "valid", "test")}


@pytest.mark.parametrize("annotations", [FILES, list(FILES.values())])
@pytest.mark.parametrize("shared", [False, True])
def test_a_file_per_split_and_copies_of_a_scan(tmp_path: Path, annotations: Any, shared: bool) -> None:
    save_roboflow(tmp_path, shared)
    data = {"reader": "coco", "annotations": annotations, "images": "."}
    found, notes = read_splits(tmp_path, data, "localise", ["lesion"])
    assert {split: len(cases) for split, cases in found.items()} == {"train": 90, "validation": 1, "test": 1}
    assert all(case.target.boxes == (BOX,) for cases in found.values() for case in cases)
    warned = [note.text for note in notes if "in two splits" in note.text and note.level == "warning"]
    assert bool(warned) == shared
    assert not shared or "copies of 1 scans are in two splits (scan-4_png)" in warned[0]


def test_copies_of_a_scan_are_dealt_together(tmp_path: Path) -> None:
    save_roboflow(tmp_path, False)
    data = {"reader": "coco", "annotations": FILES["train"], "images": "train"}
    found, _ = read_splits(tmp_path, data, "localise", ["lesion"])
    scans = [{case.id.rpartition("/")[2].split(".rf.")[0] for case in cases} for cases in found.values()]
    assert sum(map(len, scans)) == len(set.union(*scans)) == 30
    assert all(scans)


def save_maps(root: Path) -> None:
    """Eight pictures with a map of values 0 to 4 each: four squares side by side."""
    names = draw(root / "images", (f"s{n}.png" for n in range(8)))
    save_csv(root / "t.csv", [["image"], *([name] for name in names)])
    values = np.zeros((SIZE[1], SIZE[0]), np.uint8)
    for value in range(1, 5):
        values[10:20, 12 * value : 12 * value + 8] = value
    for name in names:
        for folder, pixels in (("maps", values), ("inverted", np.where(values == 1, 0, 255))):
            (root / folder).mkdir(exist_ok=True)
            Image.fromarray(pixels.astype(np.uint8)).save(root / folder / name)


LABELS = ["exudate", "bleeding", "aneurysm", "spot"]
CSV: dict[str, Any] = {"reader": "csv", "table": "t.csv", "images": "images", "split_column": None}


def test_label_maps_are_read_by_value_or_refused(tmp_path: Path) -> None:
    save_maps(tmp_path)
    values = {str(value): label for value, label in enumerate(LABELS, 1)}
    data = CSV | {"label_map": "maps/{stem}.png", "mask_values": values}
    cases = read_cases(tmp_path, data, "localise", LABELS)
    boxes = tuple(Box(12 * v, 10, 12 * v + 8, 20, label) for v, label in enumerate(LABELS, 1))
    assert [case.target.boxes for case in cases.values()] == [boxes] * 8
    wrong = {
        "maps/{stem}.png": r"has 5 values \(0, 1, 2, 3, 4\): a map of several labels",
        "inverted/{stem}.png": r"covers 97% of the picture and its corners: it seems inverted",
        "map/{stem}.png": r"0 of 8 names match 'map/\{stem\}\.png' .*such as map/s0\.png; ",
    }
    for pattern, said in wrong.items():
        with pytest.raises(UserError, match=said):
            read_cases(tmp_path, CSV | {"masks": {"spot": pattern}}, "localise", ["spot"])


@pytest.mark.parametrize("kind", ["localise", "classify"])
def test_an_export_that_renamed_its_files(tmp_path: Path, kind: str) -> None:
    names = draw(tmp_path / "images", (f"a{n}.png" for n in range(12)))
    save_csv(tmp_path / "t.csv", [["image", "label"], *([name, "xy"[n % 2]] for n, name in enumerate(names))])
    write(tmp_path / "a.json", coco([name.replace(".png", "_png.rf.0123abcd.jpg") for name in names]))
    data = CSV | {"boxes": "a.json", "box_names": {"lesion": "lesion"}}
    said = r"0 of 12 names match: t\.csv has 'a0\.png', .*a\.json has 'a0_png\.rf\.0123abcd\.jpg'"
    with pytest.raises(UserError, match=said):
        read_cases(tmp_path, data, kind, ["lesion"] if kind == "localise" else ["x", "y"])
