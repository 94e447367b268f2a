"""What families that do not make patch grids make of a picture: one square, tiles, or crops of a grid.

Equal to what transformers' processors do, as a test holds; written here because those bring torch and seconds
of imports into `vrft check`. Sizes are (width, height) in pixels.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

Size = tuple[int, int]
UPPER = 4096  # pixels a side, beyond which SmolVLM's processor makes no picture larger


@dataclass(frozen=True)
class Square:
    """Every picture is resized to one size: Gemma 3, LLaVA, the photo base."""

    size: Size
    tokens: int

    @property
    def token_side(self) -> int:
        """Pixels of the resized picture that a visual token is wide."""
        return max(1, round(self.size[0] / math.sqrt(self.tokens)))

    def seen(self, original: Size) -> Size:
        """The size of the picture as the model sees it."""
        return self.size

    def image_tokens(self, original: Size) -> int:
        """How many visual tokens it becomes."""
        return self.tokens


@dataclass(frozen=True)
class Tiles:
    """The longest side becomes `longest`, the picture is cut into tiles, and comes whole too: SmolVLM."""

    longest: int
    tile: int
    tokens: int  # of a tile
    split: bool = True

    @property
    def token_side(self) -> int:
        """Pixels of the resized picture that a visual token is wide."""
        return max(1, round(self.tile / math.sqrt(self.tokens)))

    def seen(self, original: Size) -> Size:
        """The size of all tiles together; of the one tile where nothing is cut."""
        columns, rows = self._grid(original)
        return columns * self.tile, rows * self.tile

    def image_tokens(self, original: Size) -> int:
        """Of all tiles, and of the whole picture beside them."""
        columns, rows = self._grid(original)
        return self.tokens if (columns, rows) == (1, 1) else (columns * rows + 1) * self.tokens

    def _grid(self, original: Size) -> tuple[int, int]:
        if not self.split:
            return 1, 1
        width, height = _bounded(*_rescaled(*original, self.longest))
        return math.ceil(width / self.tile), math.ceil(height / self.tile)


def _rescaled(width: int, height: int, longest: int) -> Size:
    ratio = width / height
    if width >= height:
        width, height = longest, int(longest / ratio)
        height += height % 2
    else:
        width, height = int(longest * ratio), longest
        width += width % 2
    return max(width, 1), max(height, 1)


def _bounded(width: int, height: int) -> Size:
    ratio = width / height
    if width >= height and width > UPPER:
        width, height = UPPER, int(UPPER / ratio)
    elif height > width and height > UPPER:
        width, height = int(UPPER * ratio), UPPER
    return max(width, 1), max(height, 1)


@dataclass(frozen=True)
class Crops:
    """The picture fits into the best of some grids of crops, and comes whole as one crop too: LLaVA-NeXT."""

    crop: int
    patch: int
    grids: tuple[Size, ...]
    more: int = 0  # tokens that are not patches: those of the processor, less one that the model drops

    @property
    def token_side(self) -> int:
        """Pixels of the resized picture that a visual token is wide."""
        return self.patch

    def seen(self, original: Size) -> Size:
        """The size of the picture in its grid, without what pads it."""
        width, height = original
        grid = self._best(original)
        across, down = grid[0] / width, grid[1] / height
        if across < down:
            return grid[0], min(math.ceil(height * across), grid[1])
        return min(math.ceil(width * down), grid[0]), grid[1]

    def image_tokens(self, original: Size) -> int:
        """Patches of the whole picture and of the grid without padding, and an end for each of its lines."""
        width, height = original
        side = self.crop // self.patch
        columns, rows = (extent // self.crop * side for extent in self._best(original))
        if width / height > columns / rows:
            rows -= (rows - int(round(height * (columns / width), 7))) // 2 * 2
        else:
            columns -= (columns - int(round(width * (rows / height), 7))) // 2 * 2
        return side * side + self.more + columns * rows + rows

    def _best(self, original: Size) -> Size:
        """The grid that keeps the most pixels, and of these the one that wastes the fewest."""
        width, height = original

        def merit(grid: Size) -> tuple[int, int]:
            scale = min(grid[0] / width, grid[1] / height)
            kept = min(int(width * scale) * int(height * scale), width * height)
            return kept, kept - grid[0] * grid[1]

        return max(self.grids, key=merit)


Cut = Square | Tiles | Crops
# What the hub's checkpoints are set to, for models that are only known by name.
GEMMA3 = Square((896, 896), 256)
IDEFICS3 = Tiles(4 * 364, 364, 169)
SMOLVLM = Tiles(4 * 384, 384, 81)
SMOLVLM_SMALL = Tiles(4 * 512, 512, 64)  # of 256 and 500 million parameters
LLAVA_NEXT = Crops(336, 14, ((672, 336), (336, 672), (672, 672), (336, 1008), (1008, 336)))


def named_cut(family: str, name: str) -> Cut | None:
    """The cut of a family's published checkpoints; `name` is the hub's. None for families of patch grids."""
    if family == "smolvlm":
        return SMOLVLM_SMALL if any(size in name.casefold() for size in ("256m", "500m")) else SMOLVLM
    named: dict[str, Cut] = {"gemma3": GEMMA3, "idefics3": IDEFICS3, "llava_next": LLAVA_NEXT}
    return named.get(family)


def settled_cut(
    family: str, processor: Mapping[str, Any], image: Mapping[str, Any], config: Mapping[str, Any]
) -> Cut | None:
    """The cut by a folder's settings: of the processor, of its image processor, of the model.

    None for families of patch grids and for those that are not known.
    """
    size, vision = image.get("size") or {}, config.get("vision_config") or {}
    if family == "gemma3":
        tokens = processor.get("image_seq_length") or config.get("mm_tokens_per_image") or GEMMA3.tokens
        return Square((size.get("width", 896), size.get("height", 896)), tokens)
    if family == "fast_vlm":
        width, height = size.get("width", 1024), size.get("height", 1024)
        patch = processor.get("patch_size") or 64
        return Square((width, height), (width // patch) * (height // patch))
    if family in ("smolvlm", "idefics3"):
        tile = (image.get("max_image_size") or {}).get("longest_edge") or 364
        tokens = processor.get("image_seq_len") or 169
        return Tiles(
            size.get("longest_edge") or 4 * tile, tile, tokens, image.get("do_image_splitting", True)
        )
    if family == "llava_next":
        crop = size.get("shortest_edge") or min(size.get("height", 336), size.get("width", 336))
        patch = processor.get("patch_size") or vision.get("patch_size") or 14
        grids = image.get("image_grid_pinpoints") or config.get("image_grid_pinpoints")
        drops = (processor.get("vision_feature_select_strategy") or "default") == "default"
        more = (processor.get("num_additional_image_tokens") or 0) - drops
        known = tuple((width, height) for height, width in grids) if grids else LLAVA_NEXT.grids
        return Crops(crop, patch, known, more)
    return None
