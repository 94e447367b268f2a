"""What prefix sharing has to know about a model family: positions, image attention, image inputs."""

from __future__ import annotations

from typing import Any

import torch

from vrft_aug.policy.prefix.grouping import Inputs
from vrft_aug.policy.prefix.packing import Packed

# config.model_type of the models that are tested to be exact
FAMILIES = ("qwen2_vl", "qwen2_5_vl", "qwen3_vl", "smolvlm", "idefics3", "gemma3")
TOKEN_FIELDS = {"input_ids", "attention_mask", "mm_token_type_ids", "token_type_ids"}  # (U, P)
IMAGE_FIELDS = {"pixel_values", "image_grid_thw", "pixel_attention_mask"}


def why_not_model(model: Any) -> str | None:
    """Why prefix sharing cannot be used with this transformers model, or None where it can."""
    config = model.config
    if config.model_type not in FAMILIES:
        return f"model family {config.model_type!r} is not among {', '.join(FAMILIES)}"
    text = config.get_text_config()
    if getattr(text, "attention_dropout", 0):
        return "the model has attention dropout"
    if getattr(text, "attn_logit_softcapping", None):
        return "the model caps its attention scores"
    return None


def prompt_positions(backbone: Any, prompts: Inputs) -> torch.Tensor:
    """Positions (axes, U, P) for the rotary embeddings of prompts padded on the left.

    Three axes with multimodal rope, else one.
    """
    ids, mask = prompts["input_ids"], prompts["attention_mask"]
    grids, types = prompts.get("image_grid_thw"), prompts.get("mm_token_type_ids")
    positions: torch.Tensor
    if grids is not None and types is not None and hasattr(backbone, "get_rope_index"):
        positions, _ = backbone.get_rope_index(ids, types, image_grid_thw=grids, attention_mask=mask)
    else:
        positions = (mask.long().cumsum(dim=-1) - 1).clamp(min=0)[None]
    return positions


def image_blocks(prompts: Inputs) -> torch.Tensor | None:
    """The index of the image that each token of U prompts is of, -1 for none; without padding, (tokens,).

    None for families without attention both ways inside an image; Gemma's processor marks images.
    """
    types = prompts.get("token_type_ids")
    if types is None:
        return None
    image = (types == 1) & prompts["attention_mask"].bool()
    before = torch.nn.functional.pad(image, (1, 0))[:, :-1]
    blocks = torch.where(image, (image & ~before).cumsum(dim=1) - 1, -1)
    return blocks[prompts["attention_mask"].bool()]


def sequence_inputs(packed: Packed) -> dict[str, Any]:
    """The packed tokens as a batch of one row."""
    positions = (
        packed.positions if len(packed.positions) == 1 else packed.positions[:, None]
    )  # (1, T) or (3, 1, T)
    return {"input_ids": packed.ids[None], "position_ids": positions}


def image_inputs(prompts: Inputs) -> dict[str, Any]:
    """The images of U prompts as the images of one row, which the packed sequence is to the model."""
    images = {name: prompts[name] for name in IMAGE_FIELDS if name in prompts}
    if "pixel_values" in images and images["pixel_values"].dim() == 5:  # (U, tiles, 3, height, width)
        per_row = ("pixel_values", "pixel_attention_mask")
        return {k: v.flatten(0, 1)[None] if k in per_row else v for k, v in images.items()}
    return images
