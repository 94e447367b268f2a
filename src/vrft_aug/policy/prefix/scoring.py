"""Log-probabilities of completions, with and without gradients, from one pass over the packed sequence."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from types import SimpleNamespace
from typing import Any

import torch

from vrft_aug.policy.prefix.attention import PackedAttention, attending
from vrft_aug.policy.prefix.families import family_of
from vrft_aug.policy.prefix.flex import takes_flex
from vrft_aug.policy.prefix.grouping import Groups, Inputs, join_rows
from vrft_aug.policy.prefix.packing import Completions, pack, sequence_inputs
from vrft_aug.policy.prefix.patching import swapped


def score_completions(
    model: Any,
    causal: Any,
    rows: Sequence[Inputs],
    groups: Groups,
    ids: torch.Tensor,
    mask: torch.Tensor,
) -> tuple[torch.Tensor, torch.Tensor | None]:
    """Log-probabilities and entropies (B, C) of completions `ids` (B, C); 0 where `mask` is 0.

    `rows` are the inputs of each completion's prompt, padded on the left; those of a group in `groups` are
    equal and run once. `model` is called, so that its wrappers see it; `causal` is the transformers model
    inside, with TRL's fused head.
    """
    family = family_of(causal)
    prompts = join_rows([rows[row] for row in groups.first])
    prompt = torch.tensor(groups.index, device=ids.device)
    backbone = causal.base_model
    # Stock fails on a completion with the token of an image that is not there; here it reads as padding.
    readable = ids.masked_fill(ids == getattr(causal.config, "image_token_id", -1), 0)
    packed = pack(
        prompts["input_ids"],
        prompts["attention_mask"],
        family.positions(backbone, prompts),
        Completions(readable, mask, prompt),
    )
    predictors, labels = packed.predictors, ids[mask.bool()]
    if len(labels) == 0:  # nothing to score: a zero that is connected to the model
        predictors, labels = packed.prompts.last[:1], labels.new_full((1,), -100)
    flex = takes_flex(causal, ids.device)
    attention = PackedAttention(packed, family.blocks(prompts), flex=flex)
    chosen = partial(_chosen_states, backbone.forward, predictors)
    with attending(causal, attention), swapped(backbone, "forward", chosen):
        # Labels that are not to be shifted: TRL's fused head scores one hidden state against each.
        outputs = model(
            **sequence_inputs(packed), **family.images(prompts), shift_labels=labels[None], fused_lm_head=True
        )
    return _rows(outputs.log_probs, mask), None if outputs.entropy is None else _rows(outputs.entropy, mask)


def _chosen_states(stock: Callable[..., Any], places: torch.Tensor, **inputs: Any) -> SimpleNamespace:
    """The backbone's forward, returning the states at `places` (N,) of the sequence alone, (1, N, H)."""
    states = stock(**inputs).last_hidden_state
    return SimpleNamespace(last_hidden_state=states.index_select(1, places))


def _rows(scores: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """From the scored tokens (1, N) to rows (B, C)."""
    return scores.new_zeros(mask.shape).masked_scatter(mask.bool(), scores[0])
