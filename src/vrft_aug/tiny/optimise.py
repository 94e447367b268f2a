"""The one loop that trains the tiny model's stages: AdamW, a warm-up and a cosine."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn

LOG = logging.getLogger(__name__)


def optimise(
    groups: list[tuple[list[nn.Parameter], float]],
    steps: int,
    name: str,
    turn: Callable[[], tuple[Tensor, float]],
    warm: int = 60,
) -> None:
    """AdamW over groups of (weights, peak learning rate); `turn` gives a loss and the share that is right.

    The rate rises for `warm` steps.
    """
    optimiser = torch.optim.AdamW(
        [{"params": weights, "lr": peak, "peak": peak} for weights, peak in groups],
        weight_decay=0.02,
        betas=(0.9, 0.98),
    )
    seen: list[tuple[float, float]] = []
    for step in range(steps):
        for group in optimiser.param_groups:
            group["lr"] = group["peak"] * learning_rate(step, steps, warm)
        loss, right = turn()
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        for weights, _ in groups:
            nn.utils.clip_grad_norm_(weights, 1.0)
        optimiser.step()
        seen.append((loss.item(), right))
        if step % 25 == 24 or step == steps - 1:
            mean_loss, mean_right = np.mean(seen, axis=0)
            LOG.info("%s %d/%d loss %.3f right %.3f", name, step + 1, steps, mean_loss, mean_right)
            seen.clear()


def learning_rate(step: int, steps: int, warm: int = 60) -> float:
    """Linear warm-up, then a cosine down to 3 %, as a share of the peak."""
    if step < warm:
        return (step + 1) / warm
    return 0.03 + 0.97 * 0.5 * (1 + math.cos(math.pi * (step - warm) / max(1, steps - warm)))
