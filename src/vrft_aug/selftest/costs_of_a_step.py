"""Memory and time of a GRPO step, stock TRL's beside ours: the 3B shape on a GPU, a small one elsewhere."""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Mapping
from typing import Any

import torch

from vrft_aug.bench.contenders import make_trainer, shape_anatomy
from vrft_aug.bench.memory import peak_memory
from vrft_aug.bench.presets import QUICK, THREE_BILLION, Shape
from vrft_aug.preview.plan.activations import precision_of
from vrft_aug.preview.plan.footprint import Sharding
from vrft_aug.preview.plan.roofline import step_costs as step_costs_of
from vrft_aug.preview.plan.work import Lengths, Work
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


def _speed(ratio: float, shape: Shape, figures: Mapping[str, float] | None = None) -> Finding:
    told = "time of a step, stock TRL's by ours"
    return Finding("speed", told, ratio, 1.0, at_most=False, note=shape.name, figures=figures or {})


def counted(shape: Shape, seconds: float) -> dict[str, float]:
    """What `vrft plan` paces a card by: the step's seconds, and what it has computed and moved in them."""
    model = shape_anatomy(shape)
    lengths = Lengths(shape.prompt, shape.prompt, shape.completion, 4 * (shape.image // 16) ** 2, True)
    work = Work(
        stage=shape.name,
        method="grpo",
        steps=1,
        prompts=shape.prompts,
        generations=shape.generations,
        micro_batches=shape.accumulation,
        round_steps=1,
        lengths=lengths,
        checkpointing=shape.checkpointing,
        shared=True,
        reference=False,
        rescored=False,
    )
    precision = precision_of("bfloat16" if shape.adapter else "float32", shape.adapter)
    costs = step_costs_of(work, model, precision, Sharding())
    decoding = costs["decoding"]
    return {
        "step_seconds": round(seconds, 4),
        "flops": sum(cost.flops for cost in costs.values()),
        "decoding_flops": decoding.flops,
        "decoding_bytes": decoding.moved,
        "decoding_calls": decoding.calls,
    }


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
        _speed(seconds[False] / seconds[True], shape, counted(shape, seconds[True])),
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
