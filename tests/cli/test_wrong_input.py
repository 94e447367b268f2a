"""What users get wrong, through the command line: exit code 2 and one line that names the culprit."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from helpers.data_files import (
    COCO,
    CSV,
    GRADES,
    MEDMNIST,
    recipe_mapping,
    save_coco,
    save_csv,
    save_image,
    save_medmnist,
    save_recipe_mapping,
    save_table,
)
from vrft_aug.cli import app

Mapping = dict[str, Any]


def grade(root: Path) -> Mapping:
    save_medmnist(root / "retinamnist.npz")
    return recipe_mapping(root, "grade", GRADES, MEDMNIST)


def table(root: Path) -> Mapping:
    save_table(root)
    return recipe_mapping(root, "classify", ["dark", "bright"], CSV)


def boxes(root: Path) -> Mapping:
    save_coco(root, {f"i{i}.png": [("spot", [1, 1, 5, 5])] for i in range(40)})
    return recipe_mapping(root, "localise", ["spot"], COCO)


def missing_file(root: Path) -> Mapping:
    mapping = grade(root)
    (root / "retinamnist.npz").unlink()
    return mapping


def absent_root(root: Path) -> Mapping:
    return grade(root) | {"data_root": str(root / "nowhere")}


def truncated_npz(root: Path) -> Mapping:
    mapping = grade(root)
    whole = (root / "retinamnist.npz").read_bytes()
    (root / "retinamnist.npz").write_bytes(whole[: len(whole) * 2 // 3])
    return mapping


def pickled_npz(root: Path) -> Mapping:
    mapping = grade(root)
    save_medmnist(root / "retinamnist.npz", train_labels=np.array([[print]] * 7, dtype=object))
    return mapping


def number_outside(root: Path) -> Mapping:
    mapping = grade(root)
    save_medmnist(root / "retinamnist.npz", labels=7)
    return mapping


def label_outside(root: Path) -> Mapping:
    mapping = table(root)
    mapping["tasks"]["look"]["labels"] = ["dark", "blue"]
    return mapping


def no_picture(root: Path) -> Mapping:
    mapping = table(root)
    for i in range(12):
        (root / f"set/images/i{i}.png").write_text("not a picture")
    return mapping


def missing_picture(root: Path) -> Mapping:
    mapping = table(root)
    for i in range(12):
        (root / f"set/images/i{i}.png").unlink()
    return mapping


def missing_column(root: Path) -> Mapping:
    mapping = table(root)
    mapping["tasks"]["look"]["data"] |= {"label_column": "grade"}
    return mapping


def duplicate_case(root: Path) -> Mapping:
    mapping = table(root)
    save_csv(root / "set/table.csv", [["image", "label", "split"], *[["images/i0.png", "dark", "train"]] * 2])
    return mapping


def empty_split(root: Path) -> Mapping:
    mapping = table(root)
    save_csv(root / "set/table.csv", [["image", "label", "split"], ["images/i0.png", "dark", "test"]])
    return mapping


def box_outside(root: Path) -> Mapping:
    mapping = boxes(root)
    save_coco(root, {"i0.png": [("spot", [30, 20, 20, 5])]})
    return mapping


def other_size(root: Path) -> Mapping:
    mapping = boxes(root)
    for i in range(40):
        save_image(root / f"set/i{i}.png", (80, 60))
    return mapping


def no_coco(root: Path) -> Mapping:
    mapping = boxes(root)
    (root / "set/boxes.json").write_text(json.dumps({"images": 3}))
    return mapping


def unknown_key(root: Path) -> Mapping:
    mapping = table(root)
    mapping["stages"][0]["genrations"] = 4
    return mapping


def wrong_type(root: Path) -> Mapping:
    mapping = table(root)
    mapping["stages"][0]["steps"] = "many"
    return mapping


@pytest.mark.parametrize(
    ("make", "parts"),
    [
        (missing_file, ["retinamnist.npz does not exist", "zenodo.org", "VRFT_DATA"]),
        (absent_root, ["nowhere", "zenodo.org", "VRFT_DATA"]),
        (truncated_npz, ["retinamnist.npz", "truncated"]),
        (pickled_npz, ["retinamnist.npz", "'train_labels'", "pickled"]),
        (number_outside, ["retinamnist.npz", "retinamnist/train/5", "label 5"]),
        (label_outside, ["table.csv line 3", "'bright'", "dark, blue"]),
        (no_picture, [".png of case set/train/i", "cannot be decoded"]),
        (missing_picture, [".png of case set/train/i", "does not exist"]),
        (missing_column, ["table.csv", "'grade'", "image, label, split"]),
        (duplicate_case, ["table.csv line 3", "case i0", "line 2"]),
        (empty_split, ["'look'", "'train'"]),
        (box_outside, ["boxes.json", "i0.png", "40 x 30"]),
        (other_size, ["set/i", "boxes.json", "80 x 60", "40 x 30"]),
        (no_coco, ["boxes.json", "images", "3"]),
        (unknown_key, ["mine.yaml", "stages.one.genrations", "did you mean 'generations'"]),
        (wrong_type, ["mine.yaml", "stages.one.steps", "'many'", "integer"]),
    ],
    ids=lambda value: value.__name__ if callable(value) else "",
)
def test_wrong_input_is_one_line(tmp_path: Path, make: Callable[[Path], Mapping], parts: list[str]) -> None:
    recipe = save_recipe_mapping(tmp_path / "mine.yaml", make(tmp_path))
    result = CliRunner().invoke(app, ["check", str(recipe)])
    assert result.exit_code == 2, result.output
    assert result.stdout == ""
    assert result.stderr.startswith("error: ")
    assert result.stderr.count("\n") == 1
    for part in parts:
        assert part in result.stderr


def test_an_existing_run_folder_is_refused(tmp_path: Path) -> None:
    recipe = save_recipe_mapping(tmp_path / "mine.yaml", table(tmp_path))
    run = tmp_path / "run"
    run.mkdir()
    (run / "recipe.yaml").write_text(recipe.read_text())
    result = CliRunner().invoke(app, ["train", str(recipe), "-o", str(run)])
    assert result.exit_code == 2, result.output
    assert result.stderr.count("\n") == 1
    for part in (str(run), "--resume", "--overwrite"):
        assert part in result.stderr
