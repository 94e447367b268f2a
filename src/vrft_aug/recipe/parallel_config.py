"""How several processes share a run: `parallel` in the recipe."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import ConfigDict

from vrft_aug.data.settings import Strict

Strategy = Literal["auto", "ddp", "fsdp2", "zero1", "zero2", "zero3"]


class ParallelConfig(Strict):
    """The strategy, and settings of its engine under their own names, such as `bucket_cap_mb` of DDP."""

    model_config = ConfigDict(extra="allow", frozen=True)
    strategy: Strategy = "auto"  # auto is ddp: each process holds the whole model

    @property
    def settings(self) -> dict[str, Any]:
        """The engine's own settings."""
        return dict(self.model_extra or {})


ONE_EACH = ParallelConfig()
