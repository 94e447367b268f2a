"""Sampling that prefills each prompt once: a decoding loop for transformers' own `generate`.

`model.generate(**unique_prompts, custom_generate=decode_groups, group=index)` keeps everything that
transformers prepares (image features, positions, logits processors, stopping criteria) and replaces the loop.
"""

from __future__ import annotations

from typing import Any

import torch

from vrft_aug.policy.prefix.attention import PackedAttention, attending
from vrft_aug.policy.prefix.decoder_step import agrees, decoder_step, held
from vrft_aug.policy.prefix.decoding import DecodingAttention
from vrft_aug.policy.prefix.families import family_of
from vrft_aug.policy.prefix.packing import Completions, pack, sequence_inputs
from vrft_aug.policy.row_noise import RowNoise, draw


def decode_groups(
    model: Any,
    input_ids: torch.Tensor,
    logits_processor: Any,
    stopping_criteria: Any,
    generation_config: Any,
    group: torch.Tensor,
    log_probs: list[torch.Tensor] | None = None,
    noise: RowNoise | None = None,
    **state: Any,
) -> torch.Tensor:
    """Continue prompt `group[b]` for every row b; returns the sequences (B, P + new tokens).

    `input_ids` (U, P) are the unique prompts, padded on the left; `group` (B,) may name a prompt any number
    of times. Greedy or sampled as `generation_config` says. A finished sequence leaves the batch at once, and
    is padded on the right in what is returned. `log_probs` gets one tensor (B, new tokens): of each token in
    the distribution that it was drawn from. With `noise` each row is drawn by numbers of its own, whatever
    else is in the batch; without, by torch's.
    """
    first = length = input_ids.shape[1]
    logits, position, attention = _prefill(model, {**state, "input_ids": input_ids}, group)
    pad = generation_config._pad_token_tensor
    sequences = input_ids.new_full((len(group), stopping_criteria.max_length), 0 if pad is None else int(pad))
    sequences[:, :length] = input_ids[group]
    told = logits.new_zeros(len(group), stopping_criteria.max_length - length, dtype=torch.float32)
    live, running = None, sequences  # which rows are not finished, None for all; what they have written
    step = decoder_step(model, attention, position)
    with attending(model, attention):
        while True:
            scores = logits_processor(running[:, :length], logits.float())
            chance = (
                noise.of(live, length - first) if noise is not None and generation_config.do_sample else None
            )
            token, probability = _draw(scores, generation_config.do_sample, chance)
            told[slice(None) if live is None else live, length - first] = probability
            running[:, length] = token
            length += 1
            done = stopping_criteria(running[:, :length], None)
            ended = int(done.sum())
            if live is not None and ended:
                sequences[live[done]] = running[done]
            if ended == len(done):
                if log_probs is not None:
                    log_probs.append(told[:, : length - first].log())
                return sequences[:, :length]
            if ended:
                stay = (~done).nonzero().squeeze(1)
                live = stay if live is None else live[stay]
                running, token, position = running[stay], token[stay], position[stay]
                attention.keep_rows(stay)
                if step is not None:
                    step.keep_rows(stay)
            attention.written += 1
            if step is not None and not held(model):
                # What is drawn must not depend on when this is: a resumed run holds them side by side anew.
                own = _forward(model, token, position)
                step = step if agrees(model, step.trial(token), own) else None
            logits = _forward(model, token, position) if step is None else step.logits(token)
            position = position + 1


def _forward(model: Any, token: torch.Tensor, position: torch.Tensor) -> torch.Tensor:
    """Logits (B, V) after one more token in each row; its keys are written over what stands at its place."""
    outputs = model(input_ids=token[:, None], position_ids=position[:, None], use_cache=False)
    logits: torch.Tensor = outputs.logits[:, -1]
    return logits


def _prefill(
    model: Any, prompts: dict[str, Any], group: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor, DecodingAttention]:
    """Logits (B, V) of each row's first token, its position (B,), and the attention to the prompts."""
    family, ids, positions = family_of(model), prompts["input_ids"], prompts["position_ids"]
    if (mask := prompts.get("attention_mask")) is None:  # `generate` drops it where nothing is padded
        mask = torch.ones_like(ids)
    positions = positions[None] if positions.dim() == 2 else positions[-3:]  # an axis for text may come first
    nothing = Completions(ids[:0, :0], mask[:0, :0], group[:0])
    packed = pack(ids, mask, positions, nothing)
    attention = PackedAttention(packed, family.blocks({**prompts, "attention_mask": mask}), keep=True)
    features = prompts.get("mm_encoder_outputs")  # `generate` has run the vision tower
    images = family.images(prompts) if not features else {"mm_encoder_outputs": features}
    with attending(model, attention):
        outputs = model(
            **sequence_inputs(packed), **images, use_cache=False, logits_to_keep=packed.prompts.last
        )
    logits = outputs.logits[0].index_select(0, group)
    return logits, packed.after[group], DecodingAttention(attention.kept, packed.prompts, group)


def _draw(
    scores: torch.Tensor, sample: bool, chance: torch.Tensor | None
) -> tuple[torch.Tensor, torch.Tensor]:
    """A token (B,) from scores (B, V), and its probability; by `chance` (B,) in [0, 1) or by torch."""
    probabilities = scores.softmax(dim=-1)
    if chance is not None:
        chosen = draw(probabilities, chance)
    elif sample:
        chosen = torch.multinomial(probabilities, num_samples=1)
    else:
        chosen = scores.argmax(-1, keepdim=True)
    return chosen.squeeze(1), probabilities.gather(1, chosen).squeeze(1)
