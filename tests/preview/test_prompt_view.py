"""What `vrft prompt` says of boxes: which pixels are meant, in words a person understands."""

from pathlib import Path

import pytest

from helpers.data_files import COCO, recipe_mapping, save_coco
from vrft_aug.preview.prompt_view import view_prompt
from vrft_aug.recipe.file import load_recipe
from vrft_aug.recipe.schema import Recipe


@pytest.mark.parametrize(
    ("space", "words", "written"),
    [
        ("processed",
         "pixels of the picture as the model sees it, after resizing: x from 0 to 144, y from 0 to 112",
         "[36, 56, 72, 112]"),
        ("original", "pixels of the picture as it lies on disk: x from 0 to 40, y from 0 to 30",
         "[10, 15, 20, 30]"),
        ("thousandths", "thousandths of the picture's width and height: x from 0 to 1000, y from 0 to 1000",
         "[250, 500, 500, 1000]"),
        ("unit", "shares of the picture's width and height: x from 0 to 1, y from 0 to 1",
         "[0.25, 0.5, 0.5, 1]"),
    ],
)  # fmt: skip
def test_boxes_are_told_in_words_with_a_true_one(
    tmp_path: Path, space: str, words: str, written: str
) -> None:
    save_coco(tmp_path, {f"i{i}.png": [("spot", [10, 15, 10, 15])] for i in range(40)})  # of 40 x 30 pixels
    mapping = recipe_mapping(tmp_path, "localise", ["spot"], COCO)
    mapping["model"] = {"name": "tiny", "coordinates": space}
    said = view_prompt(Recipe.model_validate(mapping), load=False).boxes
    assert said.startswith(f"boxes are asked for in {words}")
    assert said.endswith(f". The true box of spot, in the data [10, 15, 20, 30], is {written} to the model")
    assert ("the original has 40 x 30" in said) == (space != "original")


def test_of_other_tasks_nothing_is_said_of_boxes() -> None:
    assert view_prompt(load_recipe("fundus-demo"), load=False).boxes == ""
