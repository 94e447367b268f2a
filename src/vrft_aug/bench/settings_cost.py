"""What each setting beyond the paper adds to a step of the demo's grading stage, in time and in memory.

A setting is measured in processes of its own, the settings in turns. The policy stands still (a learning rate
of next to nothing), so that all write the same completions, but for those settings that change what is asked.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from vrft_aug.bench.memory import resident
from vrft_aug.bench.suite import environment

STAGE = "grade"
SETTINGS: dict[str, tuple[str, ...]] = {  # what is set of the stage, by the name on the page
    "none": (),
    "perception_loss": ("perception_loss.weight=0.01",),
    "perception_loss, masked_gradient": ("perception_loss={weight: 0.01, masked_gradient: true}",),
    "token_weights.share": ("token_weights.share=0.4",),
    "token_weights.completions": ("token_weights.completions=0.9",),
    "noisy_rollouts": ("noisy_rollouts.share=0.25",),
    "injection.dropout": ("injection.dropout=0.3",),
    "injection.dropout and teacher": ("injection.dropout=0.3", "teacher.weight=0.1"),
    "teacher.boxes": ("teacher={weight: 0.1, boxes: true}",),
    "seats": ("seats={}",),
    "curriculum, re_estimate": ("curriculum={order: easy-to-hard, re_estimate: 1}",),
    "look, every 5 steps": ("look={every: 5, cases: 32}",),
}
STANDING = ("trainer.learning_rate=1e-12", "trainer.lr_scheduler_type=constant", "save_steps=1000")
STEPS, QUICK_STEPS = 11, 3  # the first is not counted


def settings_cost(rounds: int, quick: bool, tell: Callable[[str], None]) -> dict[str, Any]:
    """Seconds of a step with each setting and their ratios to a step without, round by round; peak memory.

    `tell` hears a line about each setting.
    """
    names, steps = list(SETTINGS), QUICK_STEPS if quick else STEPS
    told: dict[str, list[dict[str, Any]]] = {name: [] for name in names}
    for turn in range(rounds):
        for name in names[:: 1 if turn % 2 == 0 else -1]:
            told[name].append(_child(name, steps, quick))
    plain = told["none"]
    found = {}
    for name, own in told.items():
        ratios = [one["seconds"] / other["seconds"] for one, other in zip(own, plain, strict=True)]
        peaks = [one["memory"] for one in own]
        found[name] = {
            "seconds": statistics.median(one["seconds"] for one in own),
            "ratios": ratios,
            "memory": None if None in peaks else max(peaks),
            "tokens": own[0]["tokens"],
        }
        memory = "" if None in peaks else f", peak {max(peaks) / 1e6:.0f} MB above the loaded model"
        tell(f"{name:34}{statistics.median(ratios):5.2f} times {found[name]['seconds']:.2f} s{memory}")
    return {"settings": found, "steps": steps, "rounds": rounds, "quick": quick, "environment": environment()}


def _child(name: str, steps: int, quick: bool) -> dict[str, Any]:
    command = [sys.executable, "-m", "vrft_aug.bench.settings_cost", name, str(steps), str(int(quick))]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"a step with {name} failed while it was measured:\n{done.stderr}")
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


def measured_stage(name: str, steps: int, quick: bool) -> dict[str, Any]:
    """Train the stage with a setting; the mean seconds of a step, peak memory in bytes, tokens written.

    A step counts from its beginning to that of the next, so that what runs between two is in it.
    """
    from rich.console import Console
    from transformers import TrainerCallback

    from vrft_aug.policy.load import load_policy, quiet_libraries
    from vrft_aug.recipe.file import load_recipe
    from vrft_aug.tasks.look_probe import look_probe
    from vrft_aug.tasks.taskset import load_taskset
    from vrft_aug.tasks.teacher_boxes import teacher_boxes
    from vrft_aug.training.grpo import build_grpo
    from vrft_aug.training.job import StageJob, run_trainer

    class Clock(TrainerCallback):  # type: ignore[misc]
        def __init__(self) -> None:
            self.begun: list[float] = []

        def on_step_begin(self, *_: Any, **__: Any) -> None:
            self.begun.append(time.perf_counter())

        def on_train_end(self, *_: Any, **__: Any) -> None:
            self.begun.append(time.perf_counter())

    quiet_libraries()
    small = ("prompts_per_step=2", "generations=4", "max_new_tokens=16") if quick else ()
    chosen = (*STANDING, f"steps={steps}", *small, *SETTINGS[name])
    recipe = load_recipe("fundus-demo", [f"stages.{STAGE}.{one}" for one in chosen])
    stage = next(one for one in recipe.stages if one.name == STAGE)
    policy = load_policy(recipe.model, training=True)
    taskset = load_taskset(recipe, stage.task, "train", stage.injection, policy.space)
    clock = Clock()
    with tempfile.TemporaryDirectory() as folder:
        run = Path(folder)
        built = build_grpo(
            policy,
            StageJob(
                stage, recipe.model, (taskset,), run, run / "checkpoints", recipe.seed, Console(quiet=True),
                probe=look_probe(recipe, stage, policy.space),
                shown=teacher_boxes(recipe, stage, [taskset]),
            ),
        )  # fmt: skip
        built.trainer.add_callback(clock)
        clears = Path("/proc/self/clear_refs")
        before = resident("VmRSS") if clears.exists() else None
        if before is not None:
            clears.write_text("5")  # the peak begins here
        run_trainer(built, None)
        peak = resident("VmHWM") - before if before is not None else None
        lengths = [
            line["completions/mean_length"] for line in built.trainer.state.log_history if "loss" in line
        ]
    seconds = [after - start for start, after in zip(clock.begun, clock.begun[1:], strict=False)][1:]
    # The mean, not the median: what runs in some steps alone, as a look monitor, is shared out over all.
    return {"seconds": statistics.mean(seconds), "memory": peak, "tokens": statistics.mean(lengths)}


if __name__ == "__main__":
    print(json.dumps(measured_stage(sys.argv[1], int(sys.argv[2]), bool(int(sys.argv[3])))))
