"""Stage 1 of the tiny model: the vision tower alone learns what lies in each visual token, and its box.

Without it the language model stays blind for thousands of steps. Per visual token (16 x 16 pixels) the
tower predicts which findings lie in it and the box of the largest one, in bins of 4 pixels; over the whole
picture it predicts which findings there are and in how many quadrants haemorrhages lie. The heads are
thrown away.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vrft_aug.data.procedural.fundus import haemorrhage_quadrants
from vrft_aug.data.procedural.pool import KINDS, Pool, mirrored
from vrft_aug.data.procedural.scene import Finding
from vrft_aug.tiny.architecture import HIDDEN, MERGE, PATCH
from vrft_aug.tiny.optimise import optimise

CELL = PATCH * MERGE  # pixels a side of a visual token
BIN = 4  # pixels a side of a coordinate bin
BINS = 37  # up to 144 pixels
LOG = logging.getLogger(__name__)


def patches(pixels: np.ndarray) -> Tensor:
    """What Qwen2.5-VL's image processor makes of pictures (B, height, width, 3) uint8 that need no resizing.

    Returns (B * height/8 * width/8, 3 * 2 * 8 * 8), normalised to -1..1, in the order of 2 x 2 blocks.
    """
    batch, height, width, _ = pixels.shape
    x = torch.from_numpy(pixels.astype(np.float32)) / 127.5 - 1
    x = x.view(batch, height // CELL, MERGE, PATCH, width // CELL, MERGE, PATCH, 3)
    x = x.permute(0, 1, 4, 2, 5, 7, 3, 6)  # batch, cell row, cell column, 2, 2, colour, 8, 8
    x = x.reshape(-1, 3, 1, PATCH * PATCH).expand(-1, -1, 2, -1)  # the same picture as both frames
    return x.reshape(-1, 3 * 2 * PATCH * PATCH)


def grid(count: int, size: tuple[int, int]) -> Tensor:
    """(count, 3): frames, patch rows and patch columns of pictures of (width, height) pixels."""
    return torch.tensor([[1, size[1] // PATCH, size[0] // PATCH]]).expand(count, 3)


def cell_targets(findings: Sequence[Finding], size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """For every visual token, row by row: the kinds that lie in it (T, K), box bins of the largest (T, 4).

    Bins are -1 where nothing lies.
    """
    columns, rows = size[0] // CELL, size[1] // CELL
    kinds = np.zeros((rows, columns, len(KINDS)), dtype=np.float32)
    bins = np.full((rows, columns, 4), -1, dtype=np.int64)
    for kind, box in sorted(findings, key=lambda f: (f.box[2] - f.box[0]) * (f.box[3] - f.box[1])):
        x1, y1, x2, y2 = box
        # a token counts where at least one pixel of the box lies in it
        left, right = int((x1 + 0.99) // CELL), min(columns - 1, int((x2 - 0.99) // CELL))
        upper, lower = int((y1 + 0.99) // CELL), min(rows - 1, int((y2 - 0.99) // CELL))
        kinds[upper : lower + 1, left : right + 1, KINDS.index(kind)] = 1
        bins[upper : lower + 1, left : right + 1] = [round(v / BIN) for v in box]
    return kinds.reshape(-1, len(KINDS)), bins.reshape(-1, 4)


class Heads(nn.Module):
    """The heads of stage 1, on the visual tokens as the language model would get them."""

    def __init__(self) -> None:
        super().__init__()
        self.kinds = nn.Linear(HIDDEN, len(KINDS))
        self.boxes = nn.Linear(HIDDEN, 4 * BINS)
        self.present = nn.Linear(HIDDEN, len(KINDS))
        self.quadrants = nn.Linear(HIDDEN, 5)


def sample_batch(
    pool: Pool, batch: int, rng: np.random.Generator
) -> tuple[np.ndarray, list[tuple[Finding, ...]]]:
    """Pictures drawn from a pool, mirrored at random where anatomy allows it."""
    pixels, found = [], []
    for index in rng.integers(len(pool.pixels), size=batch):
        down = pool.modality == "fundus" and rng.random() < 0.5
        x, f = mirrored(pool.pixels[index], pool.findings[index], across=rng.random() < 0.5, down=down)
        pixels.append(x)
        found.append(f)
    return np.stack(pixels), found


def train_vision(visual: Any, pools: Sequence[tuple[Pool, float]], steps: int, batch: int, seed: int) -> None:
    """Train the tower in place on pools drawn by their share; the heads are thrown away."""
    rng = np.random.default_rng([seed, 1])
    torch.manual_seed(seed)
    heads = Heads()

    def turn() -> tuple[Tensor, float]:
        pool = pools[int(rng.choice(len(pools), p=[share for _, share in pools]))][0]
        loss, parts = vision_loss(heads, *see(visual, pool, batch, rng), pool.size)
        return loss, parts["exact set"]

    optimise([([*visual.parameters(), *heads.parameters()], 1.5e-3)], steps, "vision", turn)


def see(
    visual: Any, pool: Pool, batch: int, rng: np.random.Generator
) -> tuple[Tensor, list[tuple[Finding, ...]]]:
    """Visual tokens (batch, T, hidden) of pictures drawn from a pool, and what is in them."""
    pixels, found = sample_batch(pool, batch, rng)
    return visual(patches(pixels), grid_thw=grid(batch, pool.size)).pooler_output.view(
        batch, -1, HIDDEN
    ), found


def vision_loss(
    heads: Heads, tokens: Tensor, found: Sequence[Sequence[Finding]], size: tuple[int, int]
) -> tuple[Tensor, dict[str, float]]:
    """The loss of visual tokens (B, T, hidden) against the findings, and its parts by name."""
    targets = [cell_targets(findings, size) for findings in found]
    kinds = torch.from_numpy(np.stack([k for k, _ in targets]))
    bins = torch.from_numpy(np.stack([b for _, b in targets]))
    present = kinds.amax(dim=1)
    quadrants = torch.tensor([haemorrhage_quadrants(findings, size) for findings in found])
    somewhere = bins[..., 0] >= 0
    boxes = heads.boxes(tokens[somewhere]).view(-1, BINS)
    pooled = tokens.mean(dim=1)
    said = heads.present(pooled)
    parts = {
        "kinds": F.binary_cross_entropy_with_logits(heads.kinds(tokens), kinds, reduction="sum")
        / len(tokens)
        / 10,
        "boxes": F.cross_entropy(boxes, bins[somewhere].view(-1)),
        "present": F.binary_cross_entropy_with_logits(said, present, reduction="sum") / len(tokens),
        "quadrants": F.cross_entropy(heads.quadrants(pooled), quadrants),
    }
    loss = parts["kinds"] + 0.7 * parts["boxes"] + 0.5 * parts["present"] + 0.5 * parts["quadrants"]
    values = {name: part.item() for name, part in parts.items()}
    with torch.no_grad():
        values["exact set"] = float(((said > 0) == (present > 0.5)).all(dim=1).float().mean())
        near = (boxes.argmax(-1) - bins[somewhere].view(-1)).abs() <= 1
        values["box within a bin"] = float(near.view(-1, 4).all(dim=1).float().mean())
    return loss, values
