"""Coordinate spaces: the one place that knows which pixels a box is in.

Cases and answers hold boxes in pixels of the *original* image; what a model reads and writes is in a space
of its family. All spaces have x to the right, y downwards, and the origin in the top left corner:

| space | unit | written as |
|---|---|---|
| `original` | pixels of the image on disk | whole numbers |
| `processed` | pixels of the resized image that the model sees | whole numbers |
| `thousandths` | 1/1000 of width and of height, 0 to 1000 | whole numbers |
| `unit` | shares of width and of height, 0 to 1 | four decimals |
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from vrft_aug.errors import UserError
from vrft_aug.nouns import Box, SpaceName

# transformers' config.model_type -> what the family was trained to write. The tiny model is a qwen2_5_vl.
# Gemma 3, Idefics 3 and SmolVLM were trained to write no boxes in particular: thousandths, which the prompt
# spells out, are our choice, as they resize to squares or cut into tiles, whose pixels mean nothing outside.
# PaliGemma writes location tokens (<loc0512>) in place of numbers and is not supported as a localiser.
FAMILY_SPACE: dict[str, SpaceName] = {
    "qwen2_5_vl": "processed",
    "qwen2_vl": "thousandths",
    "qwen3_vl": "thousandths",
    "gemma3": "thousandths",
    "idefics3": "thousandths",
    "smolvlm": "thousandths",
    "llava_next": "thousandths",
    "fast_vlm": "thousandths",  # what `vrft tiny photo` teaches
}
WORDING: dict[SpaceName, str] = {
    "original": "in pixels of the image",
    "processed": "in pixels of the image",
    "thousandths": "in thousandths of width and height",
    "unit": "as shares of width and height from 0 to 1",
}
MEANING: dict[SpaceName, str] = {
    "original": "pixels of the picture as it lies on disk",
    "processed": "pixels of the picture as the model sees it, after resizing",
    "thousandths": "thousandths of the picture's width and height",
    "unit": "shares of the picture's width and height",
}  # for people; WORDING is the model's
DECIMALS: dict[SpaceName, int] = {"original": 0, "processed": 0, "thousandths": 0, "unit": 4}


@dataclass(frozen=True)
class BoxSpace:
    """What a coordinate means to a model family."""

    name: SpaceName

    @property
    def wording(self) -> str:
        """The phrase of the prompt that tells the model."""
        return WORDING[self.name]

    @property
    def meaning(self) -> str:
        """Which pixels or units, in words for people."""
        return MEANING[self.name]


@dataclass(frozen=True)
class Frame:
    """One picture in two sizes, (width, height) each: as it lies on disk and as the model sees it."""

    original: tuple[int, int]
    processed: tuple[int, int]
    space: BoxSpace

    @property
    def extent(self) -> tuple[int, int]:
        """What the right and the bottom border are called in the model's space."""
        return {
            "original": self.original,
            "processed": self.processed,
            "thousandths": (1000, 1000),
            "unit": (1, 1),
        }[self.space.name]

    def to_model(self, box: Box) -> Box:
        """From original pixels to the model's space, not rounded."""
        (width, height), (w, h) = self.extent, self.original
        return replace(
            box, x1=box.x1 * width / w, y1=box.y1 * height / h, x2=box.x2 * width / w, y2=box.y2 * height / h
        )

    def to_original(self, box: Box) -> Box:
        """From the model's space to original pixels, not rounded."""
        (width, height), (w, h) = self.extent, self.original
        return replace(
            box, x1=box.x1 * w / width, y1=box.y1 * h / height, x2=box.x2 * w / width, y2=box.y2 * h / height
        )

    def spoken(self, box: Box) -> tuple[float, float, float, float]:
        """From original pixels to the corners as the model writes them: rounded, inside, never without area.

        Whole numbers are ints. Read back by `to_original` a corner is off by half a unit of the space at
        most: exact to the pixel wherever a unit is no wider than an original pixel.
        """
        decimals = DECIMALS[self.space.name]
        smallest = 10**decimals  # of these make one
        moved = self.to_model(box)
        x1, x2 = _inside(moved.x1, moved.x2, self.extent[0], smallest)
        y1, y2 = _inside(moved.y1, moved.y2, self.extent[1], smallest)
        if decimals == 0:
            return x1, y1, x2, y2
        return x1 / smallest, y1 / smallest, x2 / smallest, y2 / smallest


def _inside(low: float, high: float, extent: int, smallest: int) -> tuple[int, int]:
    """Both ends in whole multiples of 1/smallest: inside 0 to extent, and at least one apart."""
    start = min(max(round(low * smallest), 0), extent * smallest - 1)
    return start, min(max(round(high * smallest), start + 1), extent * smallest)


def family_space(model_type: str, override: SpaceName | None = None) -> BoxSpace:
    """The space of a model family by transformers' `config.model_type`; thousandths where unknown.

    `override` is the recipe's `model.coordinates`, which goes first.
    """
    return BoxSpace(override or FAMILY_SPACE.get(model_type, "thousandths"))


def patch_grid_size(
    original: tuple[int, int], factor: int, min_pixels: int, max_pixels: int
) -> tuple[int, int]:
    """(width, height) in pixels that the Qwen-VL families resize a picture of (width, height) pixels to.

    Both sides become multiples of `factor` (patch size times merge size) as near as can be; where that has
    more than `max_pixels` or fewer than `min_pixels` pixels, the picture is scaled and its sides rounded
    down or up. Equal to transformers' `smart_resize`, as a test holds; written here because that one brings
    torch and seconds of imports into `vrft check`. Raises UserError for sides more than 200:1.
    """
    if max(original) > 200 * min(original):
        raise UserError(
            f"an image of {original[0]} x {original[1]} pixels is too narrow; expected at most 200:1"
        )
    width, height = (round(side / factor) * factor for side in original)
    if width * height > max_pixels:
        shrink = math.sqrt(original[0] * original[1] / max_pixels)
        width, height = (max(factor, math.floor(side / shrink / factor) * factor) for side in original)
    elif width * height < min_pixels:
        grow = math.sqrt(min_pixels / (original[0] * original[1]))
        width, height = (math.ceil(side * grow / factor) * factor for side in original)
    return width, height
