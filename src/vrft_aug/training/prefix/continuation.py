"""Completions that continue prompts which ran once: the forward and backward pass of prefix sharing.

The backbone runs over the unique prompts with a cache and with gradients; the cache is repeated (a
differentiable copy) and the completions run against it. Gradients of all completions of a group meet in the
keys and values of its prompt and flow on into the prompt's tokens and the vision tower once.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

from vrft_aug.training.prefix.rows import Inputs

Forward = Callable[..., Any]  # the forward of a backbone, returning last_hidden_state and past_key_values


@dataclass(frozen=True)
class Completions:
    """B completions of U prompts."""

    ids: torch.Tensor  # (B, C) token ids, padded on the right
    mask: torch.Tensor  # (B, C) 1 for a token, 0 for padding
    prompt: torch.Tensor  # (B,) which of the U prompts each one continues


def hidden_states_after(
    prompts: Inputs, completions: Completions, *, backbone: Any, forward: Forward
) -> torch.Tensor:
    """The last hidden states (B, C, H) that predict each token of the completions.

    `prompts` are the inputs of the U unique prompts: input_ids and attention_mask (U, P), padded on the left,
    and their images; `forward` is the backbone's own forward. The token at c is predicted by the state at
    c - 1, the first one by the last state of its prompt: the last token of a completion is never run.
    """
    positions, next_position = prompt_positions(backbone, prompts)
    outputs = forward(**prompts, position_ids=positions, use_cache=True)
    first: torch.Tensor = outputs.last_hidden_state[:, -1:].index_select(0, completions.prompt)
    ids = completions.ids[:, :-1]
    if ids.shape[1] == 0:
        return first
    cache = outputs.past_key_values
    cache.reorder_cache(completions.prompt)  # selects rows: repeats what several completions share
    mask = prompts["attention_mask"].index_select(0, completions.prompt)
    offsets = torch.arange(ids.shape[1], device=ids.device)
    rest = forward(
        input_ids=ids,
        attention_mask=torch.cat([mask, completions.mask[:, :-1].to(mask.dtype)], dim=1),
        position_ids=(next_position[completions.prompt, None] + offsets).expand(3, -1, -1),
        past_key_values=cache,
        use_cache=True,
    )
    return torch.cat([first, rest.last_hidden_state], dim=1)


def prompt_positions(backbone: Any, prompts: Inputs) -> tuple[torch.Tensor, torch.Tensor]:
    """Multimodal rope positions (3, U, P) of the prompts, and the position (U,) that follows each of them."""
    ids, mask = prompts["input_ids"], prompts["attention_mask"]
    grids, types = prompts.get("image_grid_thw"), prompts.get("mm_token_type_ids")
    if grids is None or types is None:  # text alone: one number per token, whatever its axis
        positions = (mask.long().cumsum(dim=-1) - 1).clamp(min=0)
        return positions.expand(3, -1, -1), mask.sum(dim=1)
    positions, deltas = backbone.get_rope_index(ids, types, image_grid_thw=grids, attention_mask=mask)
    return positions, mask.sum(dim=1) + deltas.squeeze(1)
