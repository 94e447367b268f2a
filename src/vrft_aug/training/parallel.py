"""How the recipe's `parallel` becomes settings of the engine that shares a stage among processes."""

from __future__ import annotations

from typing import Any

from vrft_aug.errors import UserError, nearest, shown
from vrft_aug.recipe.parallel_config import ParallelConfig
from vrft_aug.recipe.stage_config import StageConfig

BUILT = ("auto", "ddp")
# Of torch's DistributedDataParallel; transformers calls each of them ddp_NAME.
DDP_SETTINGS: dict[str, type] = {
    "find_unused_parameters": bool,
    "broadcast_buffers": bool,
    "static_graph": bool,
    "bucket_cap_mb": int,
}


def check_parallel(parallel: ParallelConfig) -> None:
    """Raise UserError for a strategy that is not there, and for settings that its engine does not know."""
    if parallel.strategy not in BUILT:
        raise UserError(
            f"parallel.strategy is {parallel.strategy}, which this version does not have; set it to ddp ("
            "each process holds the whole model), with model.lora where memory is short"
        )
    for name, value in parallel.settings.items():
        kind = DDP_SETTINGS.get(name)
        if kind is None:
            raise UserError(
                f"parallel.{name} is no setting of ddp{nearest(name, DDP_SETTINGS)}; it has "
                f"{', '.join(DDP_SETTINGS)}"
            )
        whole = isinstance(value, int) and not isinstance(value, bool) and value >= 1
        if not (isinstance(value, bool) if kind is bool else whole):
            wanted = "true or false" if kind is bool else "a whole number from 1"
            raise UserError(f"parallel.{name} is {shown(value)}; expected {wanted}")


def parallel_settings(parallel: ParallelConfig) -> dict[str, Any]:
    """Settings of transformers.TrainingArguments.

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
