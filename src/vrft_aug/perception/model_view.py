"""How a model will see a picture, from its settings alone: no weights, no processor, no network."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vrft_aug.errors import UserError
from vrft_aug.perception.picture_cuts import Cut, named_cut, settled_cut
from vrft_aug.perception.spaces import FAMILY_SPACE, BoxSpace, Frame, family_space, patch_grid_size
from vrft_aug.recipe.model_config import ModelConfig
from vrft_aug.recipe.model_files import read_object
from vrft_aug.recipe.model_folder import model_folder

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
    cut: Cut | None = None  # of families that make no patch grids: what goes before the three numbers above

    def frame(self, original: tuple[int, int]) -> Frame:
        """The frame of a picture of (width, height) pixels."""
        if self.cut is not None:
            return Frame(original=original, processed=self.cut.seen(original), space=self.space)
        processed = patch_grid_size(original, self.factor, self.min_pixels, self.max_pixels)
        return Frame(original=original, processed=processed, space=self.space)

    def image_tokens(self, original: tuple[int, int]) -> int:
        """How many visual tokens a picture of (width, height) pixels becomes."""
        if self.cut is not None:
            return self.cut.image_tokens(original)
        width, height = self.frame(original).processed
        return (width // self.factor) * (height // self.factor)


def model_view(config: ModelConfig) -> View:
    """The view of the recipe's model: from the JSON files of `tiny` or of a folder, else by its hub name.

    The recipe's `min_pixels` and `max_pixels` go first. A hub name is taken for the family that it contains
    (qwen2.5-vl, qwen3-vl, gemma-3, smolvlm, idefics3, llava-v1.6), whose published settings are assumed.
    Raises UserError where a folder lacks the files.
    """
    folder = model_folder(config)
    if folder is not None:
        whole = read_object(folder / "config.json", f"model {folder.name}")
        model_type = str(whole.get("model_type"))
        settings = _image_settings(folder)
        cut = settled_cut(model_type, _processor_settings(folder), settings, whole)
    else:
        name = config.name.casefold().replace("-", "_").replace(".", "_")
        name = name.replace("gemma_3", "gemma3").replace("llava_v1_6", "llava_next")
        model_type = next((family for family in FAMILY_SPACE if family in name), "")
        settings, cut = {}, named_cut(model_type, config.name)
    if cut is not None and (config.min_pixels or config.max_pixels):
        raise limits_without_grid(config, model_type)
    size = settings.get("size") or {}
    smallest = config.min_pixels or settings.get("min_pixels") or size.get("shortest_edge") or MIN_PIXELS
    largest = config.max_pixels or settings.get("max_pixels") or size.get("longest_edge") or MAX_PIXELS
    factor = settings.get("patch_size", FAMILY_PATCH.get(model_type, PATCH)) * settings.get(
        "merge_size", MERGE
    )
    space = family_space(model_type, config.coordinates)
    return View(space, factor if cut is None else cut.token_side, smallest, largest, model_type, cut)


def limits_without_grid(config: ModelConfig, model_type: str) -> UserError:
    """What is said where pixel limits would change nothing: the family does not cut pictures into a grid."""
    name = "max_pixels" if config.max_pixels else "min_pixels"
    return UserError(
        f"model.{name} is {getattr(config, name)}, but models of type {model_type} bring every picture to "
        "sizes of their own; remove it"
    )


def _processor_settings(folder: Path) -> dict[str, Any]:
    """What the processor says besides its image processor's settings; nothing where it says nothing."""
    path = folder / "processor_config.json"
    return read_object(path, f"model {folder.name}") if path.is_file() else {}


def _image_settings(folder: Path) -> dict[str, Any]:
    """The image processor's settings, from where either generation of transformers writes them."""
    combined = folder / "processor_config.json"
    if combined.is_file() and "image_processor" in (whole := read_object(combined, f"model {folder.name}")):
        settings: dict[str, Any] = whole["image_processor"]
        return settings
    return read_object(folder / "preprocessor_config.json", f"model {folder.name}")
