"""What the losses that need masked pictures add to the training half of a step (forward and backward).

Our trainer with prefix sharing and each setting, beside itself without, on the same completions, in turns.
"""

from __future__ import annotations

import statistics
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from vrft_aug.bench.contenders import SEED, make_trainer
from vrft_aug.bench.presets import Shape
from vrft_aug.bench.timing import timed_step, watched
from vrft_aug.recipe.perception_config import PerceptionLoss, TokenWeights
from vrft_aug.training.augmentations.visual_terms import VisualTerms

ARMS: dict[str, tuple[PerceptionLoss, TokenWeights]] = {
    "token_weights": (PerceptionLoss(), TokenWeights(share=0.4)),
    "perception_loss": (PerceptionLoss(weight=0.01), TokenWeights()),
    "perception_loss and token_weights": (PerceptionLoss(weight=0.01), TokenWeights(share=0.4)),
    "perception_loss, masked_gradient": (PerceptionLoss(weight=0.01, masked_gradient=True), TokenWeights()),
}
TRAINING = ("forward", "backward")


def losses_cost(shape: Shape, pairs: int, tell: Callable[[str], None]) -> dict[str, Any]:
    """Seconds of the training half without and with each setting, and their ratios turn by turn.

    `tell` hears a line about each; every arm is warmed up by one step.
    """
    with tempfile.TemporaryDirectory() as folder:
        settings = [None, *(VisualTerms(*own, SEED) for own in ARMS.values())]
        trainers = [make_trainer(shape, True, Path(folder), shape.device, visual=(own,)) for own in settings]
        watches = [watched(trainer) for trainer in trainers]
        turns: list[list[float]] = []
        for turn in range(pairs + 1):
            seconds = [0.0] * len(trainers)
            for arm in list(range(len(trainers)))[:: 1 if turn % 2 else -1]:
                parts = timed_step(trainers[arm], watches[arm], seed=turn)
                seconds[arm] = sum(parts[part] for part in TRAINING)
            turns.append(seconds)
    del turns[0]
    without = [turn[0] for turn in turns]
    tell(f"{shape.name}: forward and backward without {statistics.median(without):.2f} s")
    arms = {}
    for place, name in enumerate(ARMS, start=1):
        ratios = [turn[place] / turn[0] for turn in turns]
        arms[name] = {"train_ratio": statistics.median(ratios), "turns": ratios}
        tell(f"  {name:36}{arms[name]['train_ratio']:.2f} times, {min(ratios):.2f} to {max(ratios):.2f}")
    return {"name": shape.name, "seconds": statistics.median(without), "arms": arms}
