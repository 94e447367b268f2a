"""A preset from end to end: pairs of steps, equality, memory, a profile; as one dictionary."""

from __future__ import annotations

import os
import platform
import statistics
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from vrft_aug.bench.contenders import make_trainer
from vrft_aug.bench.memory import peak_memory
from vrft_aug.bench.presets import Shape
from vrft_aug.bench.profile import profile_step
from vrft_aug.bench.timing import compare, timed_step, watched
from vrft_aug.errors import UserError

RATIOS = {
    "step_ratio": ("sampling", "scoring", "forward", "backward", "optimiser", "other"),
    "train_ratio": ("forward", "backward"),
    "sample_ratio": ("sampling",),
}
SUMMARY = (*RATIOS, "memory_ratio", "logprob_max_diff", "grad_rel_diff")


def run_bench(
    shapes: Sequence[Shape], pairs: int, memory: bool, profile: bool, tell: Callable[[str], None]
) -> dict[str, Any]:
    """Measure every shape with `pairs` timed pairs of steps; `tell` hears a line about each.

    `memory` adds its peak, `profile` where the time of our step goes; they take as long as some steps.

    Returns the summary of the first shape under the keys of SUMMARY, `cases` in full, and `environment`.
    """
    cases = []
    for shape in shapes:
        tell(f"{shape.name}: {shape.prompts} prompts, {pairs} pairs of steps after a warm-up")
        case = measure(shape, pairs, profile)
        peaks = peak_memory(shape) if memory else None
        case["memory"] = peaks
        case["memory_ratio"] = peaks["shared"] / peaks["stock"] if peaks else None
        cases.append(case)
        tell(told(case))
    return {
        **{key: cases[0][key] for key in SUMMARY},
        "cases": cases,
        "environment": environment(),
    }


def refuse_without_gpu(shapes: Sequence[Shape]) -> None:
    """UserError where a shape is for a GPU and torch finds none."""
    import torch

    if any(shape.device == "cuda" for shape in shapes) and not torch.cuda.is_available():
        raise UserError(
            "--preset gpu is a step of a model of 3.75 thousand million parameters, and torch finds no CUDA "
            "device here; run it on a machine with a GPU, or choose paper, short or accumulate"
        )


def measure(shape: Shape, pairs: int, profile: bool) -> dict[str, Any]:
    """Times by part and arm, ratios pair by pair, tokens and differences of one shape."""
    with tempfile.TemporaryDirectory() as folder:
        stock, shared = trainers = [
            make_trainer(shape, arm, Path(folder), shape.device) for arm in (False, True)
        ]
        watches = [watched(trainer) for trainer in trainers]
        steps: list[list[dict[str, float]]] = []
        for pair in range(pairs + 1):
            order = (0, 1) if pair % 2 else (1, 0)  # neither arm is always the first
            times = {arm: timed_step(trainers[arm], watches[arm], seed=pair) for arm in order}
            steps.append([times[0], times[1]])
        del steps[0]  # the warm-up
        differences = compare(stock, shared)
        # The profile is of operations on a CPU.
        shares = profile_step(shared, seed=pairs) if profile and shape.device == "cpu" else None
        parameters = sum(p.numel() for p in stock.model.parameters())
        lengths = [int(n) for batch in stock._buffered_inputs for n in batch["prompt_mask"].sum(dim=1)]
    ratios = {
        name: [_sum(pair[0], parts) / _sum(pair[1], parts) for pair in steps]
        for name, parts in RATIOS.items()
    }
    return {
        "name": shape.name,
        "shape": asdict(shape),
        "parameters": parameters,
        "prompt_tokens": statistics.mean(lengths),
        "seconds": {
            arm: {part: statistics.median(pair[i][part] for pair in steps) for part in steps[0][i]}
            for i, arm in enumerate(("stock", "shared"))
        },
        "pairs": ratios,
        **{name: statistics.median(values) for name, values in ratios.items()},
        **differences,
        "token_limit": token_limit(statistics.mean(lengths), shape.completion, shape.generations),
        "profile": shares,
    }


def token_limit(prompt: float, completion: float, generations: int) -> float:
    """How many times fewer tokens run when a prompt runs once: G (P + C) / (P + G C)."""
    return generations * (prompt + completion) / (prompt + generations * completion)


def told(case: dict[str, Any]) -> str:
    """A few lines about a case, for a terminal."""
    lines = [f"  {'seconds':12}{'stock':>9}{'shared':>9}{'ratio':>8}"]
    stock, shared = case["seconds"]["stock"], case["seconds"]["shared"]
    for part in stock:
        ratio = f"{stock[part] / shared[part]:8.2f}" if shared[part] > 0.01 else f"{'':8}"
        lines.append(f"  {part:12}{stock[part]:9.2f}{shared[part]:9.2f}{ratio}")
    for name in RATIOS:
        values = case["pairs"][name]
        lines.append(f"  {name:12} {case[name]:.2f}, pair by pair {min(values):.2f} to {max(values):.2f}")
    if case["memory"]:
        peaks = [f"{case['memory'][arm] / 1e6:.0f} MB {arm}" for arm in ("stock", "shared")]
        lines.append(
            f"  peak memory above the loaded model: {', '.join(peaks)}; ratio {case['memory_ratio']:.2f}"
        )
    counted = case["tokens_stock"] / case["tokens_shared"]
    lines.append(f"  tokens {counted:.2f} times fewer, G(P+C)/(P+GC) = {case['token_limit']:.2f}")
    lines.append(
        f"  largest difference of a log-probability {case['logprob_max_diff']:.1e}, "
        f"relative difference of the gradient {case['grad_rel_diff']:.1e}"
    )
    return "\n".join(lines)


def _sum(times: dict[str, float], parts: Sequence[str]) -> float:
    return sum(times[part] for part in parts)


def environment() -> dict[str, Any]:
    """On what, and with what, is measured."""
    from importlib.metadata import version

    import torch

    return {
        "versions": {name: version(name) for name in ("vrft-aug", "torch", "transformers", "trl")},
        "python": platform.python_version(),
        "processor": platform.machine(),
        "gpus": [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())],
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "load": os.getloadavg()[0] if hasattr(os, "getloadavg") else None,  # after the run; its own included
    }
