"""The policy: a vision-language model, its processor, and what its family calls a coordinate."""

from __future__ import annotations

import logging
import os
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import torch

from vrft_aug.errors import UserError, nearest
from vrft_aug.nouns import Message, Prompt
from vrft_aug.perception.spaces import BoxSpace, Frame, family_space
from vrft_aug.recipe.model_folder import model_folder
from vrft_aug.recipe.schema import ModelConfig

# Arguments of from_pretrained that the recipe sets elsewhere or that the product never varies.
OWNED_BY_MODEL = {
    "dtype": "model.dtype",
    "torch_dtype": "model.dtype",
    "trust_remote_code": "model.trust_remote_code",
    "use_safetensors": "nothing (always true)",
    "device_map": "model.device",
}
PROCESSOR_ARGUMENTS = ("revision", "subfolder", "cache_dir", "local_files_only", "token")


@dataclass(frozen=True)
class Policy:
    """A model that writes completions, with all that is needed to talk to it."""

    model: Any  # a transformers model for image-text-to-text
    processor: Any  # its processor, padding on the left
    space: BoxSpace
    name: str  # what it was loaded from
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


def load_policy(config: ModelConfig) -> Policy:
    """Load model and processor: the embedded `tiny`, a local folder, or a hub name; safetensors only.

    Raises UserError where there is none, where it is no vision-language model, or without CUDA if asked for.
    """
    from transformers import AutoConfig, AutoModelForImageTextToText, AutoProcessor

    quiet_libraries()
    for key, setting in OWNED_BY_MODEL.items():
        if key in config.load:
            raise UserError(f"model.load: {key} is set by {setting}")
    source = _source(config)
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
            dtype=getattr(torch, config.dtype),
            use_safetensors=True,
            output_loading_info=True,
            **{**config.load, "trust_remote_code": config.trust_remote_code},
        )
    except (OSError, ValueError) as error:
        reason = " ".join(str(error).split())[:300].rstrip(".")
        raise UserError(
            f"model {config.name!r} cannot be loaded: {reason}; expected `tiny`, a transformers folder with "
            f"safetensors weights, or the hub name of a vision-language model"
        ) from None
    if missing := info["missing_keys"]:
        raise UserError(
            f"model {config.name!r} lacks {len(missing)} weights, such as {min(missing)}; "
            f"expected all weights of {type(model).__name__}"
        )
    if not hasattr(processor, "image_processor"):
        raise UserError(f"model {config.name!r} has no image processor; expected a vision-language model")
    return Policy(
        model=model.to(choose_device(config)),
        processor=processor,
        space=family_space(model.config.model_type, config.coordinates),
        name=config.name,
    )


def _source(config: ModelConfig) -> str:
    """What to give to from_pretrained; a missing folder is found here instead of in a failed download."""
    name, folder = config.name, model_folder(config)
    if folder is not None:
        if not (folder / "config.json").is_file():
            raise UserError(f"model folder {name} holds no config.json; expected a transformers folder")
        return str(folder)
    if name.startswith((".", "/", "~")) or name.count("/") > 1:
        raise UserError(f"model folder {name} does not exist")
    return name


def written_model(config: ModelConfig, folder: Path) -> ModelConfig:
    """The same settings for weights that a run has written to `folder`: no revision of a remote place."""
    load = {key: value for key, value in config.load.items() if key not in ("revision", "subfolder")}
    return config.model_copy(update={"name": str(folder), "load": load})


def choose_device(config: ModelConfig) -> str:
    """`cpu` or `cuda` for the recipe's `auto`, `cpu` or `cuda`."""
    if config.device == "cuda" and not torch.cuda.is_available():
        raise UserError(
            "model.device is cuda, but torch finds no CUDA device; set model.device to auto or cpu"
        )
    if config.device == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    return config.device


def lora_config(config: ModelConfig) -> Any | None:
    """The peft.LoraConfig of the recipe's `model.lora`, or None for full fine-tuning."""
    if config.lora is None:
        return None
    from peft import LoraConfig

    known = [f.name for f in fields(LoraConfig)]
    for key in config.lora:
        if key not in known:
            raise UserError(f"model.lora: peft.LoraConfig has no setting {key!r}{nearest(key, known)}")
    try:
        return LoraConfig(**{"task_type": "CAUSAL_LM", "target_modules": "all-linear", **config.lora})
    except (TypeError, ValueError) as error:
        raise UserError(f"model.lora: {' '.join(str(error).split())}") from None


def chat_with_images(prompt: Prompt) -> list[Message]:
    """The messages of a prompt with the opened pictures in their image parts."""
    images = iter([ref.open() for ref in prompt.images])
    return [
        {
            **message,
            "content": [
                {**part, "image": next(images)} if part["type"] == "image" else part
                for part in message["content"]
            ],
        }
        for message in prompt.messages
    ]


def encode_chats(policy: Policy, chats: Sequence[Sequence[Message]]) -> Any:
    """The model's inputs for chats with images, left-padded: input_ids (B, P), pixel_values, ..."""
    return policy.processor.apply_chat_template(
        [list(chat) for chat in chats],
        add_generation_prompt=True,
        tokenize=True,
        return_dict=True,
        return_tensors="pt",
        processor_kwargs={"padding": True},
    )


def eos_token_ids(policy: Policy) -> list[int]:
    """Every token that ends a completion: the model's and the tokenizer's."""
    declared = policy.model.generation_config.eos_token_id
    ids = [] if declared is None else [declared] if isinstance(declared, int) else list(declared)
    own = policy.processor.tokenizer.eos_token_id
    return ids if own in ids else [own, *ids]


def context_length(policy: Policy) -> int:
    """How many tokens, prompt and completion together, the model was made for."""
    length = getattr(policy.model.config.get_text_config(), "max_position_embeddings", None)
    return int(length) if length else 1 << 31


def quiet_libraries() -> None:
    """No usage reports to the hub, no progress bars but ours, no notes between library authors.

    The trainers report model type and library versions over the network unless told not to; nobody who
    trains on clinical images expects that. TRANSFORMERS_VERBOSITY brings the libraries' own notes back.
    """
    import datasets
    import transformers
    from huggingface_hub import constants
    from huggingface_hub.utils.tqdm import disable_progress_bars

    constants.HF_HUB_DISABLE_TELEMETRY = True
    disable_progress_bars()
    transformers.utils.logging.disable_progress_bar()
    if "TRANSFORMERS_VERBOSITY" not in os.environ:
        transformers.utils.logging.set_verbosity_error()
        datasets.utils.logging.set_verbosity_error()
        logging.getLogger("huggingface_hub").setLevel(logging.ERROR)
        warnings.filterwarnings("ignore", category=FutureWarning, module=r"(transformers|trl|peft)\b")
