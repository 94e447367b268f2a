"""`vrft prompt` on families behind their true processors: tokens of pictures, and what is resized away."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from helpers import family_works, true_families
from vrft_aug.cli import app
from vrft_aug.nouns import Box, Case, Target
from vrft_aug.perception.model_view import model_view
from vrft_aug.preview.prompt_view import view_prompt
from vrft_aug.preview.resized_away import resized_away
from vrft_aug.recipe.file import save_recipe
from vrft_aug.recipe.model_config import ModelConfig


@pytest.mark.parametrize("family", true_families.FAMILIES)
def test_tokens_of_pictures_are_the_processors(family: str, tmp_path: Path) -> None:
    if (reason := true_families.why_absent(family)) is not None:
        pytest.skip(reason)
    folder = true_families.save_family(family, tmp_path)
    view = view_prompt(family_works.recipe_of(folder, "float32"))
    assert len(view.images) == 2 and view.tokens is not None
    tokens = [image.tokens for image in view.images]
    assert sum(token or 0 for token in tokens) == view.parts["image"] > 0
    assert sum(view.parts.values()) == view.tokens
    assert len(view.text) < 1500 and " x " in view.text  # image tokens are counted, not written
    assert not any("processor makes" in line for line in view.warnings)


def test_a_family_that_is_not_known_is_not_taken_for_another() -> None:
    recipe = family_works.recipe_of(Path("a"), "float32")
    recipe = recipe.model_copy(update={"model": ModelConfig(name="someone/new-vl")})
    view = view_prompt(recipe, load=False)
    assert [image.tokens for image in view.images] == [None, None]
    assert view.images[0].processed == view.images[0].original


def case(*boxes: Box) -> Case:
    return Case(id="c", images=(), target=Target(boxes=boxes or None))


@pytest.mark.parametrize(
    ("name", "boxes", "told"),
    [
        ("google/gemma-3-4b-it", (), "at 21% of its sides: a lesion of 40 pixels becomes 8.4; this"),
        (
            "google/gemma-3-4b-it", (Box(0, 0, 400, 300), Box(0, 0, 12, 20)),
            "its smallest box, 12 x 20 pixels, becomes 2.5 x 6.3",
        ),
        ("Qwen/Qwen2.5-VL-3B-Instruct", (Box(0, 0, 3, 50),), "becomes 3.0 x 50.0; cut the pictures"),
    ],
)  # fmt: skip
def test_what_is_resized_away_is_told(name: str, boxes: tuple[Box, ...], told: str) -> None:
    view = model_view(ModelConfig(name=name))
    (line,) = resized_away(view, case(*boxes), [(4288, 2848)] if "gemma" in name else [(1120, 1120)])
    assert told in line and len(line) < 300


def test_what_is_large_enough_is_not_told() -> None:
    view = model_view(ModelConfig(name="Qwen/Qwen2.5-VL-3B-Instruct"))
    assert list(resized_away(view, case(Box(0, 0, 40, 40)), [(1120, 1120), (28, 28)])) == []
    small = replace(view, max_pixels=28 * 28 * 4)
    assert len(list(resized_away(small, case(), [(1120, 1120), (1120, 1120)]))) == 2


def test_the_command_tells_it(tmp_path: Path) -> None:
    recipe = family_works.recipe_of(Path("tiny"), "float32")
    model: dict[str, Any] = {"model": ModelConfig(name="tiny", device="cpu", max_pixels=32 * 32)}
    save_recipe(recipe.model_copy(update=model), tmp_path / "mine.yaml")
    ran = CliRunner().invoke(app, ["prompt", str(tmp_path / "mine.yaml"), "--no-tokens"])
    assert ran.exit_code == 0, ran.output
    assert "warning: image 120 x 120 is seen at 27% of its sides" in ran.output
