"""Memory that ran out, on whatever device."""

from __future__ import annotations

import re

import torch

# What backends say that raise no error of a kind of their own.
_SAID = re.compile(
    r"out of memory|can't allocate memory|cannot allocate memory|CUBLAS_STATUS_ALLOC_FAILED|"
    r"not enough memory|Unable to allocate",
    re.IGNORECASE,
)

_SAMPLING = ("generate", "_generate", "_generate_single_turn", "generate_shared")  # functions


def ran_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that a device, or the machine, had no memory left."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    return isinstance(error, RuntimeError) and _SAID.search(str(error)) is not None


def while_sampling(error: BaseException) -> bool:
    """Whether completions were being drawn when the error was raised."""
    trace = error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_name in (
            "generate",
            "_generate",
            "_generate_single_turn",
            "generate_shared",
        ):
            return True
        trace = trace.tb_next
    return False
