"""Random numbers that belong to a completion: its draw does not depend on what else is in the batch.

A completion is known by a key (of the stage's seed, the step, the case and the member of its group), and has
a stream of its own: Philox, a generator made for that (Salmon et al., "Parallel random numbers: as easy as
1, 2, 3", SC 2011). So the completions of a step are the same however batches and processes divide them.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b

import numpy as np
import torch

Key = tuple[int, ...]


class RowNoise:
    """Numbers in [0, 1), one for each token of each row.

    Args:
        keys: of each of B rows; equal keys have equal numbers.
        tokens: the most that a row may have.
        device: where they are drawn by.
    """

    def __init__(self, keys: Sequence[Key], tokens: int, device: torch.device) -> None:
        numbers = np.stack([_stream(key).random(tokens) for key in keys]) if keys else np.empty((0, tokens))
        # Apple's GPUs have no float64.
        kind = torch.float32 if device.type == "mps" else torch.float64
        self._chances = torch.from_numpy(numbers).to(device, kind)

    def of(self, rows: torch.Tensor | None, place: int) -> torch.Tensor:
        """The numbers (B,) of the token at `place` of these rows, None for all."""
        at = self._chances[:, place]
        return at if rows is None else at[rows]


def draw(probabilities: torch.Tensor, chance: torch.Tensor) -> torch.Tensor:
    """Tokens (B, 1) from probabilities (B, V), by the inverse of the distribution at `chance` (B,) in [0, 1).

    A token of probability 0 is never drawn.
    """
    sums = probabilities.cumsum(-1, dtype=chance.dtype)
    # Below the last sum, whatever rounding makes of it; so there is a first sum above, whose token counts.
    wanted = torch.minimum(
        chance[:, None] * sums[:, -1:], sums[:, -1:].nextafter(torch.zeros_like(sums[:, -1:]))
    )
    return torch.searchsorted(sums, wanted, right=True)


def _stream(key: Key) -> np.random.Generator:
    digest = blake2b(repr(key).encode(), digest_size=16).digest()
    return np.random.Generator(np.random.Philox(key=np.frombuffer(digest, np.uint64)))
