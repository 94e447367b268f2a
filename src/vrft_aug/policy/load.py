"""The policy: a vision-language model, its processor, and what its family calls a coordinate."""

from __future__ import annotations

import logging
import os
import sys
import warnings
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError

from vrft_aug.errors import UserError
from vrft_aug.perception.model_view import limits_without_grid
from vrft_aug.perception.spaces import BoxSpace, Frame, family_space
from vrft_aug.policy.adapters import load_adapter
from vrft_aug.policy.hardware import choose_device, take_gpu
from vrft_aug.policy.out_of_memory import ran_out_of_memory
from vrft_aug.policy.precision import weights_dtype
from vrft_aug.recipe.model_config import ModelConfig
from vrft_aug.recipe.model_files import read_model_files, read_object, refuse_wrong_load, refuse_wrong_name
from vrft_aug.recipe.model_folder import ADAPTER, adapter_folder, model_folder, with_base

# What a folder must hold, one of each line.
PROCESSOR_ARGUMENTS = ("revision", "subfolder", "cache_dir", "local_files_only", "token")


@dataclass(frozen=True)
class Policy:
    """A model that writes completions, with all that is needed to talk to it."""

    model: Any  # a transformers model for image-text-to-text, or a peft.PeftModel that holds one
    processor: Any  # its processor, padding on the left
    space: BoxSpace
    name: str  # what it was loaded from
    dtype: torch.dtype  # what it computes in; the weights may lie in a wider one, see precision.py
    adapter: Path | None = None  # the folder of the adapter that it was loaded with
    sizes: dict[tuple[int, int], tuple[int, int]] = field(default_factory=dict, compare=False, repr=False)

    @property
    def device(self) -> torch.device:
        """Where the model's weights lie."""
        device: torch.device = self.model.device
        return device

    def frame(self, original: tuple[int, int]) -> Frame:
        """The frame of a picture of (width, height) pixels, its processed size told by the image processor.

        Families without patch grids answer with the original size, as most spaces need no other. Raises
        UserError where the policy speaks processed pixels all the same.
        """
        if original not in self.sizes:
            self.sizes[original] = self._processed_size(original)
        return Frame(original=original, processed=self.sizes[original], space=self.space)

    def _processed_size(self, original: tuple[int, int]) -> tuple[int, int]:
        from PIL import Image

        processor = self.processor.image_processor
        grid = processor(images=[Image.new("RGB", original)], return_tensors="pt").get("image_grid_thw")
        if grid is not None:
            _, rows, columns = grid[0].tolist()
            return columns * processor.patch_size, rows * processor.patch_size
        if self.space.name == "processed":
            raise UserError(
                f"model {self.name!r} does not say what it resizes a picture to, so boxes cannot be in "
                "processed pixels; set model.coordinates to thousandths, unit or original"
            )
        return original


def load_policy(config: ModelConfig, training: bool = False) -> Policy:
    """Load model and processor: the embedded `tiny`, a local folder, or a hub name; safetensors only.

    For `training` the weights lie in what they are trained in, which may be wider than `model.dtype`. Raises
    UserError where there is none, where it is no vision-language model, where the device asked for is not
    there, and for a precision that cannot be trained in.
    """
    from transformers import AutoConfig, AutoModelForImageTextToText, AutoProcessor

    quiet_libraries()
    refuse_wrong_load(config)
    adapter, config = adapter_folder(config), with_base(config)
    source, dtype = _source(config), weights_dtype(config, training)
    shared = {k: v for k, v in config.load.items() if k in PROCESSOR_ARGUMENTS}
    limits = {"min_pixels": config.min_pixels, "max_pixels": config.max_pixels}
    shared["trust_remote_code"] = config.trust_remote_code
    try:
        AutoConfig.from_pretrained(source, **shared)  # a wrong name or no network shows here, once
        processor = AutoProcessor.from_pretrained(
            source, padding_side="left", **{k: v for k, v in limits.items() if v is not None}, **shared
        )
        model, info = AutoModelForImageTextToText.from_pretrained(
            source,
            dtype=dtype,
            use_safetensors=True,
            output_loading_info=True,
            **{**config.load, "trust_remote_code": config.trust_remote_code},
        )
    except (OSError, ValueError, TypeError, ImportError, KeyError, SafetensorError) as error:
        reason = " ".join(str(error).split())[:200].rstrip(".")
        raise UserError(f"model {config.name!r} cannot be loaded: {reason}; {_expected(config)}") from None
    if missing := info["missing_keys"]:
        raise UserError(
            f"model {config.name!r} lacks {len(missing)} weights, such as {min(missing)}; "
            f"expected all weights of {type(model).__name__}"
        )
    if not hasattr(processor, "image_processor"):
        raise UserError(f"model {config.name!r} has no image processor; expected a vision-language model")
    if any(limits.values()) and not hasattr(processor.image_processor, "merge_size"):
        raise limits_without_grid(config, str(model.config.model_type))
    device = choose_device(config)
    if device == "cuda":
        take_gpu()
    try:
        model = model.to(device)
    except (RuntimeError, MemoryError) as error:
        if not ran_out_of_memory(error):
            raise
        raise UserError(
            f"model {config.name!r} in {str(dtype).removeprefix('torch.')} does not fit the memory of "
            f"{device}; set model.dtype: bfloat16 and model.lora, or a smaller model"
        ) from error
    if adapter is not None:
        model = load_adapter(model, adapter, training)
    return Policy(
        model=model,
        processor=processor,
        space=family_space(model.config.model_type, config.coordinates),
        name=config.name if adapter is None else f"{config.name} with {adapter}",
        adapter=adapter,
        dtype=getattr(torch, config.dtype),
    )


