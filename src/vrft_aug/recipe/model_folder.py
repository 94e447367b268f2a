"""Where a model's own files, and those of its adapter, lie on this disk, as far as its settings tell."""

from __future__ import annotations

import json
from pathlib import Path

from vrft_aug.errors import UserError
from vrft_aug.recipe.model_config import ModelConfig

TINY_FOLDER = Path(__file__).parents[1] / "tiny" / "weights"  # of the embedded model
ADAPTER = "adapter"  # in a model's folder, what training has added to its base, in PEFT's format
ADAPTER_CONFIG, ADAPTER_WEIGHTS = "adapter_config.json", "adapter_model.safetensors"


def model_folder(config: ModelConfig) -> Path | None:
    """The folder of `tiny` or of a local model, or of an adapter's base; None for a hub name.

    Raises UserError where the embedded model has no weights, and as `with_base` does.
    """
    name = with_base(config).name
    if name != "tiny":
        folder = Path(name).expanduser()
        return folder if folder.is_dir() else None
    if not (TINY_FOLDER / "config.json").is_file():
        raise UserError(f"the embedded model `tiny` has no weights at {TINY_FOLDER}; run `vrft tiny build`")
    return TINY_FOLDER


def adapter_folder(config: ModelConfig) -> Path | None:
    """The folder of the adapter that the settings name, under `adapter` or as the model itself; None without.

    Raises UserError where `model.adapter` is no folder with an adapter.
    """
    named = Path(config.name if config.adapter is None else config.adapter).expanduser()
    if config.adapter is None and (named / "config.json").is_file():
        return None  # a whole model, also where its adapter lies beside it
    folder = next((place for place in (named, named / ADAPTER) if (place / ADAPTER_CONFIG).is_file()), None)
    if folder is None and config.adapter is not None:
        raise UserError(
            f"model.adapter {config.adapter} holds no {ADAPTER_CONFIG}; expected a folder in PEFT's "
            f"format, such as RUN/model/{ADAPTER}"
        )
    if folder is not None and not (folder / ADAPTER_WEIGHTS).is_file():
        raise UserError(f"adapter {folder} holds no {ADAPTER_WEIGHTS}; expected safetensors weights")
    return folder


def with_base(config: ModelConfig) -> ModelConfig:
    """The same settings with the base as `name` and the adapter as `adapter`, where the name is an adapter.

    Raises UserError where its adapter_config.json does not say what the base is.
    """
    folder = adapter_folder(config)
    if folder is None or config.adapter is not None:
        return config
    path = folder / ADAPTER_CONFIG
    try:
        base = json.loads(path.read_text(encoding="utf-8"))["base_model_name_or_path"]
    except (OSError, ValueError, KeyError, TypeError):
        base = None
    if not isinstance(base, str) or not base:
        raise UserError(
            f"{path} names no base model (base_model_name_or_path); set model.name to the base and "
            f"model.adapter to {folder}"
        )
    return config.model_copy(update={"name": base, "adapter": str(folder)})
