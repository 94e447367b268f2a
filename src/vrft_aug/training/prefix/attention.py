"""Attention of new tokens to a prompt that many rows share, without repeating the prompt's cache.

While decoding, all rows that continue one prompt are queries to one set of keys and values: two matrix
products per prompt instead of two matrix-vector products per row, over a cache that is read once and never
copied. What a row has written itself stays in a cache of its own, and one softmax runs over both.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

from vrft_aug.training.prefix.swapped import swapped

NAME = "vrft_shared_prompts"  # under which transformers finds the attention while `attending` is open


class SharedPrompts:
    """Keys and values of U prompts of length P in every layer, and which rows continue which prompt.

    Args:
        layers: keys and values of each layer, (U, K, P, D) for K key/value heads of size D.
        mask: (U, P), 1 for a token and 0 for padding; None where there is no padding.
        prompt: (B,) the prompt that each row continues.
    """

    def __init__(
        self,
        layers: list[tuple[torch.Tensor, torch.Tensor]],
        mask: torch.Tensor | None,
        prompt: torch.Tensor,
    ) -> None:
        self.layers = layers
        self.bias: torch.Tensor | None = None  # added to scores, (U, 1, 1, P)
        if mask is not None:
            dtype = layers[0][0].dtype
            self.bias = (mask == 0)[:, None, None].to(dtype) * torch.finfo(dtype).min
        self.seat_rows(prompt)

    def seat_rows(self, prompt: torch.Tensor) -> None:
        """Set which rows there are: row b continues `prompt[b]`."""
        rows = torch.bincount(prompt)
        first = rows.cumsum(0) - rows  # of each prompt, in the order below
        order = prompt.argsort(stable=True)
        place = torch.empty_like(prompt)  # of a row among the rows of its prompt
        place[order] = torch.arange(len(prompt), device=prompt.device) - first[prompt[order]]
        self.seats = int(rows.max())
        self.seat = prompt * self.seats + place

    def together(self, x: torch.Tensor) -> torch.Tensor:
        """From rows (B, K, N, X) to prompts (U, K, seats * N, X); empty seats are zero."""
        _, heads, queries, size = x.shape
        seated = x.new_zeros(len(self.layers[0][0]) * self.seats, heads, queries, size)
        seated.index_copy_(0, self.seat, x)
        return seated.view(-1, self.seats, heads, queries, size).transpose(1, 2).flatten(2, 3)

    def apart(self, x: torch.Tensor) -> torch.Tensor:
        """The inverse of `together`."""
        prompts, heads, queries, size = x.shape
        seated = x.view(prompts, heads, self.seats, queries // self.seats, size).transpose(1, 2).flatten(0, 1)
        return seated.index_select(0, self.seat)

    def attend(
        self,
        module: Any,
        query: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
        attention_mask: None,
        scaling: float,
        **unused: Any,
    ) -> tuple[torch.Tensor, None]:
        """An attention function for transformers: `query` (B, H, 1, D), `key` and `value` (B, K, T, D).

        Every row attends to its whole prompt and to all T tokens that it has written, the newest included.
        """
        keys, values = self.layers[module.layer_idx]
        rows, heads, _, size = query.shape  # one query per row and head
        query = query.view(rows, key.shape[1], -1, size) * scaling  # (B, K, N, D): N heads share keys
        to_prompt = self.together(query) @ keys.transpose(2, 3)
        if self.bias is not None:
            to_prompt = to_prompt + self.bias
        scores = torch.cat([self.apart(to_prompt), query @ key.transpose(2, 3)], dim=-1)  # (B, K, N, P + T)
        weights = scores.softmax(dim=-1, dtype=torch.float32).to(query.dtype)
        length = keys.shape[2]
        on_prompt = self.apart(self.together(weights[..., :length]) @ values)
        output = on_prompt + weights[..., length:] @ value
        return output.reshape(rows, 1, heads, size), None


@contextmanager
def attending(model: Any, prompts: SharedPrompts) -> Iterator[None]:
    """While open, the language model of `model` attends to `prompts` beside the cache that it is given."""
    from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

    ALL_ATTENTION_FUNCTIONS[NAME] = prompts.attend
    try:
        with swapped(model.get_decoder().config, "_attn_implementation_internal", NAME):
            yield
    finally:
        del ALL_ATTENTION_FUNCTIONS[NAME]
