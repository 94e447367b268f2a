"""Prompts and completions in one sequence: every prompt once, every completion once, no padding.

A language model treats tokens alike except in attention and in their positions, so U prompts and their B
completions can run as one sequence of T tokens: first all prompts, then all completions. Attention between
them is in `attention`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch


@dataclass(frozen=True)
class Ragged:
    """R rows of their own lengths that lie one after another in a sequence, from its token `start` on."""

    start: int
    lengths: torch.Tensor  # (R,)

    @cached_property
    def size(self) -> int:
        """Tokens of all rows together."""
        return int(self.lengths.sum())

    @cached_property
    def longest(self) -> int:
        """Tokens of the longest row, L."""
        return int(self.lengths.max()) if len(self.lengths) else 0

    @cached_property
    def even(self) -> bool:
        """Whether all rows have one length."""
        return self.size == self.longest * len(self.lengths)

    @cached_property
    def real(self) -> torch.Tensor:
        """(R, L) true for a token, false for padding on the right."""
        return torch.arange(self.longest, device=self.lengths.device) < self.lengths[:, None]

    @cached_property
    def first(self) -> torch.Tensor:
        """(R,) the place of each row's first token in the sequence."""
        return self.start + self.lengths.cumsum(0) - self.lengths

    @cached_property
    def last(self) -> torch.Tensor:
        """(R,) the place of each row's last token in the sequence."""
        return self.first + self.lengths - 1

    @cached_property
    def _places(self) -> torch.Tensor:
        """(R * L,) places of the tokens; padding repeats the row's last token, whose values are finite."""
        within = torch.arange(self.longest, device=self.lengths.device)
        places = self.first[:, None] + within.minimum(self.lengths[:, None] - 1).clamp(min=0)
        return places.clamp(max=self.start + self.size - 1).flatten()

    def split(self, x: torch.Tensor) -> torch.Tensor:
        """From the sequence (T, ...) to padded rows (R, L, ...)."""
        shape = (len(self.lengths), self.longest, *x.shape[1:])
        if self.even:
            return x[self.start : self.start + self.size].view(shape)
        return x.index_select(0, self._places).view(shape)

    def join(self, x: torch.Tensor) -> torch.Tensor:
        """From padded rows (R, L, ...) to their part of the sequence (size, ...)."""
        return x.flatten(0, 1) if self.even else x[self.real]


@dataclass(frozen=True)
class Completions:
    """B completions of U prompts."""

    ids: torch.Tensor  # (B, C) tokens to run, padded on the right
    mask: torch.Tensor  # (B, C) 1 for a token, 0 for padding
    prompt: torch.Tensor  # (B,) which of the U prompts each one continues


@dataclass(frozen=True)
class Packed:
    """The sequence of T tokens. The last token of a completion predicts nothing and is not in it."""

    ids: torch.Tensor  # (T,)
    positions: torch.Tensor  # (axes, T) for rotary embeddings: one axis, or three with multimodal rope
    prompts: Ragged
    completions: Ragged
    prompt: torch.Tensor  # (B,) which prompt each completion continues
    after: torch.Tensor  # (U,) the position that follows each prompt
    predictors: torch.Tensor  # (N,) places of the states that predict the N tokens of the completions


def pack(ids: torch.Tensor, mask: torch.Tensor, positions: torch.Tensor, completions: Completions) -> Packed:
    """Pack prompts (U, P), padded on the left, of `positions` (axes, U, P), and what continues them.

    The token at c of a completion is predicted by the state at c - 1, its first by the last of its prompt.
    """
    real = mask.bool()
    prompts = Ragged(0, mask.sum(dim=1))
    lengths = completions.mask.sum(dim=1)
    written = Ragged(prompts.size, (lengths - 1).clamp(min=0))
    within = torch.arange(completions.ids.shape[1], device=ids.device)  # (C,)
    runs = within < written.lengths[:, None]
    after = positions.masked_fill(~real, 0).amax(dim=(0, 2)) + 1
    continued = after[completions.prompt, None] + within
    last = prompts.last[completions.prompt, None]
    before = torch.where(within > 0, written.first[:, None] + within - 1, last)
    return Packed(
        ids=torch.cat([ids[real], completions.ids[runs]]),
        positions=torch.cat([positions[:, real], continued[runs].expand(len(positions), -1)], dim=1),
        prompts=prompts,
        completions=written,
        prompt=completions.prompt,
        after=after,
        predictors=before[completions.mask.bool()],
    )


def sequence_inputs(packed: Packed) -> dict[str, Any]:
    """The packed tokens as a batch of one row."""
    positions = (
        packed.positions if len(packed.positions) == 1 else packed.positions[:, None]
    )  # (1, T) or (3, 1, T)
    return {"input_ids": packed.ids[None], "position_ids": positions}
