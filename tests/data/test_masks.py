"""Masks as a source of boxes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from helpers.data_files import save_csv, save_image
from vrft_aug.data.cases import EmptySplit, load_cases
from vrft_aug.errors import UserError
from vrft_aug.nouns import Box, Case
from vrft_aug.recipe.task_config import TaskConfig
from vrft_aug.tasks.task import make_task

SIZE = (40, 30)
MASKS = {"spot": "set/masks/{stem}_spot*.png", "disc": "set/masks/{stem}_disc.tif"}


def save_mask(
    path: Path, *places: tuple[int, int, int, int], value: int = 255, size: tuple[int, int] = SIZE
) -> None:
    """A mask of (width, height) pixels with filled (x1, y1, x2, y2), the ends outside."""
    pixels = np.zeros((size[1], size[0]), dtype=np.uint8)
    for x1, y1, x2, y2 in places:
        pixels[y1:y2, x1:x2] = value
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path, quality=60) if path.suffix == ".jpg" else Image.fromarray(pixels).save(
        path
    )


@pytest.fixture
def root(tmp_path: Path) -> Path:
    names = ["a (1).png", "b.png", "c.png"]
    for name in names:
        save_image(tmp_path / "set" / "images" / name, SIZE)
    save_csv(
        tmp_path / "set" / "table.csv", [["image", "split"], *([f"images/{name}", "train"] for name in names)]
    )
    return tmp_path


def read(root: Path, **changed: Any) -> list[Case]:
    data = {"reader": "csv", "table": "set/table.csv", "images": "set", "masks": MASKS, **changed}
    config = TaskConfig.model_validate(
        {"kind": "localise", "question": "Where?", "labels": ["spot", "disc"], "data": data}
    )
    task = make_task("t", config)
    # Without validation rows some of train are carved out; all are looked at here.
    cases = []
    for split in ("train", "validation"):
        try:
            cases += load_cases(config.data, task, root, split)
        except EmptySplit:
            continue
    return sorted(cases, key=lambda case: case.id.rsplit("/")[-1])


def test_every_connected_part_is_a_box(root: Path) -> None:
    masks = root / "set" / "masks"
    save_mask(masks / "a (1)_spot.png", (2, 3, 6, 5), (30, 20, 40, 30), value=76)
    save_mask(masks / "a (1)_spot_1.png", (10, 10, 11, 11), (11, 11, 14, 14), value=1)  # touch at a corner
    save_mask(masks / "a (1)_disc.tif", (0, 0, 40, 30))
    save_mask(masks / "b_disc.tif")  # annotated: there is none
    with pytest.raises(UserError, match=r"a \(1\)_disc.tif of case .* covers 100% .*seems inverted"):
        read(root)
    first, second = read(root, full_masks="accept")
    assert first.target.boxes == (
        Box(2, 3, 6, 5, "spot"), Box(30, 20, 40, 30, "spot"), Box(10, 10, 14, 14, "spot"),
        Box(0, 0, 40, 30, "disc"),
    )  # fmt: skip
    assert second.target.boxes == () and second.id.endswith("/b")  # and c, without any mask, is left out


def test_small_parts_are_dropped(root: Path) -> None:
    save_mask(root / "set" / "masks" / "b_spot.png", (2, 3, 6, 5), (30, 20, 33, 22), (1, 20, 2, 21))
    assert [
        len(case.target.boxes or ())
        for area in (1, 6, 7, 9)
        for case in read(root, min_area=area, unused_labels="accept")
    ] == [
        3,
        2,
        1,
        0,
    ]


def test_masks_of_any_kind_read_alike(root: Path) -> None:
    masks = {"spot": "set/masks/{stem}_spot.*"}
    folder = root / "set" / "masks"
    save_mask(folder / "a (1)_spot.jpg", (8, 8, 24, 16))
    save_mask(folder / "b_spot.jpg")
    colour = np.zeros((30, 40, 4), dtype=np.uint8)
    colour[..., 3] = 255
    colour[8:16, 8:24, 0] = 200
    Image.fromarray(colour).save(folder / "c_spot.png")
    true = (Box(8, 8, 24, 16, "spot"),)
    assert [case.target.boxes for case in read(root, masks=masks)] == [true, (), true]


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"masks": {"spit": "set/{stem}.png"}}, "'spit' is not a label of task 't'; did you mean 'spot'"),
        ({"masks": {"spot": "set/mask.png"}}, "one file for all images; expected {stem}"),
        ({"masks": {}}, "needs data.boxes, a COCO file, or data.masks"),
        ({"boxes": "set/boxes.json"}, "needs data.boxes, a COCO file, or data.masks"),
    ],
)
def test_wrong_settings_are_one_line(root: Path, changed: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message.replace("{", r"\{")):
        read(root, **changed)


def test_a_mask_of_another_size_or_broken_names_file_and_case(root: Path) -> None:
    save_mask(root / "set" / "masks" / "b_spot.png", size=(20, 30))
    with pytest.raises(
        UserError, match=r"b_spot\.png of case set/\w+/b is 20 x 30 pixels, its image 40 x 30"
    ):
        read(root, unused_labels="accept")
    (root / "set" / "masks" / "b_spot.png").write_bytes(b"no picture")
    with pytest.raises(UserError, match=r"b_spot\.png of case set/\w+/b cannot be decoded"):
        read(root, unused_labels="accept")
