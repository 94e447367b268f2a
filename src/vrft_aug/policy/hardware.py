"""The machine: where a model computes, and what a report says of it."""

from __future__ import annotations

import os
import platform
from pathlib import Path
from typing import Any

import torch

from vrft_aug.errors import UserError
from vrft_aug.recipe.model_config import ModelConfig


def choose_device(config: ModelConfig) -> str:
    """Where `model.device` puts the model: `cuda`, `mps` or `cpu`; for `auto` the first of them that is here.

    Raises UserError where the device asked for is not there.
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
