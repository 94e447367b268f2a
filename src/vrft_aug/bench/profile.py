"""Where the time of a step with prefix sharing goes, by kind of operation."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

KINDS = {
    "matrix products": ("mm", "addmm", "bmm", "baddbmm", "_slow_conv", "mkldnn", "convolution", "thnn_conv"),
    "attention kernels": ("_scaled_dot_product",),
    "copies": (
        "copy_",
        "cat",
        "index",
        "gather",
        "scatter",
        "clone",
        "repeat",
        "fill_",
        "zero_",
        "slice_backward",
    ),
    "random numbers": ("exponential_", "multinomial", "normal_", "uniform_"),
}


def profile_step(trainer: Any, seed: int) -> dict[str, float]:
    """Share of each kind of operation in the time of one step; the profiler's own cost is in `python`."""
    import torch
    from torch.profiler import ProfilerActivity, profile

    torch.manual_seed(seed)
    start = time.perf_counter()
    with silent_stderr(), profile(activities=[ProfilerActivity.CPU]) as profiler:
        trainer.train()
    wall = time.perf_counter() - start
    seconds = dict.fromkeys([*KINDS, "element by element"], 0.0)
    for event in profiler.key_averages():
        if event.key.startswith("aten::"):
            seconds[_kind(event.key.removeprefix("aten::"))] += event.self_cpu_time_total / 1e6
    seconds["python"] = max(0.0, wall - sum(seconds.values()))
    return {kind: spent / wall for kind, spent in seconds.items()}


@contextmanager
def silent_stderr() -> Iterator[None]:
    """The profiler's library writes notes of its own to the terminal, past Python."""
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)


def _kind(operation: str) -> str:
    return next((kind for kind, names in KINDS.items() if operation.startswith(names)), "element by element")
