"""Attention while decoding: rows that continue one prompt attend to one copy of its keys."""

from __future__ import annotations

from typing import Any

import torch

from vrft_aug.policy.prefix.attention import merges, one_type
from vrft_aug.policy.prefix.packing import Ragged
from vrft_aug.policy.prefix.row_order import Seats
from vrft_aug.policy.prefix.split_softmax import flash


class DecodingAttention:
    """Attention of one new token in each row to its prompt and to what the row has written itself.

    Rows that continue one prompt are queries to one set of keys, which are read once and never copied. What a
    row writes goes into a buffer that grows by doubling. Scores and their softmax are in float32 whatever the
    model computes in, as in the kernels that training runs.

    Args:
        layers: keys and values of U prompts in each layer, (U, K, P, D), padded on the right.
        prompts: the prompts' lengths.
        prompt: (B,) the prompt that each row continues.
    """

    def __init__(
        self, layers: list[tuple[torch.Tensor, torch.Tensor]], prompts: Ragged, prompt: torch.Tensor
    ) -> None:
        self.merges = merges(layers[0][0])
        self.layers = layers if self.merges else [(key.float(), value.float()) for key, value in layers]
        self.prompts, self.prompt = prompts, prompt
        self.seats = Seats(prompt, len(prompts.lengths))
        self.buffers: dict[int, torch.Tensor] = {}  # of each layer, (2, B, K, capacity, D)
        self.written = 0  # tokens that each row has in the buffers, once the step that runs is through
        self._bias: tuple[int | None, torch.Tensor | None] = (-1, None)

    def keep_rows(self, rows: torch.Tensor) -> None:
        """Go on with these rows alone."""
        self.prompt = self.prompt[rows]
        self.seats = Seats(self.prompt, len(self.prompts.lengths))
        for layer, buffer in self.buffers.items():
            kept = buffer.new_empty(2, len(rows), *buffer.shape[2:])
            kept[..., : self.written, :] = buffer[:, rows, :, : self.written]
            self.buffers[layer] = kept

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
        """Query (B, H, 1, D), key and value (B, K, 1, D) of the tokens that run; returns (B, 1, H, D)."""
        query, key, value = one_type(query, key, value)
        output = self.attend(module.layer_idx, query, key, value, scaling, sliding_window)
        return output.reshape(len(query), 1, *query.shape[1::2]), None

    def attend(
        self,
        layer: int,
        query: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
        scaling: float,
        window: int | None = None,
    ) -> torch.Tensor:
        """The same for arguments of one type; returns (B, K, N, D), where N query heads share keys."""
        keys, values = self.layers[layer]
        key, value = self._write(layer, key, value)  # (B, K, written, D)
        if window is not None:
            key, value = key[:, :, -window:], value[:, :, -window:]
        query = query.reshape(len(query), key.shape[1], -1, query.shape[-1])
        bias = self._prompt_bias(keys, window)
        if self.merges:
            folded = self.seats.together(query)
            to_prompt, norm = flash(folded, keys, values, 0.0, False, attn_mask=bias, scale=scaling)
            own, own_norm = flash(query, key, value, 0.0, False, attn_mask=None, scale=scaling)
            share = (self.seats.apart(norm.unsqueeze(-1)) - own_norm.unsqueeze(-1)).sigmoid()
            joint = torch.lerp(own.float(), self.seats.apart(to_prompt).float(), share)
            return joint.to(query.dtype)
        asked = query.float() * scaling
        scores = self.seats.together(asked) @ keys.transpose(2, 3)
        scores = self.seats.apart(scores if bias is None else scores + bias)
        weights = torch.cat([scores, asked @ key.transpose(2, 3)], dim=-1).softmax(dim=-1)
        length = keys.shape[2]
        on_prompt = self.seats.apart(self.seats.together(weights[..., :length]) @ values)
        return (on_prompt + weights[..., length:] @ value).to(query.dtype)

    def _write(self, layer: int, key: torch.Tensor, value: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        place = self.written - 1
        buffer = self.buffers.get(layer)
        if buffer is None:
            rows, heads, _, size = key.shape
            dtype = key.dtype if self.merges else torch.float32
            buffer = self.buffers[layer] = key.new_empty(2, rows, heads, 32, size, dtype=dtype)
        elif buffer.shape[3] == place:
            buffer = self.buffers[layer] = torch.cat([buffer, torch.empty_like(buffer)], dim=3)
        buffer[0, :, :, place : place + 1] = key
        buffer[1, :, :, place : place + 1] = value
        return buffer[0, :, :, : self.written], buffer[1, :, :, : self.written]

    def _prompt_bias(self, keys: torch.Tensor, window: int | None) -> torch.Tensor | None:
        """(U, 1, 1, P) the lowest number for prompt tokens that the new ones do not attend to, or None."""
        beyond = window is not None and self.prompts.longest + self.written > window
        if self._bias[0] == (now := self.written if beyond else None):
            return self._bias[1]
        hidden = None if self.prompts.even else ~self.prompts.real
        if window is not None and beyond:
            place = torch.arange(self.prompts.longest, device=keys.device)
            left = place <= self.prompts.lengths[:, None] + self.written - 1 - window
            hidden = left if hidden is None else hidden | left
        bias = None
        if hidden is not None:
            bias = torch.zeros(hidden.shape, dtype=keys.dtype, device=keys.device)
            bias = bias.masked_fill_(hidden, torch.finfo(keys.dtype).min)[:, None, None]
        self._bias = (now, bias)
        return bias
