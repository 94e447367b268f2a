"""What a camera makes of a procedural picture: another device than the one a model learned from."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
from PIL import Image

Camera = Literal["clinic", "handheld"]
LIGHT = 0.5, 0.85  # of a handheld camera, as shares of the picture's own
TINT = 0.85, 1.15  # the same of each colour
NOISE = 5.0, 12.0  # standard deviations in grey levels


def taken(image: Image.Image, camera: Camera, seed: Sequence[int]) -> Image.Image:
    """A copy of an RGB picture as the camera takes it; nothing moves, so boxes stay where they are.

    `clinic` leaves it as it is; `handheld` is dim, tinted and noisy, by amounts that `seed` draws.
    """
    if camera == "clinic":
        return image.copy()
    rng = np.random.default_rng(seed)
    light = rng.uniform(*LIGHT) * rng.uniform(*TINT, size=3)
    pixels = np.asarray(image, dtype=np.float32) * light
    pixels += rng.normal(scale=rng.uniform(*NOISE), size=pixels.shape)
    return Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))
