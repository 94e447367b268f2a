"""Stages whose weights, gradients or optimiser states lie in parts: FSDP2, and ZeRO of DeepSpeed.

Sharding is theirs, through accelerate and transformers. Here is what they are told, and how the model of the
stage comes out whole.
"""

from __future__ import annotations

from typing import Any

import torch

from vrft_aug.policy.adapters import TRAINED, lora_config
from vrft_aug.policy.load import load_policy
from vrft_aug.policy.sharded import is_sharded, whole_weight
from vrft_aug.processes import is_main, process_count
from vrft_aug.recipe.model_config import ModelConfig
from vrft_aug.recipe.parallel_config import ParallelConfig
from vrft_aug.training.processes.parallel import parallel_settings, zero_stage


def strategy_settings(parallel: ParallelConfig, model: Any) -> dict[str, Any]:
    """Settings of transformers.TrainingArguments for the strategy of the recipe; with one process DDP's.

    Under FSDP2 the layers of the language model are units, and all else is the root's: a vision tower in
    units of its own would wait for processes whose micro-batch has no picture.
    """
    if process_count() == 1 or parallel.strategy in ("auto", "ddp"):
        return parallel_settings(parallel)
    stage = zero_stage(parallel.strategy)
    if stage is None:
        layers = getattr(model.get_decoder(), "layers", None) or ()
        units = sorted({type(layer).__name__ for layer in layers})
        own = {"transformer_layer_cls_to_wrap": units} if units else {}
        sharded = {"version": 2, "state_dict_type": "SHARDED_STATE_DICT"}
        return {"fsdp": True, "fsdp_config": {**own, **parallel.settings, **sharded}}
    given = dict(parallel.settings)
    zero = {"stage3_gather_16bit_weights_on_model_save": False, **given.pop("zero_optimization", {})}
    if stage < 3:
        zero = {name: value for name, value in zero.items() if not name.startswith("stage3_")}
    auto = ("train_batch_size", "train_micro_batch_size_per_gpu", "gradient_accumulation_steps")
    fixed = dict.fromkeys((*auto, "gradient_clipping"), "auto")
    config = {"bf16": {"enabled": "auto"}, "zero_force_ds_cpu_optimizer": False, **given, **fixed}
    return {"deepspeed": {**config, "zero_optimization": {**zero, "stage": stage}}}


def ready_to_shard(settings: Any) -> None:
    """To be called once a stage's TrainingArguments are made, and before its trainer is.

    accelerate shards with FSDP where it believes to be on GPUs; FSDP2 itself runs on a CPU as well.
    """
    if not settings.fsdp or settings.device.type != "cpu":
        return
    from accelerate import PartialState
    from accelerate.utils import DistributedType

    PartialState._shared_state["distributed_type"] = DistributedType.MULTI_GPU


def is_engine(trainer: Any) -> bool:
    """Whether FSDP2 or DeepSpeed trains, which restore weights from their checkpoints themselves."""
    return bool(trainer.is_fsdp_enabled or trainer.is_deepspeed_enabled)


def whole_model(trainer: Any, start: ModelConfig) -> Any:
    """The trained model; in the main process it is plain and whole, to be saved.

    A sharded one is put together on the CPU weight by weight, in a model that is loaded as the stage's was,
    from `start`: no process holds it twice. All processes call this together.
    """
    trained = trainer.accelerator.unwrap_model(trainer.model)
    if not is_engine(trainer):
        return trained
    weights = dict(trained.named_parameters())
    halved = trainer.is_deepspeed_enabled and trainer.args.bf16  # DeepSpeed trains float32 copies of these
    if not halved and not any(map(is_sharded, weights.values())):
        return trained
    if trainer.is_deepspeed_enabled:
        from transformers.integrations.deepspeed import unset_hf_deepspeed_config

        unset_hf_deepspeed_config()  # else what is loaded from here on would be ZeRO-3's as well
    whole = _as_begun(trained, start) if is_main() else None
    places = {} if whole is None else dict(whole.named_parameters())
    for name, weight in weights.items():
        with torch.no_grad(), whole_weight(weight, halved) as values:
            if name in places:  # the frozen copy of an adapter that a KL term is taken to is not
                places[name].copy_(values)
    return trained if whole is None else whole


def _as_begun(trained: Any, start: ModelConfig) -> Any:
    """A model like the one that was trained, on the CPU, with the weights that it began with."""
    model = load_policy(start.model_copy(update={"device": "cpu"}), training=True).model
    settings = lora_config(start)
    if settings is None:
        return model
    from peft import get_peft_model

    settings.init_lora_weights = True  # none of the weights made here stays
    model = get_peft_model(model, settings)
    model.peft_config = {TRAINED: trained.peft_config[TRAINED]}
    return model
