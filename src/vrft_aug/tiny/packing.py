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
class Row:
    """A prefix and its branches; a branch is its token ids and how many of the first are given."""

    prefix: Sequence[int]
    prefix_positions: Tensor  # (3, prefix length)
    branches: Sequence[tuple[Sequence[int], int]]


@dataclass(frozen=True)
class Packed:
    """A batch of rows, padded on the right to length T."""

    ids: Tensor  # (B, T)
    positions: Tensor  # (3, B, T)
    mask: Tensor  # (B, 1, T, T), True where a token (third axis) may look (fourth axis)
    labels: Tensor  # (B, T): the token that should come next, IGNORED where nothing is learned


def pack(rows: Sequence[Row], pad: int) -> Packed:
    """Lay rows out side by side."""
    length = max(len(row.prefix) + sum(len(ids) for ids, _ in row.branches) for row in rows)
    ids = torch.full((len(rows), length), pad)
    labels = torch.full((len(rows), length), IGNORED)
    positions = torch.zeros((3, len(rows), length), dtype=torch.long)
    branch = torch.full((len(rows), length), -1)  # 0 for the prefix, 1.. for branches, -1 for padding
    for b, row in enumerate(rows):
        at = len(row.prefix)
        ids[b, :at] = torch.tensor(row.prefix)
        positions[:, b, :at] = row.prefix_positions
        branch[b, :at] = 0
        start = int(row.prefix_positions.max()) + 1
        for number, (tokens, given) in enumerate(row.branches, start=1):
            end = at + len(tokens)
            ids[b, at:end] = torch.tensor(tokens)
            positions[:, b, at:end] = torch.arange(start, start + len(tokens))
            branch[b, at:end] = number
            labels[b, at + given - 1 : end - 1] = torch.tensor(tokens[given:])
            at = end
    causal = torch.ones(length, length, dtype=torch.bool).tril()
    same = (branch[:, None, :] == branch[:, :, None]) | (branch[:, None, :] == 0)
    return Packed(ids, positions, (causal & same)[:, None], labels)
