"""Several continuations of one beginning in a single row, each blind to the others.

A class system with sixteen findings to look up costs one prompt and sixteen short completions instead of
sixteen prompts: the attention mask lets a branch see the prefix and itself, and its positions continue the
prefix's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

IGNORED = -100


@dataclass(frozen=True)
class Branch:
    """Token ids, which of them are to be learned, and what is to be noted where (IGNORED for nothing)."""

    ids: Sequence[int]
    learned: Sequence[bool]
    notes: Sequence[int] = ()


@dataclass(frozen=True)
class Row:
    """A prefix and its branches; the notes are the prefix's."""

    prefix: Sequence[int]
    prefix_positions: Tensor  # (3, prefix length)
    branches: Sequence[Branch]
    notes: Sequence[int] = ()


@dataclass(frozen=True)
class Packed:
    """A batch of rows, padded on the right to length T."""

    ids: Tensor  # (B, T)
    positions: Tensor  # (3, B, T)
    mask: Tensor  # (B, 1, T, T), added to attention: 0 where a token (third axis) may look (fourth axis)
    labels: Tensor  # (B, T): the token that should come next, IGNORED where nothing is learned
    noted: tuple[Tensor, Tensor]  # (B, T) each: the notes of prefixes and those of branches


def pack(rows: Sequence[Row], pad: int) -> Packed:
    """Lay rows out side by side."""
    length = max(len(row.prefix) + sum(len(b.ids) for b in row.branches) for row in rows)
    ids = torch.full((len(rows), length), pad)
    labels = torch.full((len(rows), length), IGNORED)
    noted = torch.full_like(labels, IGNORED), torch.full_like(labels, IGNORED)
    positions = torch.zeros((3, len(rows), length), dtype=torch.long)
    branch = torch.full((len(rows), length), -1)  # 0 for the prefix, 1.. for branches, -1 for padding
    for b, row in enumerate(rows):
        at = len(row.prefix)
        ids[b, :at] = torch.tensor(row.prefix)
        positions[:, b, :at] = row.prefix_positions
        branch[b, :at] = 0
        noted[0][b, : len(row.notes)] = torch.tensor(row.notes, dtype=torch.long)
        start = int(row.prefix_positions.max()) + 1
        for number, one in enumerate(row.branches, start=1):
            end = at + len(one.ids)
            tokens = torch.tensor(one.ids)
            ids[b, at:end] = tokens
            positions[:, b, at:end] = torch.arange(start, start + len(tokens))
            branch[b, at:end] = number
            labels[b, at : end - 1] = tokens.where(torch.tensor(one.learned), torch.tensor(IGNORED))[1:]
            noted[1][b, at : at + len(one.notes)] = torch.tensor(one.notes, dtype=torch.long)
            at = end
    causal = torch.ones(length, length, dtype=torch.bool).tril()
    same = (branch[:, None, :] == branch[:, :, None]) | (branch[:, None, :] == 0)
    mask = torch.zeros(same.shape).masked_fill(~(causal & same), torch.finfo().min)
    return Packed(ids, positions, mask[:, None], labels, noted)
