"""Adapters: LoRA weights beside a model that stays as it is; made, loaded, saved, and merged into it."""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import torch

from vrft_aug.errors import UserError, nearest
from vrft_aug.recipe.model_config import ModelConfig

TRAINED = "default"  # PEFT's name of the adapter that is trained; TRL keeps a frozen copy for the KL as "ref"


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


def load_adapter(model: Any, folder: Path, training: bool) -> Any:
    """A base with the adapter in `folder`: a peft.PeftModel to train it, else the base with its layers in it.

    The adapter's weights lie in float32. Raises UserError where they do not fit the base.
    """
    from peft import PeftModel

    try:
        adapted = PeftModel.from_pretrained(model, folder, is_trainable=training)
    except (OSError, ValueError, RuntimeError, KeyError, TypeError) as error:
        reason = " ".join(str(error).split())[:200].rstrip(".")
        raise UserError(
            f"adapter {folder} cannot be put on {type(model).__name__}: {reason}; expected an adapter of "
            "this model in PEFT's format"
        ) from None
    return adapted if training else adapted.get_base_model()


def save_adapter(model: Any, folder: Path, base: str) -> None:
    """Write the adapter that was trained into `folder`, in PEFT's format; `base` is what it belongs to."""
    (settings,) = [config for name, config in model.peft_config.items() if name == TRAINED]
    settings.base_model_name_or_path = base
    # Whether embeddings have grown would be looked up on the hub; ours never do.
    model.save_pretrained(folder, selected_adapters=[TRAINED], save_embedding_layers=False)


@dataclass(frozen=True)
class Merge:
    """What merging an adapter into its base has cost."""

    dtype: str  # of the merged weights
    lost: float  # norm of what rounding took from the merged weights, by the norm of the adapter's change

    def __str__(self) -> str:
        return f"the adapter was merged into {self.dtype} weights: rounding lost {self.lost:.2g} of it"


def merge_adapter(model: Any) -> tuple[Any, Merge]:
    """Merge in float32, layer by layer, and round to what the base lies in; gives the base and the cost."""
    from peft.tuners.tuners_utils import BaseTunerLayer

    rounded_off, change, dtype = 0.0, 0.0, model.dtype
    for layer in [module for module in model.modules() if isinstance(module, BaseTunerLayer)]:
        base = layer.get_base_layer()
        before = {name: weight.detach().clone() for name, weight in base.named_parameters()}
        base.to(torch.float32)
        layer.merge(adapter_names=[TRAINED])
        for name, weight in base.named_parameters():
            exact, own = weight.data, before[name]
            weight.data = exact.to(own.dtype)
            rounded_off += float((weight.data.double() - exact.double()).square().sum())
            change += float((exact.double() - own.double()).square().sum())
    lost = (rounded_off / change) ** 0.5 if change else 0.0
    return model.base_model.unload(), Merge(str(dtype).removeprefix("torch."), lost)
