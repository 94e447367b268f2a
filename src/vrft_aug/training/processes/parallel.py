"""How the recipe's `parallel` becomes settings of the engine that shares a stage among processes."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any

from vrft_aug.errors import UserError, nearest, shown
from vrft_aug.recipe.parallel_config import ParallelConfig
from vrft_aug.recipe.schema import Recipe
from vrft_aug.recipe.stage_config import StageConfig

ZERO = ("zero1", "zero2", "zero3")
BUILT = ("auto", "ddp", "fsdp2", *ZERO)  # what the plan may advise
FSDP_SETTINGS: dict[str, type] = {  # of transformers' fsdp_config
    "reshard_after_forward": bool,
    "cpu_offload": bool,
    "transformer_layer_cls_to_wrap": list,
}
# Of DeepSpeed's configuration: those that neither the recipe says elsewhere nor the strategy.
ZERO_SETTINGS: dict[str, type] = {
    "zero_optimization": dict,
    "communication_data_type": str,
    "prescale_gradients": bool,
    "gradient_predivide_factor": float,
    "sparse_gradients": bool,
    "comms_logger": dict,
    "flops_profiler": dict,
    "wall_clock_breakdown": bool,
    "steps_per_print": int,
}
# Of torch's DistributedDataParallel; transformers calls each of them ddp_NAME.
DDP_SETTINGS: dict[str, type] = {
    "find_unused_parameters": bool,
    "broadcast_buffers": bool,
    "static_graph": bool,
    "bucket_cap_mb": int,
}


def zero_stage(strategy: str) -> int | None:
    """1, 2 or 3 for ZeRO, None for what is not DeepSpeed's."""
    return int(strategy[-1]) if strategy in ZERO else None


def check_parallel(parallel: ParallelConfig) -> None:
    """Raise UserError for settings that the strategy's engine does not know, and where it is absent."""
    known, engine = DDP_SETTINGS, "ddp"
    if parallel.strategy == "fsdp2":
        known, engine = FSDP_SETTINGS, "fsdp2"
    elif parallel.strategy in ZERO:
        known, engine = ZERO_SETTINGS, "DeepSpeed"
        if find_spec("deepspeed") is None:
            raise UserError(
                f"parallel.strategy is {parallel.strategy}, which needs DeepSpeed, which is not here: "
                "pip install 'vrft-aug[deepspeed]', or set fsdp2, which needs nothing more"
            )
    for name, value in parallel.settings.items():
        kind = known.get(name)
        if kind is None:
            raise UserError(
                f"parallel.{name} is no setting of {engine}{nearest(name, known)}; it has {', '.join(known)}"
            )
        if not _fits(value, kind):
            raise UserError(f"parallel.{name} is {shown(value)}; expected {_WANTED[kind]}")
    zero = parallel.settings.get("zero_optimization", {})
    if "stage" in zero:
        raise UserError(
            f"parallel.zero_optimization.stage is {shown(zero['stage'])}; parallel.strategy "
            f"({parallel.strategy}) says which stage it is: leave it out"
        )


_WANTED = {
    bool: "true or false",
    int: "a whole number from 1",
    float: "a number above 0",
    str: "a name",
    list: "a list of names of layer classes",
    dict: "a mapping, as in DeepSpeed's configuration",
}


def _fits(value: object, kind: type) -> bool:
    if kind is list:
        return isinstance(value, list | tuple) and all(isinstance(one, str) for one in value) and bool(value)
    if kind in (int, float):
        number = isinstance(value, int | kind) and not isinstance(value, bool)
        return number and value >= 1 if kind is int else number and value > 0  # type: ignore[operator]
    return isinstance(value, kind)


def check_look(recipe: Recipe) -> None:
    """Raise UserError for a look monitor, which one process asks, beside a strategy that shards."""
    strategy = recipe.parallel.strategy
    if strategy not in ("fsdp2", *ZERO):
        return
    for stage in recipe.stages:
        if stage.look.every:
            raise UserError(
                f"{stage.place}.look asks in one process, which parallel.strategy {strategy} does not leave "
                "alone with the weights; set look.every: 0, or strategy: ddp"
            )


def parallel_settings(parallel: ParallelConfig) -> dict[str, Any]:
    """Settings of transformers.TrainingArguments for DDP.

    Unused weights are looked for unless the recipe says otherwise: where one process has no picture in a
    micro-batch, its vision tower has no gradient.
    """
    settings = {"find_unused_parameters": True, **parallel.settings}
    return {f"ddp_{name}": value for name, value in settings.items()}


def check_split(stage: StageConfig, processes: int) -> None:
    """Raise UserError where the prompts of a step cannot be dealt to the processes, equally and whole."""
    if stage.prompts_per_step % processes:
        fitting = [str(n) for n in range(2, processes) if stage.prompts_per_step % n == 0]
        raise UserError(
            f"{stage.place}.prompts_per_step is {stage.prompts_per_step}, which {processes} processes cannot "
            f"share equally; set it to a multiple of {processes}"
            + (f", or start {' or '.join(fitting[-3:])} processes" if fitting else "")
        )
