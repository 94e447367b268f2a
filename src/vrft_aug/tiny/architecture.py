"""The embedded tiny model's shape: Qwen2.5-VL's architecture and processor at about 3.5 M parameters."""

from __future__ import annotations

import torch
from transformers import Qwen2_5_VLConfig, Qwen2_5_VLForConditionalGeneration

PATCH = 8  # pixels; two by two patches make one visual token of 16 x 16 pixels
MERGE = 2
HIDDEN = 192
PIXELS = 112 * 112  # every picture is resized to about so many pixels, keeping its shape


def new_model(vocabulary: int, special: dict[str, int], seed: int) -> Qwen2_5_VLForConditionalGeneration:
    """A tiny model with random weights; `special` maps the chat and vision tokens to their ids."""
    config = Qwen2_5_VLConfig(
        text_config={
            "vocab_size": vocabulary,
            "hidden_size": HIDDEN,
            "intermediate_size": 512,
            "num_hidden_layers": 5,
            "num_attention_heads": 6,
            "num_key_value_heads": 2,
            "max_position_embeddings": 4096,
            "use_sliding_window": False,
            "tie_word_embeddings": True,
            "rope_parameters": {"rope_type": "default", "rope_theta": 10000.0, "mrope_section": [4, 6, 6]},
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
    return Qwen2_5_VLForConditionalGeneration(config)
