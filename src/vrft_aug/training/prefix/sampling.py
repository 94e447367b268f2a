"""Sampling that prefills each prompt once: a decoding loop for transformers' own `generate`.

`model.generate(**unique_prompts, custom_generate=decode_groups, group=index)` keeps everything that
transformers prepares (positions, cache, logits processors, stopping criteria) and replaces the loop.
"""

from __future__ import annotations

from typing import Any

import torch

from vrft_aug.training.prefix.attention import SharedPrompts, attending
from vrft_aug.training.prefix.rows import FLAT_FIELDS


def decode_groups(
    model: Any,
    input_ids: torch.Tensor,
    logits_processor: Any,
    stopping_criteria: Any,
    generation_config: Any,
    group: torch.Tensor,
    **state: Any,
) -> torch.Tensor:
    """Continue prompt `group[b]` for every row b; returns the sequences (B, P + new tokens).

    `input_ids` (U, P) are the unique prompts, padded on the left; `group` (B,) may name a prompt any number
    of times. Greedy or sampled as `generation_config` says. A finished sequence leaves the batch at once, and
    is padded on the right in what is returned. For models with full attention in every layer.
    """
    from transformers import DynamicCache

    inputs = model.prepare_inputs_for_generation(input_ids, is_first_iteration=True, **state)
    outputs = model(**inputs, return_dict=True)
    state = model._update_model_kwargs_for_generation(outputs, state)
    layers = [(layer.keys, layer.values) for layer in state["past_key_values"].layers]
    mask = inputs.get("attention_mask")
    prompts = SharedPrompts(layers, mask, group)
    state["past_key_values"] = DynamicCache(config=model.config)  # of what each row writes itself
    state = select_rows(state, group)
    logits = outputs.logits[:, -1].index_select(0, group)

    length = input_ids.shape[1]
    pad = generation_config._pad_token_tensor
    sequences = input_ids.new_full((len(group), stopping_criteria.max_length), 0 if pad is None else int(pad))
    sequences[:, :length] = input_ids[group]
    live = torch.arange(len(group), device=group.device)  # the rows that are not finished
    with attending(model, prompts):
        while True:
            scores = logits_processor(sequences[live, :length], logits.float())
            sequences[live, length] = _draw(scores, generation_config.do_sample)
            length += 1
            done = stopping_criteria(sequences[live, :length], None)
            if done.all():
                return sequences[:, :length]
            if done.any():
                stay = (~done).nonzero().squeeze(1)
                live, state = live[stay], select_rows(state, stay)
                prompts.seat_rows(group[live])
            inputs = model.prepare_inputs_for_generation(
                sequences[live, :length], next_sequence_length=1, **state
            )
            outputs = model(**inputs, return_dict=True)
            state = model._update_model_kwargs_for_generation(outputs, state)
            logits = outputs.logits[:, -1]


def select_rows(state: dict[str, Any], rows: torch.Tensor) -> dict[str, Any]:
    """What `generate` carries from token to token, for these rows (repeats allowed); the cache in place.

    The images are left out: they are in the cache of the prompts.
    """
    state["past_key_values"].reorder_cache(rows)
    chosen = {k: v for k, v in state.items() if k not in FLAT_FIELDS}
    for name, value in chosen.items():
        if name == "position_ids":  # (B, L), or (axes, B, L) with multimodal rope
            chosen[name] = value.index_select(value.dim() - 2, rows)
        elif isinstance(value, torch.Tensor):
            chosen[name] = value.index_select(0, rows)
    return chosen


def _draw(scores: torch.Tensor, sample: bool) -> torch.Tensor:
    if not sample:
        return scores.argmax(dim=-1)
    return torch.multinomial(scores.softmax(dim=-1), num_samples=1).squeeze(1)
