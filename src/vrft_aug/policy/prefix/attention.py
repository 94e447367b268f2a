"""Attention of completions to prompts that they share, while training; `decoding` has that of sampling.

Both are attention functions for transformers, which takes any function by name; the model's own code, its
rotary embeddings and its wrappers stay as they are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch.nn.functional import scaled_dot_product_attention as sdpa

from vrft_aug.policy.prefix.flex import layout_of
from vrft_aug.policy.prefix.packing import Packed
from vrft_aug.policy.prefix.patching import swapped
from vrft_aug.policy.prefix.row_order import Seats
from vrft_aug.policy.prefix.split_softmax import MergedAttention

NAME = "vrft_shared_prompts"  # under which transformers finds the attention while `attending` is open
Attention = Callable[..., tuple[torch.Tensor, None]]


class PackedAttention:
    """Attention in a packed sequence: prompts to themselves, completions to their prompt and themselves.

    Args:
        packed: the sequence: U prompts, B completions.
        blocks: (prompts' tokens,) the image that each of them is of, -1 for none: tokens of an image attend
            to each other both ways. None for models that are causal throughout.
        keep: whether `kept` collects keys and values of the prompts (U, K, P, D), layer after layer.
        flex: whether all runs in one call of flex_attention, see flex.py.
    """

    def __init__(
        self, packed: Packed, blocks: torch.Tensor | None = None, keep: bool = False, flex: bool = False
    ) -> None:
        self.layout = layout_of(packed, blocks) if flex else None
        self.prompts, self.completions, self.prompt = packed.prompts, packed.completions, packed.prompt
        self.blocks = None if blocks is None else packed.prompts.split(blocks)
        self.seats = Seats(packed.prompt, len(packed.prompts.lengths)) if packed.completions.size else None
        self.keep = keep
        self.kept: list[tuple[torch.Tensor, torch.Tensor]] = []

    def __call__(
        self,
        module: Any,
        query: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
        attention_mask: None,
        scaling: float,
        sliding_window: int | None = None,
        **unused: Any,
    ) -> tuple[torch.Tensor, None]:
        """Queries (1, H, T, D), keys and values (1, K, T, D) of the whole sequence; returns (1, T, H, D)."""
        query, key, value = one_type(query, key, value)
        if self.layout is not None:
            return self.layout.attend(query, key, value, scaling, sliding_window).transpose(1, 2), None
        sequence = [x[0].transpose(0, 1) for x in (query, key, value)]  # (T, heads, D)
        query, key, value = (self.prompts.split(x).transpose(1, 2) for x in sequence)  # (U, heads, P, D)
        if self.keep:
            self.kept.append((key.contiguous(), value.contiguous()))
        shared = query.shape[1] // key.shape[1]
        mask = self._prompt_mask(sliding_window)
        output = sdpa(
            query, _repeat(key, shared), _repeat(value, shared), mask, is_causal=mask is None, scale=scaling
        )
        outputs = [self.prompts.join(output.transpose(1, 2))]
        if self.completions.size:
            written = [self.completions.split(x).transpose(1, 2) for x in sequence]  # (B, heads, C, D)
            output = self._continue(written, (key, value), scaling, sliding_window)
            outputs.append(self.completions.join(output.transpose(1, 2)))
        return torch.cat(outputs)[None], None

    def _continue(
        self,
        written: Sequence[torch.Tensor],
        prompt: Sequence[torch.Tensor],
        scaling: float,
        window: int | None,
    ) -> torch.Tensor:
        """Query, key and value (B, heads, C, D) after key and value (U, K, P, D); returns (B, H, C, D)."""
        (query, key, value), (prompt_key, prompt_value) = written, prompt
        shared = query.shape[1] // key.shape[1]
        if merges(query) and not self._beyond(window):
            real, bias = self.prompts.real, None
            if not self.prompts.even:
                bias = torch.zeros(real.shape, dtype=query.dtype).masked_fill_(~real, -torch.inf)
                bias = bias[:, None, None]
            merged: torch.Tensor = MergedAttention.apply(
                query, _repeat(key, shared), _repeat(value, shared), prompt_key, prompt_value, bias,
                self.seats, scaling,
            )  # fmt: skip
            return merged
        keys = torch.cat([prompt_key[self.prompt], key], dim=2)
        values = torch.cat([prompt_value[self.prompt], value], dim=2)
        mask = self._completion_mask(window)
        return sdpa(query, _repeat(keys, shared), _repeat(values, shared), mask, scale=scaling)

    def _beyond(self, window: int | None) -> bool:
        """Whether a sliding window hides anything at all."""
        return window is not None and self.prompts.longest + self.completions.longest > window

    def _prompt_mask(self, window: int | None) -> torch.Tensor | None:
        """(U or 1, 1, P, P) what prompt tokens attend to, or None where that is causal."""
        if self.blocks is None and not self._beyond(window):
            return None  # padding on the right is later than any token, and no token attends to it
        place = torch.arange(self.prompts.longest, device=self.prompt.device)
        mask = (place <= place[:, None])[None]
        if self.blocks is not None:
            same = self.blocks[:, None] == self.blocks[..., None]
            mask = mask | (same & (self.blocks >= 0)[:, None])
            mask = mask & self.prompts.real[:, None]  # padding repeats the last token's block
        if window is not None:
            mask = mask & (place > place[:, None] - window)
        return mask[:, None]

    def _completion_mask(self, window: int | None) -> torch.Tensor:
        """(B, 1, C, P + C) what completion tokens attend to."""
        place = torch.arange(self.completions.longest, device=self.prompt.device)
        own = (place <= place[:, None]).expand(len(self.prompt), -1, -1)
        real, lengths = self.prompts.real[self.prompt], self.prompts.lengths[self.prompt]
        prompt = real[:, None].expand(-1, len(place), -1)
        if window is not None:
            own = own & (place > place[:, None] - window)
            now = lengths[:, None] + place  # (B, C) place of each query after the start of its prompt
            prompt = prompt & (torch.arange(real.shape[1], device=real.device) > now[..., None] - window)
        return torch.cat([prompt, own], dim=2)[:, None]


@contextmanager
def attending(model: Any, attention: Attention) -> Iterator[None]:
    """While open, the language model of `model` attends by `attention`, and builds no masks.

    Layers under gradient checkpointing remember it: they run again in the backward pass, when this is closed.
    """
    decoder = model.get_decoder()

    @contextmanager
    def opened() -> Iterator[None]:
        from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

        outer = ALL_ATTENTION_FUNCTIONS.get(NAME)
        ALL_ATTENTION_FUNCTIONS[NAME] = attention
        try:
            with swapped(decoder.config, "_attn_implementation_internal", NAME):
                yield
        finally:
            del ALL_ATTENTION_FUNCTIONS[NAME]
            if outer is not None:
                ALL_ATTENTION_FUNCTIONS[NAME] = outer

    def checkpointed(stock: Callable[..., Any]) -> Callable[..., Any]:
        return lambda layer, *args: stock(opened()(layer), *args)  # each run of the layer opens it again

    with ExitStack() as stack:
        stack.enter_context(opened())
        for layer in decoder.modules():
            if getattr(layer, "gradient_checkpointing", False):
                function = layer._gradient_checkpointing_func
                stack.enter_context(swapped(layer, "_gradient_checkpointing_func", checkpointed(function)))
        yield


def _repeat(x: torch.Tensor, times: int) -> torch.Tensor:
    """(B, K, L, D) to (B, K * times, L, D): heads of keys for the queries that share them."""
    return x if times == 1 else x.repeat_interleave(times, dim=1)


def one_type(*tensors: torch.Tensor) -> list[torch.Tensor]:
    """What autocast makes of the arguments of an attention kernel: rotated queries come to it in float32."""
    device = tensors[0].device.type
    if not torch.is_autocast_enabled(device):
        return list(tensors)
    return [tensor.to(torch.get_autocast_dtype(device)) for tensor in tensors]


def merges(query: torch.Tensor) -> bool:
    """Whether `MergedAttention` runs where `query` is; elsewhere the prompt's keys are repeated."""
    return query.device.type == "cpu"
