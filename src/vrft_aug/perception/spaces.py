"""Coordinate spaces: the one place that knows which pixels a box is in.

Cases and answers hold boxes in pixels of the *original* image. A model family speaks either *processed*
pixels (of the resized image that it sees: Qwen2.5-VL, and the embedded tiny model, which has its
architecture) or *thousandths* of width and height (0-1000: Qwen2-VL, Qwen3-VL).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Literal

from vrft_aug.errors import UserError
from vrft_aug.nouns import Box

SpaceName = Literal["processed", "thousandths"]
FAMILY_SPACE: dict[str, SpaceName] = {
    "qwen2_5_vl": "processed",
    "qwen2_vl": "thousandths",
    "qwen3_vl": "thousandths",
}  # transformers' config.model_type -> what the family was trained to speak
WORDING: dict[SpaceName, str] = {
    "processed": "in pixels of the image",
    "thousandths": "in thousandths of width and height",
}


@dataclass(frozen=True)
class BoxSpace:
    """What a coordinate means to a model family."""

    name: SpaceName

    @property
    def wording(self) -> str:
        """The phrase of the prompt that tells the model."""
        return WORDING[self.name]


@dataclass(frozen=True)
class Frame:
    """One picture in two sizes, (width, height) each: as it lies on disk and as the model sees it."""

    original: tuple[int, int]
    processed: tuple[int, int]
    space: BoxSpace

    def _scale(self) -> tuple[float, float]:
        width, height = self.processed if self.space.name == "processed" else (1000, 1000)
        return width / self.original[0], height / self.original[1]

    def to_model(self, box: Box) -> Box:
        """From original pixels to what the model speaks, not rounded."""
        sx, sy = self._scale()
        return replace(box, x1=box.x1 * sx, y1=box.y1 * sy, x2=box.x2 * sx, y2=box.y2 * sy)

    def to_original(self, box: Box) -> Box:
        """From what the model speaks to original pixels, not rounded."""
        sx, sy = self._scale()
        return replace(box, x1=box.x1 / sx, y1=box.y1 / sy, x2=box.x2 / sx, y2=box.y2 / sy)


def family_space(model_type: str) -> BoxSpace:
    """The space of a model family by transformers' `config.model_type`; thousandths where unknown."""
    return BoxSpace(FAMILY_SPACE.get(model_type, "thousandths"))


def patch_grid_size(
    original: tuple[int, int], factor: int, min_pixels: int, max_pixels: int
) -> tuple[int, int]:
    """(width, height) in pixels that the Qwen-VL families resize a picture of (width, height) pixels to.

    Both sides become multiples of `factor` (patch size times merge size) as near as can be; where that has
    more than `max_pixels` or fewer than `min_pixels` pixels, the picture is scaled and its sides rounded
    down or up. Equal to transformers' `smart_resize`. Raises UserError for sides more than 200:1.
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
