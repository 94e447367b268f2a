"""Tiles, crops and squares, computed from settings, are what transformers' processors make of a picture."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from helpers import true_families
from vrft_aug.perception import picture_cuts
from vrft_aug.perception.model_view import model_view
from vrft_aug.recipe.model_config import ModelConfig

SIZES = [
    (28, 28),
    (512, 340),
    (100, 701),
    (64, 64),
    (65, 64),
    (128, 128),
    (129, 40),
    (1000, 37),
    (4288, 2848),
]


def sizes() -> list[tuple[int, int]]:
    draw = random.Random(0)
    return [*SIZES, *((draw.randint(8, 900), draw.randint(8, 900)) for _ in range(25))]


@pytest.mark.parametrize("family", true_families.FAMILIES)
def test_tokens_equal_those_of_the_true_processor(family: str, tmp_path: Path) -> None:
    from transformers import AutoProcessor

    if (reason := true_families.why_absent(family)) is not None:
        pytest.skip(reason)
    folder = true_families.save_family(family, tmp_path)
    processor, view = AutoProcessor.from_pretrained(folder), model_view(ModelConfig(name=str(folder)))
    image = next(
        owner.image_token_id
        for owner in (processor.tokenizer, processor)
        if getattr(owner, "image_token_id", None) is not None
    )
    for size in sizes():
        token = getattr(processor, "boi_token", None) or processor.image_token
        text = f"{token}a"
        made: Any = processor(images=[[Image.new("RGB", size)]], text=[text], return_tensors="pt")
        assert view.image_tokens(size) == made["input_ids"][0].tolist().count(image), size


def test_what_is_seen_of_a_picture() -> None:
    assert picture_cuts.GEMMA3.seen((4288, 2848)) == (896, 896)
    assert picture_cuts.SMOLVLM_SMALL.seen((4288, 2848)) == (2048, 1536)
    assert picture_cuts.SMOLVLM_SMALL.image_tokens((4288, 2848)) == (4 * 3 + 1) * 64
    assert picture_cuts.LLAVA_NEXT.seen((1000, 500)) == (672, 336)
    width, height = picture_cuts.LLAVA_NEXT.seen((4288, 2848))
    assert (width, height) == (672, 447)


@pytest.mark.parametrize(
    ("name", "cut"),
    [
        ("HuggingFaceTB/SmolVLM-256M-Instruct", picture_cuts.SMOLVLM_SMALL),
        ("HuggingFaceTB/SmolVLM-Instruct", picture_cuts.SMOLVLM),
        ("HuggingFaceM4/Idefics3-8B-Llama3", picture_cuts.IDEFICS3),
        ("google/gemma-3-4b-it", picture_cuts.GEMMA3),
        ("llava-hf/llava-v1.6-mistral-7b-hf", picture_cuts.LLAVA_NEXT),
        ("Qwen/Qwen2.5-VL-7B-Instruct", None),
    ],
)
def test_hub_names_are_taken_for_their_published_settings(name: str, cut: picture_cuts.Cut | None) -> None:
    assert model_view(ModelConfig(name=name)).cut == cut
