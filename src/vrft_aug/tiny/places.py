"""Stage 4 of the tiny model: what a picture token must know to be pointed at, its place and the box there.

The vision tower has rotary positions only, so a token knows how far others are but not where it is itself;
stages 1 and 3 hardly ask. A language model cannot name pixels from such tokens.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vrft_aug.data.procedural.pool import Pool
from vrft_aug.data.procedural.scene import Finding
from vrft_aug.tiny.architecture import HIDDEN
from vrft_aug.tiny.optimise import optimise
from vrft_aug.tiny.vision import BIN, BINS, CELL, Heads, grid, patches, sample_batch, vision_loss

LINES = 9  # rows or columns of picture tokens, at most
SPREAD = 2.0  # pixels: the standard deviation of a coordinate's target
TOO_SMALL = "microaneurysms"  # never asked for by box


class PlaceHeads(nn.Module):
    """Row, column and box of a token, thrown away after training."""

    def __init__(self) -> None:
        super().__init__()
        self.lines = nn.Linear(HIDDEN, 2 * LINES)
        self.boxes = nn.Linear(HIDDEN, 4 * BINS)


def cells(finding: Finding, size: tuple[int, int]) -> list[int]:
    """The picture tokens, counted row by row, that a box lies in by at least a pixel."""
    columns, rows = size[0] // CELL, size[1] // CELL
    x1, y1, x2, y2 = finding.box
    across = range(int((x1 + 0.99) // CELL), min(columns - 1, int((x2 - 0.99) // CELL)) + 1)
    down = range(int((y1 + 0.99) // CELL), min(rows - 1, int((y2 - 0.99) // CELL)) + 1)
    return [y * columns + x for y in down for x in across]


def spread(pixels: Tensor, marks: int) -> Tensor:
    """(N, marks): coordinates (N,) in pixels as shares of the marks 0, BIN, 2 BIN, ... around them."""
    apart = BIN * torch.arange(marks) - pixels[:, None]
    return (-(apart**2) / (2 * SPREAD**2)).softmax(-1)


def place_loss(
    heads: PlaceHeads,
    tokens: Tensor,
    found: Sequence[Sequence[Finding]],
    size: tuple[int, int],
    even: bool = False,
) -> tuple[Tensor, float]:
    """The loss of picture tokens (B, T, hidden), and the share of coordinates told within a bin.

    `even` lets every box count the same, else every token that a box lies in.
    """
    columns, rows = size[0] // CELL, size[1] // CELL
    lines = heads.lines(tokens).view(-1, LINES)
    where = torch.tensor([[y, x] for y in range(rows) for x in range(columns)])
    loss = F.cross_entropy(lines, where.expand(len(tokens), -1, -1).reshape(-1))
    boxes = np.full((len(tokens), rows * columns, 4), np.nan, dtype=np.float32)
    counted = np.ones((len(tokens), rows * columns), dtype=np.float32)
    for picture, findings in enumerate(found):
        largest_first = sorted(findings, key=lambda f: -(f.box[2] - f.box[0]) * (f.box[3] - f.box[1]))
        for finding in largest_first:  # the smallest has the last word
            if finding.kind != TOO_SMALL:
                under = cells(finding, size)
                boxes[picture, under] = finding.box
                counted[picture, under] = 1 / len(under) if even else 1
    there = torch.from_numpy(~np.isnan(boxes[..., 0]))
    if not there.any():
        return loss, 1.0
    said = heads.boxes(tokens[there]).view(-1, BINS).log_softmax(-1)
    true = torch.from_numpy(boxes)[there].view(-1)
    told = (spread(true, BINS) * said).sum(-1)
    weights = torch.from_numpy(counted)[there].repeat_interleave(4)
    loss = loss - ((told * weights).sum() / weights.sum() if even else told.mean())
    near = (BIN * said.argmax(-1) - true).abs() <= BIN
    return loss, near.float().mean().item()


def train_places(visual: Any, pools: Sequence[tuple[Pool, float]], steps: int, batch: int, seed: int) -> None:
    """Train the tower in place on places, boxes and stage 1's lessons; the heads are thrown away.

    What its tokens were is kept as far as may be, for the language model reads them.
    """
    rng = np.random.default_rng([seed, 4])
    torch.manual_seed(seed)
    heads, places, before = Heads(), PlaceHeads(), copy.deepcopy(visual).requires_grad_(False)
    shares = [share for _, share in pools]

    def turn() -> tuple[Tensor, float]:
        pool = pools[int(rng.choice(len(pools), p=shares))][0]
        pixels, found = sample_batch(pool, batch, rng)
        given = {"hidden_states": patches(pixels), "grid_thw": grid(batch, pool.size)}
        tokens = visual(**given).pooler_output.view(batch, -1, HIDDEN)
        with torch.no_grad():
            old = before(**given).pooler_output.view(batch, -1, HIDDEN)
        loss, right = place_loss(places, tokens, found, pool.size)
        changed = (tokens - old).square().mean() / old.var()
        return loss + vision_loss(heads, tokens, found, pool.size)[0] + changed, right

    groups = [(list(visual.parameters()), 1e-3), ([*heads.parameters(), *places.parameters()], 4e-3)]
    optimise(groups, steps, "places", turn, warm=20)
