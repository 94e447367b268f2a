"""What a model sees, computed from settings, equals what transformers' processors do."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vrft_aug.errors import UserError
from vrft_aug.perception.model_view import MAX_PIXELS, MIN_PIXELS, model_view
from vrft_aug.perception.spaces import patch_grid_size
from vrft_aug.recipe.model_config import ModelConfig

SIDE = st.integers(1, 4000)


@given(SIDE, SIDE, st.sampled_from([16, 28, 32]), st.integers(1_000, 500_000), st.integers(0, 2_000_000))
def test_sizes_equal_transformers(width: int, height: int, factor: int, smallest: int, span: int) -> None:
    from transformers.models.qwen2_vl.image_processing_qwen2_vl import smart_resize

    try:
        rows, columns = smart_resize(height, width, factor, smallest, smallest + span)
    except ValueError:
        with pytest.raises(UserError, match="too narrow"):
            patch_grid_size((width, height), factor, smallest, smallest + span)
        return
    assert patch_grid_size((width, height), factor, smallest, smallest + span) == (columns, rows)


def test_hub_names_are_taken_for_their_family() -> None:
    view = model_view(ModelConfig(name="Qwen/Qwen2.5-VL-3B-Instruct"))
    assert (view.space.name, view.factor, view.min_pixels, view.max_pixels) == (
        "processed", 28, MIN_PIXELS, MAX_PIXELS,
    )  # fmt: skip
    assert view.frame((224, 224)).processed == (224, 224)
    assert view.image_tokens((224, 224)) == 64
    assert model_view(ModelConfig(name="Qwen/Qwen2-VL-2B-Instruct")).space.name == "thousandths"
    assert model_view(ModelConfig(name="Qwen/Qwen3-VL-4B-Instruct")).factor == 32
    smaller = model_view(ModelConfig(name="Qwen/Qwen2.5-VL-3B-Instruct", max_pixels=100_000))
    assert smaller.frame((1000, 1000)).processed == (308, 308)


def test_folders_are_read_as_either_transformers_writes_them(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "qwen2_5_vl"}))
    with pytest.raises(UserError, match=r"preprocessor_config\.json"):
        model_view(ModelConfig(name=str(tmp_path)))
    old = {"patch_size": 14, "merge_size": 2, "min_pixels": 3136, "max_pixels": 200_000}
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(old))
    assert model_view(ModelConfig(name=str(tmp_path))).max_pixels == 200_000
    size = {"shortest_edge": 12_544, "longest_edge": 12_544}
    new = {"image_processor": {"patch_size": 8, "merge_size": 2, "size": size}}
    (tmp_path / "processor_config.json").write_text(json.dumps(new))
    view = model_view(ModelConfig(name=str(tmp_path)))
    assert (view.factor, view.frame((512, 340)).processed) == (16, (128, 80))


def test_frames_and_tokens_equal_those_of_a_loaded_model(tmp_path: Path) -> None:
    from helpers.random_policy import save_random_policy
    from vrft_aug.policy.load import load_policy

    folder = str(save_random_policy(tmp_path))
    for config in (ModelConfig(name=folder), ModelConfig(name=folder, max_pixels=40_000)):
        policy, view = load_policy(config), model_view(config)
        assert view.space == policy.space
        for size in [(28, 28), (512, 340), (100, 701)]:
            assert view.frame(size).processed == policy.frame(size).processed


def test_pixel_limits_that_would_change_nothing_are_refused() -> None:
    with pytest.raises(UserError, match=r"model\.max_pixels is 50176, but models of type gemma3"):
        model_view(ModelConfig(name="google/gemma-3-4b-it", max_pixels=50176))
    assert model_view(ModelConfig(name="Qwen/Qwen2.5-VL-3B-Instruct", max_pixels=50176)).max_pixels == 50176
