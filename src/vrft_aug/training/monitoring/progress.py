"""What a running stage shows and writes: one progress bar, a line a step, and the rollouts of the step."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from transformers import TrainerCallback

from vrft_aug.processes import is_main
from vrft_aug.run.layout import METRICS, ROLLOUTS
from vrft_aug.run.logs import append_lines, read_lines
from vrft_aug.training.monitoring.alarms import AlarmBell
from vrft_aug.training.rollouts.rewards_bridge import RolloutBuffer

# TRL's own names for our reward function (its terms are logged instead), and what is no longer right
# after a resume (tokens are counted from there) or says nothing (one pass over a prepared order).
LEFT_OUT = ("rewards/reward/mean", "rewards/reward/std", "epoch", "num_tokens", "total_flos")


class RunLog(TrainerCallback):  # type: ignore[misc]
    """Writes metrics, rollouts and alarms, flushed before the checkpoint of the same step is made.

    The main process alone does, and its figures are those of all processes.
    """

    def __init__(self, stage: str, run: Path, buffer: RolloutBuffer | None = None) -> None:
        self.stage = stage
        self.run = run
        self.buffer = buffer
        self.trainer: Any = None  # set once the trainer exists; read for the advantages alone
        self.since = time.monotonic()
        self.bell: AlarmBell | None = None

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Start the clock of the first step; what an interrupted run has logged is taken up."""
        if not is_main():
            return
        self.since = time.monotonic()
        self.bell = AlarmBell(self.stage, self.run, read_lines(self.run / METRICS))

    def on_log(self, args: Any, state: Any, control: Any, logs: Mapping[str, Any], **_: Any) -> None:
        """One line for a step; the trainer's summary at the end has no loss and is passed over."""
        if "loss" not in logs or not is_main():
            return
        now = time.monotonic()
        line = {"stage": self.stage, "step": state.global_step, "seconds": round(now - self.since, 3)}
        self.since = now
        line.update({key: value for key, value in logs.items() if key not in LEFT_OUT})
        if self.buffer is not None:
            append_lines(self.run / ROLLOUTS, self.buffer.take(self._advantages()))
        append_lines(self.run / METRICS, [line])
        if self.bell is not None:
            self.bell.hear(line)

    def _advantages(self) -> Sequence[float] | None:
        """TRL's advantages of the last generation batch; None should it stop keeping them."""
        kept = getattr(self.trainer, "_logs", {}).get("advantages")
        return None if kept is None else [float(value) for value in kept]


class ProgressBar(TrainerCallback):  # type: ignore[misc]
    """A bar with the step, the reward and its terms; a plain line now and then where nobody can see a bar."""

    def __init__(self, stage: str, steps: int, console: Console) -> None:
        self.stage = stage
        self.steps = steps
        self.console = console
        self.bar: Progress | None = None
        self.task: Any = None

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Open the bar at the step that training starts from."""
        if self.console.is_terminal:
            columns = (
                TextColumn("{task.description}"),
                BarColumn(),
                MofNCompleteColumn(),
                TimeRemainingColumn(),
            )
            self.bar = Progress(*columns, TextColumn("{task.fields[figures]}"), console=self.console)
            self.bar.start()
            self.task = self.bar.add_task(
                self.stage, total=self.steps, completed=state.global_step, figures=""
            )

    def on_log(self, args: Any, state: Any, control: Any, logs: Mapping[str, Any], **_: Any) -> None:
        """Move the bar; without one, print about ten lines a stage."""
        if "loss" not in logs:
            return
        step, figures = state.global_step, figures_of(logs)
        if self.bar is not None:
            self.bar.update(self.task, completed=step, figures=figures)
        elif step % max(1, self.steps // 10) == 0 or step == self.steps:
            self.console.print(
                f"{self.stage} {step}/{self.steps}  {figures}", highlight=False, soft_wrap=True
            )

    def close(self) -> None:
        """Leave the terminal as it was, however training ended."""
        if self.bar is not None:
            self.bar.stop()
            self.bar = None


def figures_of(logs: Mapping[str, Any]) -> str:
    """`reward 0.51  accuracy 0.25  format 1.00`, or the loss where there is no reward."""
    terms = {key.removeprefix("rewards/"): value for key, value in logs.items() if key.startswith("rewards/")}
    shown = {"reward": logs["reward"], **terms} if "reward" in logs else {"loss": logs["loss"]}
    numbers = {
        name: value for name, value in shown.items() if isinstance(value, int | float) and "/" not in name
    }
    return "  ".join(f"{name} {value:.3g}" for name, value in numbers.items())
