"""Peak memory of each arm, in a process of its own.

What is counted is resident memory above what the process holds once the trainer stands, before its first
step: activations, gradients, optimiser states, caches of keys and values, and the processed images; not
Python, the libraries and the weights, which are the same in both arms. On a GPU it is its memory, as torch
counts it, above the same.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path

from vrft_aug.bench.presets import Shape

ARMS = ("stock", "shared")
STEPS = 2  # the optimiser's states come with the first one


def peak_memory(shape: Shape) -> dict[str, int] | None:
    """Bytes of `stock` and `shared`; None where the system does not tell (a CPU's is read from /proc)."""
    if shape.device == "cuda":  # one after the other: two of them need not fit
        return {arm: _told(arm, _started(arm, shape)) for arm in ARMS}
    if not Path("/proc/self/clear_refs").exists():
        return None
    children = {arm: _started(arm, shape) for arm in ARMS}
    return {arm: _told(arm, child) for arm, child in children.items()}


def _started(arm: str, shape: Shape) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "vrft_aug.bench.memory", arm, json.dumps(asdict(shape))]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def _told(arm: str, child: subprocess.Popen[str]) -> int:
    output, errors = child.communicate()
    if child.returncode:
        raise RuntimeError(f"the {arm} arm failed while its memory was measured:\n{errors}")
    return int(output.split()[-1])


def _measure(arm: str, shape: Shape) -> int:
    import torch

    from vrft_aug.bench.contenders import make_trainer

    torch.set_num_threads(1)  # both arms run at once, and time is not what is measured
    with tempfile.TemporaryDirectory() as folder:
        trainer = make_trainer(shape, arm == "shared", Path(folder), shape.device)
        if shape.device == "cuda":
            before = torch.cuda.memory_allocated()
            torch.cuda.reset_peak_memory_stats()
            for _ in range(STEPS):
                trainer.train()
            return torch.cuda.max_memory_allocated() - before
        before = resident("VmRSS")
        Path("/proc/self/clear_refs").write_text("5")  # the peak begins here
        for _ in range(STEPS):
            trainer.train()
        return resident("VmHWM") - before


def resident(field: str) -> int:
    """Bytes that /proc/self/status reports for a field, such as VmRSS, or VmHWM for the peak."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{field}:"))


if __name__ == "__main__":
    print(_measure(sys.argv[1], Shape(**json.loads(sys.argv[2]))))
