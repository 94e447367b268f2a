"""What the files of a model say, its weights unread: is it whole, how large, how long its context."""

from __future__ import annotations

import json
import math
import os
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from vrft_aug.errors import UserError, nearest, shown
from vrft_aug.recipe.model_config import ModelConfig
from vrft_aug.recipe.model_folder import model_folder, with_base

NEEDED = (  # any of each
    ("processor_config.json", "preprocessor_config.json"),
    ("tokenizer.json", "*.model", "vocab.*", "tekken.json"),
)
WEIGHTS, INDEX = "model.safetensors", "model.safetensors.index.json"
# Arguments of from_pretrained that the recipe sets elsewhere or that the product never varies,
OWNED_BY_MODEL = {
    "dtype": "model.dtype",
    "torch_dtype": "model.dtype",
    "trust_remote_code": "model.trust_remote_code",
    "use_safetensors": "nothing (always true)",
    "device_map": "model.device",
}
# and those that it takes besides what a model's config.json holds.
LOADING = (
    "revision", "code_revision", "subfolder", "variant", "cache_dir", "local_files_only", "force_download",
    "token", "proxies", "attn_implementation", "experts_implementation", "quantization_config", "key_mapping",
    "max_memory", "offload_folder", "offload_buffers", "use_kernels", "low_cpu_mem_usage",
)  # fmt: skip
ATTENTION = ("eager", "sdpa", "flex_attention", "flash_attention_2", "flash_attention_3")
PHOTO_BASE = "photo-base"  # what shipped recipes call the folder that `vrft tiny photo` writes
EXAMPLE = "Qwen/Qwen2.5-VL-3B-Instruct"


@dataclass(frozen=True)
class ModelFiles:
    """A model on this disk, by its JSON files and the headers of its weights."""

    folder: Path
    model_type: str
    parameters: int
    context: int | None  # tokens that it was made for; None where it does not say


def model_files(config: ModelConfig) -> ModelFiles | None:
    """The files of the recipe's model, all of them found to be there; None for a hub name that is not here.

    A hub name is looked for in the hub's cache, never on the network. Raises UserError where the name can be
    none, and where a folder lacks what training needs or a file of weights is cut.
    """
    refuse_wrong_name(config)
    base = with_base(config)
    folder = model_folder(config)
    refuse_wrong_load(config, read_object(folder / "config.json", base.name) if folder is not None else None)
    if folder is None and (folder := _in_cache(base)) is None:
        return None
    return read_model_files(folder, base.name)


def files_without_weights(config: ModelConfig) -> ModelFiles | None:
    """As `model_files`, of a folder that need not hold weights, nor all that training takes; 0 parameters.

    Raises UserError where the name can be none, and where a folder holds no config.json of a model.
    """
    refuse_wrong_name(config)
    base = with_base(config)
    folder = model_folder(config)
    if folder is None and (folder := _in_cache(base)) is None:
        return None
    described = read_object(folder / "config.json", f"model {base.name}")
    return ModelFiles(folder, str(described.get("model_type")), 0, _context(described))


def refuse_wrong_load(config: ModelConfig, described: dict[str, Any] | None = None) -> None:
    """Raise UserError for what `model.load` may not hold; `described` is config.json, where it is known."""
    known = [*LOADING, *(described or {}), *((described or {}).get("text_config") or {})]
    for key, value in config.load.items():
        if key in OWNED_BY_MODEL:
            raise UserError(f"model.load: {key} is set by {OWNED_BY_MODEL[key]}")
        if described is not None and key not in known:
            raise UserError(
                f"model.load: from_pretrained takes no {key!r}{nearest(key, known)}; expected one of its own "
                f"arguments ({', '.join(LOADING[:6])}, ...) or a key of the model's config.json"
            )
        named = value if isinstance(value, str) else ""
        if key == "attn_implementation" and named not in ATTENTION and "/" not in named:
            raise UserError(
                f"model.load.attn_implementation is {shown(value)}{nearest(named, ATTENTION)}; expected one "
                f"of {', '.join(ATTENTION)}"
            )
        if named == "flash_attention_2" and find_spec("flash_attn") is None:
            raise UserError(
                "model.load.attn_implementation is 'flash_attention_2', but flash-attn is not installed; "
                "install it, or use sdpa"
            )


