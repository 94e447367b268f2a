"""Attention while decoding: rows that continue one prompt attend to one copy of its keys."""

from __future__ import annotations

from typing import Any

import torch

from vrft_aug.policy.prefix.attention import one_type
from vrft_aug.policy.prefix.packing import Ragged

FIRST = 32  # tokens that the buffers of what rows write begin with


class DecodingAttention:
    """Attention of one new token in each row to its prompt and to what the row has written itself.

    Rows that continue one prompt are queries to one set of keys, which are read once and never copied. What a
    row writes goes into buffers that grow by doubling. Scores and their softmax are in float32 whatever the
    model computes in, as in the kernels that training runs.

    Inside, rows sit beside those of their prompt: S = U * E seats, E the most rows of one. Where a prompt
    has fewer, a seat repeats another row, and what it computes is not read. So all products are of tensors
    as they lie in memory. Keys lie transposed, (D, tokens): products of few rows are faster so.

    Args:
        layers: keys and values of U prompts in each layer, (U, K, P, D), padded on the right.
        prompts: the prompts' lengths.
        prompt: (B,) the prompt that each row continues.
    """

    def __init__(
        self, layers: list[tuple[torch.Tensor, torch.Tensor]], prompts: Ragged, prompt: torch.Tensor
    ) -> None:
        self.layers = [(key.float().transpose(2, 3).contiguous(), value.float()) for key, value in layers]
        self.prompts, self.prompt = prompts, prompt
        # Of each layer: keys (U, K, E, D, room) and values (U, K, E, room, D).
        self.buffers: dict[int, tuple[torch.Tensor, torch.Tensor]] = {}
        self.written = 0  # tokens that each row has in the buffers, once the step that runs is through
        self._bias: tuple[int | None, torch.Tensor | None] = (-1, None)
        self._take_seats()

    def keep_rows(self, rows: torch.Tensor) -> None:
        """Go on with these rows alone; prompts that none of them continues are let go."""
        before, self.prompt = self.seat, self.prompt[rows]
        left = self.prompt.bincount().nonzero().squeeze(1)
        self.prompt = torch.searchsorted(left, self.prompt)  # their places among what is left
        if len(left) < len(self.prompts.lengths):
            self.prompts = Ragged(self.prompts.start, self.prompts.lengths[left])
            most = self.prompts.longest
            self.layers = [
                (keys[left, ..., :most].contiguous(), values[left, :, :most].contiguous())
                for keys, values in self.layers
            ]
            self._bias = (-1, None)
        self._take_seats()
        seats = rows if before is None else before[rows]  # of the rows that stay, as they sat
        if self.row is not None:
            seats = seats[self.row]
        for layer, (keys, values) in self.buffers.items():
            self.buffers[layer] = self._moved(keys, seats), self._moved(values, seats)

    def _moved(self, buffer: torch.Tensor, seats: torch.Tensor) -> torch.Tensor:
        """A buffer (U, K, E, ...) as it is when these of its U * E seats are taken."""
        sat = buffer.transpose(1, 2).flatten(0, 1)[seats]
        return sat.view(-1, self.each, *sat.shape[1:]).transpose(1, 2).contiguous()

    def _take_seats(self) -> None:
        rows = torch.bincount(self.prompt, minlength=len(self.prompts.lengths))
        self.each = int(rows.max())  # E
        order = self.prompt.argsort(stable=True)
        first = rows.cumsum(0) - rows  # of each prompt, in this order
        place = torch.arange(len(order), device=order.device) - first[self.prompt[order]]
        seat = torch.empty_like(order)
        seat[order] = self.prompt[order] * self.each + place
        self.seat: torch.Tensor | None = seat  # (B,) of each row; None where all sit as they come
        self.row: torch.Tensor | None = seat.new_zeros(len(rows) * self.each)  # (S,) the row of each seat
        self.row[seat] = torch.arange(len(seat), device=seat.device)
        if len(seat) == len(self.row) and bool((seat[1:] > seat[:-1]).all()):
            self.seat = self.row = None

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
        with torch.autocast(query.device.type, enabled=False):  # which would round what is in float32 here
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
        """The same, outside of autocast; the axis of one token may lack.

        Returns (B, K, N, D), where N query heads share keys.
        """
        keys, values = self.layers[layer]
        prompts, heads, size, length = keys.shape
        each = self.each
        asked, key, value = (
            (x if self.row is None else x[self.row]).view(prompts, each, heads, -1, size).transpose(1, 2)
            for x in (query.float() * scaling, key, value)
        )  # (U, K, E, N or 1, D)
        own_keys, own_values = self._write(layer, key, value)
        asked = asked.reshape(prompts * heads, -1, size)
        to_prompt = torch.bmm(asked, keys.view(-1, size, length)).view(prompts, heads, -1, length)
        if (bias := self._prompt_bias(window)) is not None:
            to_prompt += bias
        asked = asked.view(prompts * heads * each, -1, size)
        if window is not None:
            own_keys, own_values = own_keys[..., -window:], own_values[:, -window:]
        to_self = torch.bmm(asked, own_keys).view(prompts, heads, to_prompt.shape[2], -1)
        weights = torch.cat([to_prompt, to_self], dim=-1).softmax(dim=-1).flatten(0, 1)
        seen = torch.bmm(weights[..., :length], values.view(-1, length, size))
        own = weights.view(len(asked), asked.shape[1], -1)[..., length:]
        seen.view(asked.shape).baddbmm_(own, own_values)
        seen = seen.view(prompts, heads, each, -1, size).transpose(1, 2).flatten(0, 1)  # (S, K, N, D)
        return (seen if self.seat is None else seen[self.seat]).to(query.dtype)

    def _write(self, layer: int, key: torch.Tensor, value: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Keys (U * K * E, D, written) and values (U * K * E, written, D) after these of (U, K, E, 1, D)."""
        place, seats, size = self.written - 1, key.shape[:3], key.shape[-1]
        buffers = self.buffers.get(layer)
        if buffers is None:
            room = [
                torch.empty(*seats, *shape, device=key.device) for shape in ((size, FIRST), (FIRST, size))
            ]
            buffers = self.buffers[layer] = room[0], room[1]
        keys, values = buffers
        if place == keys.shape[-1]:
            keys = torch.cat([keys, torch.empty_like(keys)], dim=-1)
            values = torch.cat([values, torch.empty_like(values)], dim=-2)
            self.buffers[layer] = keys, values
        keys[..., place] = key[..., 0, :]
        values[..., place, :] = value[..., 0, :]
        return keys.flatten(0, 2)[..., : self.written], values.flatten(0, 2)[:, : self.written]

    def _prompt_bias(self, window: int | None) -> torch.Tensor | None:
        """(U, 1, 1, P) the lowest number for prompt tokens that the new ones do not attend to, or None."""
        beyond = window is not None and self.prompts.longest + self.written > window
        if self._bias[0] == (now := self.written if beyond else None):
            return self._bias[1]
        hidden = None if self.prompts.even else ~self.prompts.real
        if window is not None and beyond:
            place = torch.arange(self.prompts.longest, device=self.prompt.device)
            left = place <= self.prompts.lengths[:, None] + self.written - 1 - window
            hidden = left if hidden is None else hidden | left
        bias = None
        if hidden is not None:
            bias = torch.zeros(hidden.shape, device=hidden.device)
            bias = bias.masked_fill_(hidden, torch.finfo(bias.dtype).min)[:, None, None]
        self._bias = (now, bias)
        return bias
