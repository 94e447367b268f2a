"""What tests ask of run folders: their lines, whether two are the same, and a run that is interrupted."""

import json
from pathlib import Path
from typing import Any

import pytest
from safetensors.numpy import load_file

from vrft_aug.training.monitoring.progress import RunLog

TIMES = ("seconds", "step_time")  # of metrics.jsonl: the only figures that two equal runs may differ in


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def without_times(run: Path) -> list[dict[str, Any]]:
    return [{k: v for k, v in line.items() if k not in TIMES} for line in lines(run / "metrics.jsonl")]


def same_run(one: Path, two: Path) -> None:
    first, second = (load_file(run / "model" / "model.safetensors") for run in (one, two))
    assert first.keys() == second.keys()
    assert all((first[name] == second[name]).all() for name in first)
    assert without_times(one) == without_times(two)
    assert lines(one / "rollouts.jsonl") == lines(two / "rollouts.jsonl")


def interrupt(monkeypatch: pytest.MonkeyPatch, stage: str, step: int) -> None:
    """Make the next run stop right after it has logged a step, as Ctrl-C would."""
    log = RunLog.on_log

    def on_log(self: RunLog, args: Any, state: Any, control: Any, **more: Any) -> None:
        log(self, args, state, control, **more)
        if self.stage == stage and state.global_step == step:
            raise KeyboardInterrupt

    monkeypatch.setattr(RunLog, "on_log", on_log)
