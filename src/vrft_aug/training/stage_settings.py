"""A stage's `trainer` and the recipe's `model.lora`, checked by name, type and range, free of torch.

What the tables here cannot judge alone (schedulers with arguments of their own, optimisers of other packages,
settings that exclude each other) is tried by `rehearsal.py`, which loads TRL.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from vrft_aug.errors import UserError, nearest, shown
from vrft_aug.processes import process_count
from vrft_aug.recipe.model_config import ModelConfig
from vrft_aug.recipe.stage_config import OWNED_BY_RECIPE, StageConfig
from vrft_aug.training.library_settings import ConfigName, Range, check_settings, known_settings
from vrft_aug.training.processes.parallel import check_split

# Settings that the logs and the exact resume rest on, in addition to those that the recipe owns.
FIXED = {
    **OWNED_BY_RECIPE,
    "save_steps": "stages[].save_steps",
    "save_strategy": "nothing (always by steps)",
    "save_only_model": "nothing (checkpoints are complete, so that they can be resumed)",
    "logging_steps": "nothing (every step is logged)",
    "logging_strategy": "nothing (every step is logged)",
    "num_train_epochs": "stages[].steps",
    "shuffle_dataset": "seed (cases are shuffled before training)",
    "train_sampling_strategy": "seed (cases are shuffled before training)",
    "max_length": "nothing (nothing is cut: what does not fit the context is refused)",
    "disable_tqdm": "nothing (one progress bar shows the run)",
    "use_cpu": "model.device",
    "restore_callback_states_from_checkpoint": "nothing (a resumed run restores what it needs)",
}
# Settings of TRL that a run has no place for; their defaults are accepted.
IN_PARALLEL = "parallel in the recipe says how processes share a run"
JUDGED_AFTER = "the recipe's evaluation judges the model, after training"
STAYS_HERE = "a run stays on this machine"
NO_PLACE = {
    **dict.fromkeys(("fsdp", "fsdp_config", "deepspeed", "parallelism_config", "local_rank"), IN_PARALLEL),
    **dict.fromkeys(
        ("eval_strategy", "eval_on_start", "do_eval", "do_predict", "load_best_model_at_end"), JUDGED_AFTER
    ),
    **dict.fromkeys(("push_to_hub", "log_completions_hub_repo"), STAYS_HERE),
    # Evaluation and predict would word prompts otherwise than training.
    "chat_template_kwargs": "prompts are the same in training and after it; edit chat_template.jinja",
    "auto_find_batch_size": "gradient_accumulation_steps makes the micro-batches smaller",
    "ignore_data_skip": "a resumed run goes on with the case that it stopped at",
}
# What TRL, PEFT and torch demand of numbers and texts, and do not declare; a stage with these alone needs no
# rehearsal.
SHARE = Range(0, 1)
FROM_ZERO = Range(0)
COUNT = Range(1)
TRAINER_RANGES: dict[str, Range | Collection[Any]] = {
    "learning_rate": Range(0, 10),
    "lr_scheduler_type": (),
    "optim": (),
    "warmup_steps": FROM_ZERO,
    "weight_decay": SHARE,
    "adam_beta1": Range(0, 1, open_high=True),
    "adam_beta2": Range(0, 1, open_high=True),
    "adam_epsilon": SHARE,
    "max_grad_norm": FROM_ZERO,
    "gradient_accumulation_steps": COUNT,
    "gradient_checkpointing": (),
    "save_total_limit": COUNT,
    "temperature": Range(0, 100, open_low=True),
    "top_p": Range(0, 1, open_low=True),
    "top_k": FROM_ZERO,
    "min_p": SHARE,
    "repetition_penalty": Range(0, 100, open_low=True),
    "beta": FROM_ZERO,
    "epsilon": FROM_ZERO,
    "epsilon_high": FROM_ZERO,
    "scale_rewards": ("group", "batch", "none", True, False),
    "mask_truncated_completions": (),
    "logging_first_step": (),
}
OTHER_RANGES: dict[str, Range | Collection[Any]] = {
    "num_iterations": COUNT,
    "steps_per_generation": COUNT,
    "generation_batch_size": COUNT,
    "delta": Range(0, open_low=True),
    "loss_type": ("grpo", "bnpo", "dr_grpo", "dapo", "luspo", "cispo", "sapo", "vespo"),
    "importance_sampling_level": ("token", "sequence"),
    "multi_objective_aggregation": ("sum_then_normalize", "normalize_then_sum"),
    "top_entropy_quantile": SHARE,
    "ref_model_mixup_alpha": SHARE,
    "ref_model_sync_steps": COUNT,
    "dataloader_num_workers": Range(0, 256),
    "dataloader_prefetch_factor": COUNT,
    "dataloader_multiprocessing_context": ("fork", "spawn", "forkserver"),
    "label_smoothing_factor": Range(0, 1, open_high=True),
    "log_level": ("detail", "debug", "info", "warning", "error", "critical", "passive"),
    "log_level_replica": ("detail", "debug", "info", "warning", "error", "critical", "passive"),
}
PLAIN_VALUES: dict[str, Collection[str]] = {
    "lr_scheduler_type": (
        "linear", "cosine", "constant", "constant_with_warmup", "cosine_with_restarts", "polynomial",
        "inverse_sqrt",
    ),
    "optim": ("adamw_torch", "adamw_torch_fused", "adafactor", "sgd"),
}  # fmt: skip
LORA_RANGES: dict[str, Range | Collection[Any]] = {
    "r": Range(1, 8192),
    "lora_alpha": Range(0, open_low=True),
    "lora_dropout": Range(0, 1, open_high=True),
    "bias": (),
    "use_rslora": (),
}
STARTS = ("gaussian", "eva", "olora", "pissa", "corda", "loftq", "orthogonal", "mica")
LORA_FIXED = {
    "peft_type": "nothing (LoRA alone is trained)",
    "task_type": "nothing (fixed)",
    "inference_mode": "nothing (an adapter is trained)",
    "base_model_name_or_path": "model.name",
    "revision": "model.load.revision",
}
# Kinds that the libraries take besides those that they declare.
WIDER = {"scale_rewards": ("bool",)}


def check_trainer(stage: StageConfig) -> None:
    """Raise UserError for what is wrong with the stage's trainer settings, as far as these tables tell."""
    where = f"{stage.place}.trainer"
    config: ConfigName = "SFTConfig" if stage.method == "sft" else "GRPOConfig"
    known = known_settings(config)
    for key, value in stage.trainer.items():
        if key in FIXED:
            raise UserError(f"{where}.{key} is set by {FIXED[key]}")
        if key in NO_PLACE and key in known and value not in (known[key].default, None, False):
            raise UserError(f"{where}.{key} is {value!r}: {NO_PLACE[key]}; remove it")
    ranges = {**TRAINER_RANGES, **OTHER_RANGES}
    if stage.method == "sft":
        ranges["loss_type"] = ("nll", "dft")
    check_settings(config, where, stage.trainer, ranges, WIDER)
    accumulation(stage)


