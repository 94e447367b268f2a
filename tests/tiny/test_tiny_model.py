"""The embedded weights: a normal, small transformers folder that can do what its card says."""

from __future__ import annotations

import pytest
from transformers import AutoModelForImageTextToText, AutoProcessor

from vrft_aug.policy.load import load_policy
from vrft_aug.recipe.model_config import ModelConfig
from vrft_aug.recipe.model_folder import TINY_FOLDER
from vrft_aug.tiny.card import measure_abilities


def test_weights_are_small_and_safe() -> None:
    files = {path.name: path.stat().st_size for path in TINY_FOLDER.iterdir()}
    assert sum(files.values()) < 10_000_000
    assert [name for name in files if name.endswith((".bin", ".pt", ".pkl"))] == []


def test_loads_as_any_transformers_model() -> None:
    model = AutoModelForImageTextToText.from_pretrained(TINY_FOLDER)
    processor = AutoProcessor.from_pretrained(TINY_FOLDER)
    assert model.config.model_type == "qwen2_5_vl"
    assert 3e6 < sum(weight.numel() for weight in model.parameters()) < 5e6
    assert len(processor.tokenizer) == model.config.text_config.vocab_size


@pytest.mark.slow
def test_follows_the_format_and_reads_definitions_better_than_chance() -> None:
    measured = measure_abilities(load_policy(ModelConfig()), pictures=60)
    form, _ = measured["answers in the format asked for"]
    assert form.value is not None and form.value > 0.9
    for modality in ("fundus", "chest"):
        told, chance = measured[f"{modality}: class by definitions in the prompt"]
        assert told.low is not None and chance is not None and told.low > chance
        boxes, _ = measured[f"{modality}: boxes, mean IoU"]
        assert boxes.low is not None and boxes.low > 0.05
