"""Which GPU a process takes, and what one process says beside several GPUs; there need not be any."""

from __future__ import annotations

import pytest
import torch

from vrft_aug.errors import UserError
from vrft_aug.policy.hardware import refuse_idle_gpus, take_gpu
from vrft_aug.processes import LAUNCHERS
from vrft_aug.recipe.model_config import ModelConfig

AUTO = ModelConfig(device="auto")


@pytest.fixture
def taken(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """A machine with two GPUs, without a launcher; the GPUs that are taken."""
    found: list[int] = []
    for name in {name for names in LAUNCHERS for name in names}:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "set_device", found.append)
    return found


def launched(monkeypatch: pytest.MonkeyPatch, rank: int, local: int, count: int) -> None:
    for name, value in zip(LAUNCHERS[0], (rank, local, count), strict=True):
        monkeypatch.setenv(name, str(value))


def test_each_process_takes_a_gpu_of_its_own(taken: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    take_gpu()
    assert taken == []  # the only process leaves it to CUDA_VISIBLE_DEVICES
    for rank, local in ((0, 0), (3, 1)):
        launched(monkeypatch, rank, local, 4)
        take_gpu()
    assert taken == [0, 1]


def test_more_processes_than_gpus_are_refused(taken: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    launched(monkeypatch, 2, 2, 4)
    with pytest.raises(UserError, match="this machine has 2 GPUs, and process 3 on it needs one"):
        take_gpu()


def test_several_gpus_and_no_launcher_is_a_line_to_type(
    taken: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(UserError, match=r"2 GPUs are here.*--processes auto.*CUDA_VISIBLE_DEVICES=0"):
        refuse_idle_gpus(AUTO)
    refuse_idle_gpus(ModelConfig(device="cpu"))
    launched(monkeypatch, 0, 0, 1)
    refuse_idle_gpus(AUTO)
    monkeypatch.delenv("RANK")
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    refuse_idle_gpus(AUTO)
