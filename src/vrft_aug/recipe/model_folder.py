"""Where a model's own files lie on this disk, as far as its settings tell."""

from __future__ import annotations

from pathlib import Path

from vrft_aug.errors import UserError
from vrft_aug.recipe.schema import ModelConfig

TINY_FOLDER = Path(__file__).parents[1] / "tiny" / "weights"  # of the embedded model


def model_folder(config: ModelConfig) -> Path | None:
    """The folder of `tiny` or of a local model; None for a hub name, whose files are not here.

    Raises UserError where the embedded model has no weights.
    """
    if config.name != "tiny":
        folder = Path(config.name).expanduser()
        return folder if folder.is_dir() else None
    if not (TINY_FOLDER / "config.json").is_file():
        raise UserError(f"the embedded model `tiny` has no weights at {TINY_FOLDER}; run `vrft tiny build`")
    return TINY_FOLDER
