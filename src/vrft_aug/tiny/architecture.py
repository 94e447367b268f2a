"""The embedded tiny model's shape: Qwen2.5-VL's architecture and processor at about 3.5 M parameters."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from transformers import Qwen2_5_VLConfig, Qwen2_5_VLForConditionalGeneration

PATCH = 8  # pixels; two by two patches make one visual token of 16 x 16 pixels
MERGE = 2
HIDDEN = 192
HEADS, GROUPS = 6, 2  # query heads, and key-value heads
THETA = 10000.0  # base of the rotary positions
MATCHING = [group * HEADS // GROUPS for group in range(GROUPS)]  # heads that begin by looking at their like
LOUD = 5.0  # embeddings begin so many times larger than transformers makes them
PIXELS = 112 * 112  # every picture is resized to about so many pixels, keeping its shape


def new_model(vocabulary: int, special: dict[str, int], seed: int) -> Qwen2_5_VLForConditionalGeneration:
    """A tiny model with random weights; `special` maps the chat and vision tokens to their ids."""
    config = Qwen2_5_VLConfig(
        text_config={
            "vocab_size": vocabulary,
            "hidden_size": HIDDEN,
            "intermediate_size": 512,
            "num_hidden_layers": 5,
            "num_attention_heads": HEADS,
            "num_key_value_heads": GROUPS,
            "max_position_embeddings": 4096,
            "use_sliding_window": False,
            "tie_word_embeddings": True,
            "rope_parameters": {"rope_type": "default", "rope_theta": THETA, "mrope_section": [4, 6, 6]},
            "bos_token_id": special["<|endoftext|>"],
            "eos_token_id": special["<|im_end|>"],
            "pad_token_id": special["<|endoftext|>"],
        },
        vision_config={
            "depth": 5,
            "hidden_size": 128,
            "intermediate_size": 384,
            "num_heads": 4,
            "patch_size": PATCH,
            "spatial_merge_size": MERGE,
            "temporal_patch_size": 2,
            "window_size": 256,  # wider than any picture: attention over the whole picture in every layer
            "fullatt_block_indexes": [0, 1, 2, 3, 4],
            "out_hidden_size": HIDDEN,
        },
        image_token_id=special["<|image_pad|>"],
        video_token_id=special["<|video_pad|>"],
        vision_start_token_id=special["<|vision_start|>"],
        vision_end_token_id=special["<|vision_end|>"],
        tie_word_embeddings=True,
    )
    torch.manual_seed(seed)
    model = Qwen2_5_VLForConditionalGeneration(config)
    language = model.model.language_model
    with torch.no_grad():  # what a token is stays the larger part of what the layers see
        language.embed_tokens.weight *= LOUD
        language.norm.weight /= LOUD
    for layer, block in enumerate(language.layers):
        _ready_to_look_up(block.self_attn, layer, torch.Generator().manual_seed(seed + layer))
    return model


@torch.no_grad()
def _ready_to_look_up(attention: nn.Module, layer: int, random: torch.Generator) -> None:
    """Start attention near what looking something up needs, instead of waiting for it to emerge.

    In the manner of mimetic initialisation (Trockman & Kolter, Mimetic Initialization of Self-Attention
    Layers, ICML 2023): values pass through almost unchanged; from the second layer on the first head of
    each group looks at tokens like its own (queries equal keys, in the slowly turning dimensions that
    rotary positions leave comparable over a prompt); by its biases the second head looks one token back.
    """
    size, fast = HIDDEN // HEADS, 6
    frequency = torch.arange(size) % (size // 2)
    query, key, value, out = (getattr(attention, f"{name}_proj") for name in "qkvo")
    for group in range(GROUPS):
        first, rows = group * (HEADS // GROUPS), slice(group * size, (group + 1) * size)
        if layer > 0:
            key.weight[rows] = 2.0 * _orthogonal(size, random) * (frequency >= 9)[:, None]
            query.weight[first * size : (first + 1) * size] = key.weight[rows]
        value.weight[rows] = _orthogonal(size, random)
        for head in range(first, first + HEADS // GROUPS):
            out.weight[:, head * size : (head + 1) * size] = 0.1 * value.weight[rows].T
    turn = THETA ** (-torch.arange(fast) / (size / 2))  # radians a token
    key.bias[:fast] = 5.0
    query.bias[size : size + fast] = 5.0 * torch.cos(turn)
    query.bias[size + size // 2 : size + size // 2 + fast] = -5.0 * torch.sin(turn)


def _orthogonal(rows: int, random: torch.Generator) -> Tensor:
    """(rows, HIDDEN) orthonormal rows."""
    columns: Tensor = torch.linalg.qr(torch.randn(HIDDEN, rows, generator=random))[0]
    return columns.T