def refuse_wrong_name(config: ModelConfig) -> None:
    """Raise UserError where the name is neither `tiny`, nor a folder, nor can be one of the hub."""
    name = with_base(config).name
    if model_folder(config) is not None:
        return
    if name == PHOTO_BASE:
        raise UserError(
            f"model folder {name} is not here yet; make it with `vrft tiny photo {name} --pictures RECIPE`, "
            "or set model.name to where you have it"
        )
    if name.startswith((".", "/", "~")) or name.count("/") > 1 or (os.sep == "\\" and os.sep in name):
        near = _sibling(Path(name).expanduser())
        raise UserError(f"model folder {name} does not exist{near}")
    if name.count("/") == 0 or name.startswith("/") or name.endswith("/"):
        raise UserError(
            f"model.name is {name!r}{nearest(name.casefold(), ['tiny']) or ';'} expected `tiny`, a folder, "
            f"or a hub name like {EXAMPLE}"
        )


def read_model_files(folder: Path, name: str) -> ModelFiles:
    """What a transformers folder holds; UserError, naming what is missing, where it is no whole model."""
    config = read_object(folder / "config.json", f"model {name}")
    model_type = config.get("model_type")
    if not isinstance(model_type, str) or not model_type:
        raise UserError(
            f"model {name}: {folder / 'config.json'} names no model_type; expected a transformers folder"
        )
    for files in NEEDED:
        if not any(any(folder.glob(pattern)) for pattern in files):
            raise UserError(
                f"model folder {name} holds no {' or '.join(files)}; expected a transformers folder with "
                "config, weights, tokenizer and image processor, as `save_pretrained` writes them (a "
                "processor can be copied from the model that this one was made from)"
            )
    return ModelFiles(folder, model_type, sum(map(_parameters, _weights(folder, name))), _context(config))


def read_object(path: Path, what: str) -> dict[str, Any]:
    """The JSON object in a file; UserError where there is none."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(
            f"{what}: {path.parent} holds no {path.name}; expected a transformers folder"
        ) from None
    except (OSError, ValueError) as error:
        why = " ".join(str(error).split())[:150]
        raise UserError(
            f"{what}: {path} is not a valid JSON file: {why}; expected a transformers folder"
        ) from None
    if not isinstance(content, dict):
        raise UserError(f"{what}: {path} holds no object with a model_type; expected a transformers folder")
    return content


def _weights(folder: Path, name: str) -> list[Path]:
    """The files of weights, all of them there."""
    if (folder / WEIGHTS).is_file():
        return [folder / WEIGHTS]
    if not (folder / INDEX).is_file():
        other = next(
            (path.name for pattern in ("*.bin", "*.pt", "*.gguf") for path in folder.glob(pattern)), ""
        )
        also = f" ({other} is no safetensors file; convert it)" if other else ""
        raise UserError(f"model folder {name} holds no *.safetensors{also}; expected safetensors weights")
    placed = read_object(folder / INDEX, f"model {name}").get("weight_map")
    files = sorted(set(placed.values())) if isinstance(placed, dict) else []
    for file in files:
        if not (folder / file).is_file():
            raise UserError(f"model {name}: {folder} lacks {file}, which {INDEX} names; download it again")
    return [folder / file for file in files]


def _parameters(path: Path) -> int:
    """How many numbers a file of weights holds, by its header; UserError where it is cut or another file."""
    size = path.stat().st_size
    try:
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            if length > min(size, 100_000_000):
                raise ValueError("its header is longer than the file")
            header = json.loads(file.read(length))
        tensors = [one for key, one in header.items() if key != "__metadata__"]
        if 8 + length + max((one["data_offsets"][1] for one in tensors), default=0) != size:
            raise ValueError("it is cut off, or longer than its header says")
        return sum(math.prod(one["shape"]) for one in tensors)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(
            f"{path} is no whole safetensors file: {' '.join(str(error).split())[:120]}; download it again"
        ) from None


def _context(config: dict[str, Any]) -> int | None:
    text = config.get("text_config")
    for place in (text if isinstance(text, dict) else {}, config):
        length = place.get("max_position_embeddings")
        if isinstance(length, int) and length > 0:
            return length
    return None


def _in_cache(config: ModelConfig) -> Path | None:
    from huggingface_hub import try_to_load_from_cache

    revision, cache = config.load.get("revision"), config.load.get("cache_dir")
    found = try_to_load_from_cache(config.name, "config.json", cache_dir=cache, revision=revision)
    return Path(found).parent if isinstance(found, str) else None


def _sibling(path: Path) -> str:
    try:
        return nearest(path.name, [one.name for one in path.parent.iterdir() if one.is_dir()])
    except OSError:
        return ""
