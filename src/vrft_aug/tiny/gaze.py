"""Where a model looks as it writes a box: supervision of a few attention heads, without keeping attention.

Which picture token a coordinate is read off does not emerge in the few steps that a small build has; shown
to some heads it does. Attention is computed anew for the few tokens of interest only, so that the model
itself may use a fused kernel that tells nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from transformers.models.qwen2_5_vl.modeling_qwen2_5_vl import apply_rotary_pos_emb

LAYERS = (2, 3)  # after what was asked for has been gathered, before the numbers are written
HEADS = (1, 2, 4, 5)  # not those that look at their like


@dataclass(frozen=True)
class Gaze:
    """Tokens that are to look somewhere: their rows and places (N,), and where (N, T), True at the goal."""

    rows: Tensor
    places: Tensor
    goal: Tensor


@contextmanager
def watched(language: Any) -> Iterator[list[dict[str, Any]]]:
    """What goes into the attention of the layers that are shown where to look, a dict each, as it runs."""
    seen: list[dict[str, Any]] = []

    def keep(module: Any, given: tuple[Any, ...], named: dict[str, Any]) -> None:
        seen.append({"module": module, **named})

    hooks = [
        language.layers[layer].self_attn.register_forward_pre_hook(keep, with_kwargs=True) for layer in LAYERS
    ]
    try:
        yield seen
    finally:
        for hook in hooks:
            hook.remove()


def astray(seen: Sequence[dict[str, Any]], gaze: Gaze) -> Tensor:
    """How little the watched heads look where they should: the mean -log of the share there."""
    return -torch.stack([_log_share(**attention, gaze=gaze) for attention in seen]).mean()


def _log_share(
    module: Any,
    hidden_states: Tensor,
    attention_mask: Tensor,
    position_embeddings: tuple[Tensor, Tensor],
    gaze: Gaze,
    **_: Any,
) -> Tensor:
    """(N, heads): the logarithm of the share of attention that goes to the goal."""
    size = module.head_dim
    batch, length, _width = hidden_states.shape
    rows, places = gaze.rows, gaze.places
    query = module.q_proj(hidden_states[rows, places]).view(len(rows), 1, -1, size).transpose(1, 2)
    key = module.k_proj(hidden_states).view(batch, length, -1, size).transpose(1, 2)
    cos, sin = position_embeddings
    key, _same = apply_rotary_pos_emb(key, key, cos, sin)
    query, _same = apply_rotary_pos_emb(query, query, cos[rows, places, None], sin[rows, places, None])
    group = query.shape[1] // key.shape[1]
    heads = list(HEADS)
    chosen = key[:, [head // group for head in heads]]  # (B, heads, T, size)
    scores = torch.einsum("nhd,nhtd->nht", query[:, heads, 0], chosen[rows]) * module.scaling
    scores = scores + attention_mask[rows, 0, places][:, None]
    shares: Tensor = scores.log_softmax(-1).masked_fill(~gaze.goal[:, None], -torch.inf).logsumexp(-1)
    return shares
