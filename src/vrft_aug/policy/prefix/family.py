"""What prefix sharing has to know about a model family, and what fits the families that ship."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from vrft_aug.policy.prefix.grouping import Inputs, split_rows

TOKEN_FIELDS = frozenset({"input_ids", "attention_mask", "mm_token_type_ids", "token_type_ids"})  # (U, P)
IMAGE_FIELDS = frozenset({"pixel_values", "image_grid_thw", "pixel_attention_mask", "image_sizes"})


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


def image_inputs(prompts: Inputs) -> dict[str, Any]:
    """The images of U prompts as the images of one row, which the packed sequence is to the model."""
    images = {name: prompts[name] for name in IMAGE_FIELDS if name in prompts}
    if "image_sizes" in images:  # LLaVA-NeXT: a line an image, whatever the row
        return images
    if "pixel_values" in images and images["pixel_values"].dim() == 5:  # (U, tiles, 3, height, width)
        per_row = ("pixel_values", "pixel_attention_mask")
        return {k: v.flatten(0, 1)[None] if k in per_row else v for k, v in images.items()}
    return images


@dataclass(frozen=True)
class Family:
    """What differs between model families; a family of yours overrides what the defaults get wrong.

    Attention goes through transformers' attention functions, so that rotary embeddings, norms and wrappers
    stay the model's own. A family is exact where scores, gradients and greedy completions equal the stock
    model's; `tests/policy/prefix/test_prefix_families.py` is how ours are held to that.

    Args:
        positions: (backbone, inputs of U prompts padded on the left) -> positions (axes, U, P) for the rotary
            embeddings, one axis or three.
        blocks: inputs -> (tokens,) the image that each token of all prompts is of, -1 for none, where tokens
            of an image attend both ways; None where attention is causal throughout.
        images: inputs of U prompts -> the images as the model takes them in one row, keyword by keyword.
        split: (inputs, images of each row (B,)) -> the inputs of each row; ValueError where it cannot.
        token_fields: inputs of shape (U, P), a value a token.
        image_fields: inputs that hold images; a batch with any other field runs unshared.
    """

    positions: Callable[[Any, Inputs], torch.Tensor] = prompt_positions
    blocks: Callable[[Inputs], torch.Tensor | None] = image_blocks
    images: Callable[[Inputs], dict[str, Any]] = image_inputs
    split: Callable[[Inputs, Sequence[int]], list[dict[str, Any]]] = split_rows
    token_fields: frozenset[str] = TOKEN_FIELDS
    image_fields: frozenset[str] = IMAGE_FIELDS
