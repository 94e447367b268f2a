"""Memory and time of a GRPO step, stock TRL's beside ours: the 3B shape on a GPU, a small one elsewhere."""

from __future__ import annotations

import gc
import statistics
import time
from typing import Any

import torch

from vrft_aug.bench.contenders import make_trainer
from vrft_aug.bench.memory import peak_memory
from vrft_aug.bench.presets import QUICK, THREE_BILLION, Shape
from vrft_aug.selftest.outcome import Finding, Machine

PAIRS = 2


def step_costs(machine: Machine) -> list[Finding]:
    """Peak memory of a step, and the time of some."""
    if machine.device == "cuda":
        return _on_a_gpu(machine, THREE_BILLION)
    found = [_speed(_ratio(machine, QUICK), QUICK)]
    peaks = peak_memory(QUICK)
    if peaks is not None:  # only Linux tells
        found.insert(0, _memory(peaks["shared"] / peaks["stock"], peaks["shared"], QUICK))
    return found


def _memory(ratio: float, shared: float, shape: Shape) -> Finding:
    told = "memory that a step takes above the model, ours by stock TRL's"
    return Finding("memory", told, ratio, 0.9, note=f"{shape.name}: {shared / 1e9:.2f} GB")


def _speed(ratio: float, shape: Shape) -> Finding:
    told = "time of a step, stock TRL's by ours"
    return Finding("speed", told, ratio, 1.0, at_most=False, note=shape.name)


def _ratio(machine: Machine, shape: Shape) -> float:
    """Median over pairs of steps in turns, after a warm-up."""
    trainers = [make_trainer(shape, arm, machine.room("speed"), machine.device) for arm in (False, True)]
    pairs = []
    for pair in range(PAIRS + 1):
        order = (0, 1) if pair % 2 else (1, 0)
        seconds = {arm: _seconds(trainers[arm], pair) for arm in order}
        pairs.append(seconds[0] / seconds[1])
    return statistics.median(pairs[1:])


def _on_a_gpu(machine: Machine, shape: Shape) -> list[Finding]:
    """One arm after the other: two models of this size need not fit beside each other."""
    peaks, seconds = {}, {}
    for arm in (False, True):
        trainer = make_trainer(shape, arm, machine.room("speed"), machine.device)
        loaded = torch.cuda.memory_allocated()
        torch.cuda.reset_peak_memory_stats()
        _seconds(trainer, 0)
        seconds[arm] = statistics.median(_seconds(trainer, pair + 1) for pair in range(PAIRS))
        peaks[arm] = torch.cuda.max_memory_allocated() - loaded
        del trainer
        gc.collect()
        torch.cuda.empty_cache()
    return [
        _memory(peaks[True] / peaks[False], peaks[True], shape),
        _speed(seconds[False] / seconds[True], shape),
    ]


def _seconds(trainer: Any, seed: int) -> float:
    torch.manual_seed(seed)  # both arms draw the same completions
    _wait()
    start = time.perf_counter()
    trainer.train()
    _wait()
    return time.perf_counter() - start


def _wait() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()
