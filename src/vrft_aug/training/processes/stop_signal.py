"""SIGTERM, as Slurm, Kubernetes and spot machines send it before they kill: save, and end."""

from __future__ import annotations

import signal
import threading
from typing import Any

from transformers import TrainerCallback

from vrft_aug.errors import Stopped
from vrft_aug.policy.together import gather_all


class StopSignal(TrainerCallback):  # type: ignore[misc]
    """Ends training after the step that runs when SIGTERM comes, with a checkpoint of it.

    Processes are not told at the same moment, so after each step they agree whether one has been. A step in
    the middle of a generation round is no place to stop: its completions would be lost.

    Args:
        stage: its name.
        every: optimiser steps of a generation round.
    """

    def __init__(self, stage: str, every: int = 1) -> None:
        self.stage, self.every = stage, every
        self.told = self.stopped = False
        self._before: Any = None

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Listen; only the main thread of a process can."""
        if threading.current_thread() is threading.main_thread():
            self._before = signal.signal(signal.SIGTERM, self._hear)

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Save and stop if any process has been told to."""
        if state.global_step % self.every == 0 and any(gather_all([self.told])):
            self.stopped = control.should_save = control.should_training_stop = True

    def close(self) -> None:
        """Listen no more."""
        if self._before is not None:
            signal.signal(signal.SIGTERM, self._before)
            self._before = None

    def raise_if_stopped(self, step: int) -> None:
        """Raise Stopped if training has ended for the signal."""
        if self.stopped:
            raise Stopped(
                f"stopped by SIGTERM: step {step} of stage {self.stage} is saved; go on with --resume"
            )

    def _hear(self, *_: Any) -> None:
        self.told = True
