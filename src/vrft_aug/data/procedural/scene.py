"""What a procedural picture holds: the pixels, and every finding with its exact box."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from PIL import Image

SIZE = 112  # default side of a procedural image in pixels
SCALE = 2  # everything is drawn at SCALE times the size and averaged down, for soft edges


class Finding(NamedTuple):
    """One thing that can be seen; its box is x1, y1 (inside), x2, y2 (outside) in pixels of the image."""

    kind: str
    box: tuple[float, float, float, float]


@dataclass(frozen=True)
class Scene:
    """A procedural image with what is in it."""

    image: Image.Image
    findings: tuple[Finding, ...]


def smooth_noise(rng: np.random.Generator, width: int, height: int, cells: int) -> np.ndarray:
    """Low-frequency noise of shape (height, width), about unit variance."""
    grid = rng.normal(size=(cells, cells)).astype(np.float32)
    return np.asarray(Image.fromarray(grid).resize((width, height), Image.Resampling.BICUBIC))


def finish(canvas: Image.Image, rng: np.random.Generator, size: tuple[int, int], noise: float) -> Image.Image:
    """Average the drawing down to `size` and add sensor noise of a standard deviation in grey levels."""
    small = np.asarray(canvas.resize(size, Image.Resampling.BOX), dtype=np.float32)
    noisy = small + rng.normal(scale=noise, size=small.shape).astype(np.float32)
    return Image.fromarray(np.clip(noisy, 0, 255).astype(np.uint8))


def clip_box(
    box: tuple[float, float, float, float], size: tuple[int, int]
) -> tuple[float, float, float, float]:
    """A box cut to an image of (width, height) pixels."""
    x1, y1, x2, y2 = box
    return max(0.0, x1), max(0.0, y1), min(float(size[0]), x2), min(float(size[1]), y2)
