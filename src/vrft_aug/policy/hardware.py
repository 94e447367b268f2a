"""The machine: where a model computes, and what a report says of it."""

from __future__ import annotations

import os
import platform
from pathlib import Path
from typing import Any

import torch

from vrft_aug.errors import UserError
from vrft_aug.processes import launched, processes
from vrft_aug.recipe.model_config import ModelConfig


def choose_device(config: ModelConfig) -> str:
    """Where `model.device` puts the model: `cuda`, `mps` or `cpu`; for `auto` the first of them that is here.

    Raises UserError where the device asked for is not there. Which GPU `cuda` is says `take_gpu`.
    """
    there = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if config.device == "auto":
        return next(name for name, found in there.items() if found)
    if not there[config.device]:
        raise UserError(
            f"model.device is {config.device}, but torch finds no such device here; set model.device to auto "
            f"or {', '.join(name for name, found in there.items() if found)}"
        )
    return config.device


def take_gpu() -> None:
    """Let `cuda` be a GPU of its own for each of several processes on a machine.

    Raises UserError where there are fewer GPUs than processes.
    """
    own = processes()
    if not own.several:
        return
    gpus = torch.cuda.device_count()
    if own.local_rank >= gpus:
        raise UserError(
            f"this machine has {gpus} GPUs, and process {own.local_rank + 1} on it needs one of its own; "
            f"start {gpus} processes a machine, or set model.device to cpu"
        )
    torch.cuda.set_device(own.local_rank)


def refuse_idle_gpus(config: ModelConfig) -> None:
    """Raise UserError where one process would train beside GPUs that nobody uses; it says what to type."""
    if launched() or choose_device(config) != "cuda" or torch.cuda.device_count() < 2:
        return
    raise UserError(
        f"{torch.cuda.device_count()} GPUs are here, of which one process uses one: type `vrft train RECIPE "
        "--processes auto` for one process on each, or CUDA_VISIBLE_DEVICES=0 before the command for one GPU"
    )


def hardware() -> dict[str, Any]:
    """Processor, cores, memory in GB, threads that torch uses, and the names of the GPUs."""
    return {
        "system": f"{platform.system()} {platform.machine()}",
        "processor": _processor(),
        "cores": os.cpu_count(),
        "memory_gb": _memory_gb(),
        "threads": torch.get_num_threads(),
        "gpus": [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())],
    }


def _processor() -> str:
    file = Path("/proc/cpuinfo")
    names = file.read_text(encoding="utf-8").splitlines() if file.is_file() else []
    named = [line.partition(":")[2].strip() for line in names if line.startswith("model name")]
    return named[0] if named else platform.processor() or platform.machine()


def _memory_gb() -> int | None:
    try:
        return round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30)
    except (ValueError, OSError, AttributeError):  # not on this system
        return None
