"""How a model will see a picture, from its settings alone: no weights, no processor, no network."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vrft_aug.errors import UserError
from vrft_aug.perception.spaces import FAMILY_SPACE, BoxSpace, Frame, family_space, patch_grid_size
from vrft_aug.recipe.model_folder import model_folder
from vrft_aug.recipe.schema import ModelConfig

# What the hub's Qwen2.5-VL checkpoints are set to; used for models that are only known by name.
PATCH, MERGE, MIN_PIXELS, MAX_PIXELS = 14, 2, 56 * 56, 12_845_056
FAMILY_PATCH = {"qwen3_vl": 16}
GRIDS = ("qwen2_vl", "qwen2_5_vl", "qwen3_vl")  # families whose pictures become grids of patches


@dataclass(frozen=True)
class View:
    """What a model makes of pictures and of coordinates."""

    space: BoxSpace
    factor: int  # sides of the processed image are multiples of so many pixels; one visual token's side
    min_pixels: int  # of the processed image
    max_pixels: int
    family: str = ""  # transformers' model_type, as far as it is known

    def frame(self, original: tuple[int, int]) -> Frame:
        """The frame of a picture of (width, height) pixels."""
        processed = patch_grid_size(original, self.factor, self.min_pixels, self.max_pixels)
        return Frame(original=original, processed=processed, space=self.space)

    def image_tokens(self, original: tuple[int, int]) -> int:
        """How many visual tokens a picture of (width, height) pixels becomes."""
        width, height = self.frame(original).processed
        return (width // self.factor) * (height // self.factor)


def model_view(config: ModelConfig) -> View:
    """The view of the recipe's model: from the JSON files of `tiny` or of a folder, else by its hub name.

    The recipe's `min_pixels` and `max_pixels` go first. A hub name is taken for the family that it contains
    (qwen2.5-vl, qwen2-vl, qwen3-vl). Raises UserError where a folder lacks the files.
    """
    folder = model_folder(config)
    if folder is not None:
        model_type = str(_read(folder / "config.json").get("model_type"))
        settings = _image_settings(folder)
    else:
        name = config.name.casefold().replace("-", "_").replace(".", "_")
        model_type = next((family for family in FAMILY_SPACE if family in name), "")
        settings = {}
    size = settings.get("size") or {}
    smallest = config.min_pixels or settings.get("min_pixels") or size.get("shortest_edge") or MIN_PIXELS
    largest = config.max_pixels or settings.get("max_pixels") or size.get("longest_edge") or MAX_PIXELS
    factor = settings.get("patch_size", FAMILY_PATCH.get(model_type, PATCH)) * settings.get(
        "merge_size", MERGE
    )
    return View(family_space(model_type, config.coordinates), factor, smallest, largest, model_type)


def _image_settings(folder: Path) -> dict[str, Any]:
    """The image processor's settings, from where either generation of transformers writes them."""
    combined = folder / "processor_config.json"
    if combined.is_file() and "image_processor" in (whole := _read(combined)):
        settings: dict[str, Any] = whole["image_processor"]
        return settings
    return _read(folder / "preprocessor_config.json")


def _read(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(
            f"{path} cannot be read: {error}; expected the folder of a transformers model"
        ) from None
    if not isinstance(content, dict):
        raise UserError(f"{path} is no JSON object; expected the folder of a transformers model")
    return content
