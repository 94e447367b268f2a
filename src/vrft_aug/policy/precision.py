"""In what precision weights lie and are changed.

A step of reinforcement learning changes a weight by about the learning rate, 1e-6. Neighbouring bfloat16
numbers around 0.02 are 1.2e-4 apart: such a change rounds away, and most weights never move. So what is
trained lies in float32, and computes in bfloat16 under autocast. Bytes for each parameter, Adam's two
moments included, activations not:

| `model.dtype` | weights that are trained | their gradient and moments | frozen base |
|---|---|---|---|
| float32 | 4 | 12 | - |
| bfloat16 | 4, and 2 for the copy that a pass computes with | 12 | - |
| either, with `model.lora` | 4, of the adapter | 12, of the adapter | 4 in float32, 2 in bfloat16 |
| float16 | refused: without loss scaling its gradients underflow | | |
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from vrft_aug.errors import UserError
from vrft_aug.recipe.model_config import ModelConfig
from vrft_aug.recipe.model_folder import adapter_folder
from vrft_aug.recipe.stage_config import StageConfig

if TYPE_CHECKING:
    import torch


def weights_dtype(config: ModelConfig, training: bool) -> torch.dtype:
    """What the weights of the model (with an adapter, of its base) are loaded in.

    Raises UserError for training in float16.
    """
    import torch  # takes seconds, which `vrft check` need not wait for

    if training:
        _refuse_float16(config)
    if training and config.dtype == "bfloat16" and not _adapts(config):
        return torch.float32  # autocast computes in bfloat16
    dtype: torch.dtype = getattr(torch, config.dtype)
    return dtype


def check_precision(stage: StageConfig, config: ModelConfig) -> None:
    """Raise UserError where model or trainer settings name a precision that loses the updates."""
    _refuse_float16(config)
    trainer, who = stage.trainer, stage.place
    if trainer.get("fp16"):
        raise UserError(
            f"{who}.trainer.fp16 trains in float16, whose gradients underflow; remove it and set "
            "model.dtype to bfloat16 or float32"
        )
    if config.dtype == "bfloat16" and not _adapts(config) and trainer.get("bf16") is False:
        raise UserError(
            f"{who}.trainer.bf16 is false, but model.dtype is bfloat16, and an update of 1e-6 to a bfloat16 "
            "weight rounds away; remove trainer.bf16 (then float32 weights compute in bfloat16), or train "
            "with model.lora (a float32 adapter over a bfloat16 base), or set model.dtype to float32"
        )


def _refuse_float16(config: ModelConfig) -> None:
    if config.dtype == "float16":
        raise UserError(
            "model.dtype is float16, in which training destroys a model: its gradients underflow; set "
            "model.dtype to bfloat16 or float32 (float16 is for evaluate and predict alone)"
        )


def _adapts(config: ModelConfig) -> bool:
    """Whether an adapter is trained, and not the model."""
    return config.lora is not None or adapter_folder(config) is not None
