"""Weights that lie in parts in several processes (FSDP2, ZeRO-3): when they are whole, and where they go.

Forward calls gather sharded weights, in step with the other processes. Sampling takes another number of calls
in each process, so that it needs them whole before it begins.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch


def is_sharded(weight: torch.Tensor) -> bool:
    """Whether a parameter lies in parts in several processes."""
    from torch.distributed.tensor import DTensor

    return isinstance(weight, DTensor) or hasattr(weight, "ds_id")  # FSDP2; ZeRO-3


@contextmanager
def whole_weights(model: Any) -> Iterator[None]:
    """While open, a model under FSDP2 has all its weights in each process, and forward calls gather nothing.

    All processes open and close it together. Of other models nothing is changed: TRL gathers ZeRO-3's itself.
    """
    from torch.distributed.fsdp import FSDPModule

    if not isinstance(model, FSDPModule):
        yield
        return
    model._get_fsdp_state()._lazy_init()  # which decides what the root does; forward would do it later
    modules: list[Any] = list(model.modules())  # type: ignore[attr-defined]
    parts = [part for part in modules if isinstance(part, FSDPModule)]
    groups = [group for part in parts for group in part._get_fsdp_state()._fsdp_param_groups]
    after_forward = [group.post_forward_mesh_info for group in groups]
    for group in groups:  # they stay whole after forward, as `set_reshard_after_forward` would say for good
        group.post_forward_mesh_info = None
    for part in parts:
        part.unshard()
    try:
        yield
    finally:
        for group, mesh in zip(groups, after_forward, strict=True):  # some twice, with one value
            group.post_forward_mesh_info = mesh
        for part in parts:
            part.reshard()


@contextmanager
def whole_weight(weight: torch.Tensor, float32: bool = False) -> Iterator[torch.Tensor]:
    """All values of a parameter, of its whole shape; all processes open and close it together.

    `float32`: of DeepSpeed's own copy, where it trains one.
    """
    from torch.distributed.tensor import DTensor

    if isinstance(weight, DTensor):
        yield weight.full_tensor()
        return
    if float32 and weight.requires_grad:
        from deepspeed.utils import safe_get_full_fp32_param

        yield safe_get_full_fp32_param(weight)
        return
    if not hasattr(weight, "ds_id"):
        yield weight
        return
    import deepspeed

    with deepspeed.zero.GatheredParameters([weight]):
        yield weight