def model_without_weights(config: ModelConfig, whole: bool = True) -> Any:
    """The model's modules as its config.json describes them, on the meta device: no weights are read or made.

    Unless the model must be `whole`, a folder with config.json alone will do. Raises UserError where the
    model's configuration cannot be read.
    """
    from transformers import AutoConfig, AutoModelForImageTextToText

    quiet_libraries()
    config = with_base(config)
    shared = {k: v for k, v in config.load.items() if k in PROCESSOR_ARGUMENTS}
    source = _source(config, whole)
    try:
        described = AutoConfig.from_pretrained(source, trust_remote_code=config.trust_remote_code, **shared)
        with torch.device("meta"):
            return AutoModelForImageTextToText.from_config(
                described, trust_remote_code=config.trust_remote_code
            )
    except (OSError, ValueError) as error:
        if model_folder(config) is None and isinstance(error, OSError):
            raise UserError(
                f"model {config.name!r}: its config.json is neither on this disk nor to be had from the hub; "
                "set model.name to a folder that holds it, or go where there is a network"
            ) from None
        reason = " ".join(str(error).split())[:300].rstrip(".")
        raise UserError(f"model {config.name!r} cannot be described: {reason}") from None


def _source(config: ModelConfig, whole: bool = True) -> str:
    """What to give to from_pretrained; what a folder lacks is found here instead of in a failed download.

    A model that need not be `whole` has at least its config.json.
    """
    refuse_wrong_name(config)
    folder = model_folder(config)
    if folder is None:
        return config.name
    if whole:
        read_model_files(folder, config.name)
    else:
        read_object(folder / "config.json", f"model {config.name}")
    return str(folder)


def _expected(config: ModelConfig) -> str:
    """What else to try where a model cannot be loaded."""
    if model_folder(config) is not None:
        return "expected a vision-language model as transformers saves it, with safetensors weights"
    return (
        "expected `tiny`, a folder, or the hub name of a vision-language model with safetensors weights; a "
        "gated one wants `hf auth login` once, and without a network its files must be there from before"
    )


def written_model(config: ModelConfig, folder: Path, training: bool = False) -> ModelConfig:
    """The same settings for what a run has written to `folder`: the whole model, else its base and adapter.

    To go on `training`, the adapter goes first: merging has rounded it.
    """
    if (adapter := folder / ADAPTER).is_dir() and (training or not (folder / "config.json").is_file()):
        return with_base(config).model_copy(update={"adapter": str(adapter), "lora": None})
    load = {key: value for key, value in config.load.items() if key not in ("revision", "subfolder")}
    return config.model_copy(update={"name": str(folder), "load": load, "adapter": None})


def quiet_libraries() -> None:
    """No usage reports to the hub, no progress bars but ours, no notes between library authors.

    The trainers report model type and library versions over the network unless told not to; nobody who
    trains on clinical images expects that. TRANSFORMERS_VERBOSITY brings the libraries' own notes back.
    """
    import transformers
    from huggingface_hub import constants
    from huggingface_hub.utils.tqdm import disable_progress_bars

    constants.HF_HUB_DISABLE_TELEMETRY = True
    disable_progress_bars()
    os.environ.setdefault("VLLM_NO_USAGE_STATS", "1")  # where it is installed, TRL imports it
    os.environ.setdefault("VLLM_LOGGING_LEVEL", "ERROR")
    transformers.utils.logging.disable_progress_bar()
    if "TRANSFORMERS_VERBOSITY" not in os.environ:
        transformers.utils.logging.set_verbosity_error()
        os.environ.setdefault("DATASETS_VERBOSITY", "error")  # imported, slowly, by those who need it alone
        if "datasets" in sys.modules:
            sys.modules["datasets"].utils.logging.set_verbosity_error()
        logging.getLogger("huggingface_hub").setLevel(logging.ERROR)
        warnings.filterwarnings("ignore", category=FutureWarning, module=r"(transformers|trl|peft|vllm)\b")
        warnings.filterwarnings("ignore", "TRL currently supports vLLM", UserWarning)  # ours was tried
