"""Boxes of files that say in pixels as stored turn along with their pictures."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from helpers.data_files import save_csv
from vrft_aug.data.cases import load_cases
from vrft_aug.data.settings import reader_config
from vrft_aug.errors import UserError
from vrft_aug.nouns import Task

TASK = Task("find", "localise", "Where?", ("spot",))


def save_turned(root: Path, orientation: int) -> None:
    """A white spot at (40, 8, 72, 24) of 80 x 60 stored pixels, in COCO and in a table."""
    stored = np.zeros((60, 80, 3), np.uint8)
    stored[8:24, 40:72] = 255
    exif = Image.Exif()
    exif[0x0112] = orientation
    (root / "set").mkdir()
    Image.fromarray(stored).save(root / "set/a.png", exif=exif)
    coco = {
        "images": [{"id": 1, "file_name": "a.png", "width": 80, "height": 60}],
        "annotations": [{"id": 1, "image_id": 1, "category_id": 1, "bbox": [40, 8, 32, 16]}],
        "categories": [{"id": 1, "name": "spot"}],
    }
    (root / "set/boxes.json").write_text(json.dumps(coco))
    save_csv(
        root / "set/t.csv",
        [["image", "split", "x1", "y1", "x2", "y2", "box"], ["a.png", "test", "40", "8", "72", "24", "spot"]],
    )
    save_csv(root / "set/splits.csv", [["image", "split"], ["a.png", "test"]])


COCO = {"reader": "coco", "annotations": "set/boxes.json", "images": "set", "splits": "set/splits.csv"}
CSV = {"reader": "csv", "table": "set/t.csv", "images": "set", "box_label_column": "box"}


@pytest.mark.parametrize("settings", [COCO, CSV], ids=["coco", "csv"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_stored_boxes_are_turned(tmp_path: Path, orientation: int, settings: dict[str, Any]) -> None:
    save_turned(tmp_path, orientation)
    data = reader_config(settings["reader"]).model_validate(settings | {"box_pixels": "stored"})
    (case,) = load_cases(data, TASK, tmp_path, "test")
    rows, columns = np.nonzero(np.asarray(case.images[0].open())[..., 0] > 127)
    (box,) = case.target.boxes or ()
    assert (box.x1, box.y1) == (columns.min(), rows.min())
    assert (box.x2, box.y2) == (columns.max() + 1, rows.max() + 1)


def test_a_quarter_turn_is_not_passed_over(tmp_path: Path) -> None:
    save_turned(tmp_path, 6)
    with pytest.raises(UserError, match=r"60 x 80 .* 80 x 60.*upright \(data\.box_pixels\)"):
        load_cases(reader_config("coco").model_validate(COCO), TASK, tmp_path, "test")


def test_a_page_of_several_is_taken_where_the_recipe_names_it(tmp_path: Path) -> None:
    pages = [Image.new("L", (20, 10), 50 * n) for n in range(3)]
    pages[0].save(tmp_path / "a.tif", save_all=True, append_images=pages[1:])
    save_csv(tmp_path / "t.csv", [["image", "label", "split"], ["a.tif", "spot", "test"]])
    task = Task("look", "classify", "What?", ("spot", "none"))
    settings = {"reader": "csv", "table": "t.csv", "page": 1}
    (case,) = load_cases(reader_config("csv").model_validate(settings), task, tmp_path, "test")
    assert np.asarray(case.images[0].open()).max() == 50