def check_lora(model: ModelConfig) -> None:
    """Raise UserError for what is wrong with the settings of a new adapter, as far as these tables tell."""
    for key in model.lora or {}:
        if key in LORA_FIXED:
            raise UserError(f"model.lora.{key} is set by {LORA_FIXED[key]}")
    check_settings("LoraConfig", "model.lora", model.lora or {}, LORA_RANGES)
    start = (model.lora or {}).get("init_lora_weights")
    if isinstance(start, str) and start not in STARTS and not start.startswith("pissa_niter_"):
        raise UserError(
            f"model.lora.init_lora_weights is {shown(start)}{nearest(start, STARTS)}; expected true, false "
            f"or one of {', '.join(STARTS)}"
        )


def needs_rehearsal(stage: StageConfig, model: ModelConfig) -> bool:
    """Whether the tables cannot vouch for the settings of a stage."""
    return _unvouched(stage.trainer, TRAINER_RANGES) or _unvouched(model.lora or {}, LORA_RANGES)


def _unvouched(given: Mapping[str, Any], vouched: Mapping[str, Any]) -> bool:
    return any(
        key not in vouched or value not in PLAIN_VALUES.get(key, (value,)) for key, value in given.items()
    )


def accumulation(stage: StageConfig) -> int:
    """The micro-batches of an optimiser step in each process.

    UserError where they and the processes do not divide its completions.
    """
    processes = process_count()
    check_split(stage, processes)
    batch, what = stage.prompts_per_step, "prompts_per_step"
    if stage.method == "grpo":
        batch, what = batch * stage.generations, "prompts_per_step x generations"
    if processes > 1:
        batch, what = batch // processes, f"{what} / {processes} processes"
    steps = stage.trainer.get("gradient_accumulation_steps", 1)
    if not isinstance(steps, int) or steps < 1 or batch % steps:
        raise UserError(
            f"{stage.place}.trainer.gradient_accumulation_steps is {steps!r}; "
            f"expected a divisor of {what} ({batch})"
        )
    if stage.token_weights.completions < 1 and batch // steps % stage.generations:
        raise UserError(
            f"{stage.place}.token_weights.completions compares the completions of a group, but micro-batches "
            f"of {batch // steps} cut groups of {stage.generations}; set trainer.gradient_accumulation_steps "
            f"to a divisor of {batch // stage.generations}"
        )
    return steps
