"""Training that cannot go on, memory or numbers having run out: what is kept and what to do, in one line."""

from __future__ import annotations

import math
from collections.abc import Mapping
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from transformers import TrainerCallback

from vrft_aug.errors import UserError
from vrft_aug.policy.out_of_memory import while_sampling
from vrft_aug.recipe.stage_config import StageConfig
from vrft_aug.training.checkpoints import newest_step
from vrft_aug.training.stage_settings import accumulation

# Of what is logged in every step: what must be a number for training to have a sense.
TERMS = ("loss", "grad_norm", "kl", "reward")


class Soundness(TrainerCallback):  # type: ignore[misc]
    """Stops before a step whose loss, gradient or weights are no numbers is saved."""

    def __init__(self, stage: StageConfig, folder: Path) -> None:
        self.stage, self.folder = stage, folder
        self.broken: list[str] = []  # what is wrong with the weights, until the step is logged

    def on_step_end(self, args: Any, state: Any, control: Any, model: Any = None, **_: Any) -> None:
        """Look at the weights wherever they are about to be saved; the step is logged before that."""
        weights = model.named_parameters() if control.should_save and model is not None else ()
        wrong = (name for name, w in weights if w.requires_grad and not bool(torch.isfinite(w).all()))
        self.broken = [f"the weights {name} are no numbers" for name in islice(wrong, 1)]

    def on_log(self, args: Any, state: Any, control: Any, logs: Mapping[str, Any], **_: Any) -> None:
        """Look at the figures of a step, which are logged before it is saved."""
        if "loss" not in logs:
            return
        wrong = self.broken + [
            f"{name} is {logs[name]}"
            for name in TERMS
            if isinstance(logs.get(name), float) and not math.isfinite(logs[name])
        ]
        if wrong:
            raise UserError(self._line(state.global_step, " and ".join(wrong)))

    def _line(self, step: int, what: str) -> str:
        place = self.stage.place
        return (
            f"{place} stopped at step {step}, before anything of it was saved: {what}; {_kept(self.folder)}; "
            f"lower {place}.trainer.learning_rate or {place}.trainer.max_grad_norm, then go on with "
            "--resume: finished stages are kept, this one is run anew"
        )


def memory_error(
    error: BaseException, stage: StageConfig, device: str, prompt: int, checkpointing: bool, folder: Path
) -> UserError:
    """What was asked of the device, and the two settings that help most.

    `prompt` is about how many tokens a prompt takes; `checkpointing` whether gradients are checkpointed.
    """
    sampling, place = while_sampling(error), stage.place
    parts, rows = accumulation(stage), stage.prompts_per_step
    asked = f"prompts of about {prompt} tokens"
    if stage.method == "grpo":
        rows *= stage.generations
        asked += f", completions of up to {stage.max_new_tokens}, in groups of {stage.generations}"
    at_once = f"sampling {rows} completions" if sampling else f"a micro-batch of {rows // parts}"
    same, other = _helps(stage, rows, parts, sampling, checkpointing)
    if len(same) >= 2:
        then = "go on with --resume: the run comes out as it would have"
    else:
        then = "go on with --resume: finished stages are kept, this one may be run anew"
    return UserError(
        f"{place} ran out of memory on {device}: {at_once} ({asked}); {_kept(folder)}; set "
        f"{' and '.join([*same, *other][:2])}, then {then}"
    )


def _helps(
    stage: StageConfig, rows: int, parts: int, sampling: bool, checkpointing: bool
) -> tuple[list[str], list[str]]:
    """Settings that take less memory, the best first: those that leave the weights the same, and others."""
    place, same, other = stage.place, [], []
    if stage.method == "grpo" and not stage.prefix_sharing:
        same.append(f"{place}.prefix_sharing: true")
    if not sampling and parts < rows:
        wanted = stage.prompts_per_step if parts < stage.prompts_per_step else rows
        same.append(f"{place}.trainer.gradient_accumulation_steps: {wanted}")
    if not sampling and not checkpointing:
        same.append(f"{place}.trainer.gradient_checkpointing: true")
    if stage.prompts_per_step > 1:
        other.append(f"{place}.prompts_per_step: {stage.prompts_per_step // 2}")
    if stage.method == "grpo":
        other.append(f"{place}.max_new_tokens: {max(1, stage.max_new_tokens // 2)}")
    return same, [*other, "a lower model.max_pixels", "model.lora: {r: 16}"]


def _kept(folder: Path) -> str:
    step = newest_step(folder)
    return f"the checkpoint of step {step} is kept" if step else "no checkpoint of this stage was due yet"
