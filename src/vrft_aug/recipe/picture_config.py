"""What training keeps of its pictures: `model.pictures` in the recipe."""

from __future__ import annotations

from pydantic import Field

from vrft_aug.data.settings import Strict


class PictureConfig(Strict):
    """Pictures are decoded and resized once in a stage; what is kept of them changes no weight.

    Where nothing is kept and nothing is prepared ahead, each picture is processed in every round that asks.
    """

    # GB (thousand millions of bytes) of main memory that processed pictures may take, in each process.
    memory_gb: float = Field(default=1.0, ge=0)
    # GB on disk, in the stage's folder and while it trains, for what does not fit there; never more than half
    # of what is free.
    disk_gb: float = Field(default=8.0, ge=0)
    ahead: bool = True  # prepare the next round's pictures while the model computes
