"""A pool of procedural pictures in memory, for pre-training; rendered once by all processors."""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Literal

import numpy as np
from PIL import Image

from vrft_aug.data.procedural.camera import Camera, taken
from vrft_aug.data.procedural.chest import FINDINGS, sample_chest
from vrft_aug.data.procedural.fundus import DISC, LESIONS, sample_fundus
from vrft_aug.data.procedural.scene import Finding, Scene

Modality = Literal["fundus", "chest"]
KINDS = (*LESIONS, DISC, *FINDINGS)
# No two uses of the generators share a seed: what a picture is for comes first in its seed sequence.
USES = {"pretrain": 0, "card": 1, "train": 2, "validation": 3, "test": 4}


@dataclass(frozen=True)
class Pool:
    """Pictures of one size with their findings."""

    modality: Modality
    pixels: np.ndarray  # (N, height, width, 3) uint8
    findings: tuple[tuple[Finding, ...], ...]
    camera: Camera = "clinic"

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) in pixels."""
        return self.pixels.shape[2], self.pixels.shape[1]


def scene(modality: Modality, use: str, seed: int, index: int, size: tuple[int, int]) -> Scene:
    """The picture number `index` for a use; `seed` starts a new world of pictures."""
    rng = np.random.default_rng([USES[use], 0 if modality == "fundus" else 1, seed, index])
    return (sample_fundus if modality == "fundus" else sample_chest)(rng, size)


def render_pool(modality: Modality, use: str, seed: int, count: int, size: tuple[int, int]) -> Pool:
    """Draw `count` pictures of (width, height) pixels."""
    draw = partial(_draw, modality, use, seed, size)
    with ProcessPoolExecutor(os.cpu_count()) as workers:
        drawn = list(workers.map(draw, range(count), chunksize=64))
    return Pool(modality, np.stack([pixels for pixels, _ in drawn]), tuple(found for _, found in drawn))


def retaken(pool: Pool, camera: Camera, seed: int, count: int) -> Pool:
    """The first `count` pictures of a pool as another camera takes them."""
    taken_again = [
        np.asarray(taken(Image.fromarray(pixels), camera, [seed, index]))
        for index, pixels in enumerate(pool.pixels[:count])
    ]
    return Pool(pool.modality, np.stack(taken_again), pool.findings[:count], camera)


def _draw(
    modality: Modality, use: str, seed: int, size: tuple[int, int], index: int
) -> tuple[np.ndarray, tuple[Finding, ...]]:
    made = scene(modality, use, seed, index, size)
    return np.asarray(made.image), made.findings


def mirrored(
    pixels: np.ndarray, findings: Sequence[Finding], across: bool, down: bool
) -> tuple[np.ndarray, tuple[Finding, ...]]:
    """A picture (height, width, 3) mirrored across and/or down, and its boxes with it."""
    height, width = pixels.shape[:2]
    pixels = pixels[:: -1 if down else 1, :: -1 if across else 1]

    def mirror(box: tuple[float, float, float, float]) -> tuple[float, float, float, float]:
        x1, y1, x2, y2 = box
        if across:
            x1, x2 = width - x2, width - x1
        if down:
            y1, y2 = height - y2, height - y1
        return x1, y1, x2, y2

    return pixels, tuple(Finding(kind, mirror(box)) for kind, box in findings)
