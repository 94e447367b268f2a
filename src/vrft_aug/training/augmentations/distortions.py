"""Distortions of a picture that leave its label and its boxes as they are.

Nothing is moved, turned, mirrored, cut or tinted: a side, a place or a colour may be what is asked for. Which
of the rest a modality bears: where grey values are measured (CT), or set by whoever took the picture in order
to be read (x-ray, MR, ultrasound), brightness and contrast stay.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import get_args

import numpy as np
from PIL import Image, ImageEnhance, ImageFilter

from vrft_aug.recipe.perception_config import Distortion

GREY_LEVELS = 50  # standard deviation of noise at strength 1, of 255
RADIUS = 0.015  # of blur at strength 1, of the shorter side
CHANGE = 0.4  # of brightness and contrast at strength 1, up or down
MEASURED = (
    "ct",
    "tomography",
    "x-ray",
    "xray",
    "radiograph",
    "mr",
    "mri",
    "magnetic",
    "ultrasound",
    "mammogra",
)


def borne(modality: str) -> tuple[Distortion, ...]:
    """The distortions that pictures of a modality, as the recipe calls it, bear without another label."""
    words = modality.casefold().replace(",", " ").split()
    measured = any(word == name or (len(name) > 3 and name in word) for word in words for name in MEASURED)
    return ("noise", "blur") if measured else get_args(Distortion)


def borne_by_all(modalities: Sequence[str]) -> tuple[Distortion, ...]:
    """Those that pictures of each of the modalities bear."""
    return tuple(one for one in get_args(Distortion) if all(one in borne(name) for name in modalities))


def distorted(image: Image.Image, among: Sequence[Distortion], strength: float, key: str) -> Image.Image:
    """An RGB picture of the same size with one distortion of `among`; which and how is drawn by `key`.

    `strength` is above 0, at most 1.
    """
    source = random.Random(key)
    return WAYS[source.choice(list(among))](image, strength, source)


def _noise(image: Image.Image, strength: float, source: random.Random) -> Image.Image:
    pixels = np.asarray(image, dtype=np.float32)
    noise = np.random.default_rng(source.getrandbits(63)).standard_normal(pixels.shape, dtype=np.float32)
    noisy = pixels + GREY_LEVELS * strength * noise
    return Image.fromarray(noisy.round().clip(0, 255).astype(np.uint8))


def _blur(image: Image.Image, strength: float, source: random.Random) -> Image.Image:
    return image.filter(ImageFilter.GaussianBlur(RADIUS * strength * min(image.size)))


def _brightness(image: Image.Image, strength: float, source: random.Random) -> Image.Image:
    return ImageEnhance.Brightness(image).enhance(_factor(strength, source))


def _contrast(image: Image.Image, strength: float, source: random.Random) -> Image.Image:
    return ImageEnhance.Contrast(image).enhance(_factor(strength, source))


def _factor(strength: float, source: random.Random) -> float:
    return 1 + source.choice((-1, 1)) * CHANGE * strength


WAYS: dict[Distortion, Callable[[Image.Image, float, random.Random], Image.Image]] = {
    "noise": _noise,
    "blur": _blur,
    "brightness": _brightness,
    "contrast": _contrast,
}
