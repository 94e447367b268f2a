"""Dark and bright squares: a task that needs no data files, a reward that varies, and recipes for both."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from PIL import Image

from vrft_aug.errors import UserError
from vrft_aug.nouns import Box, Case, Rollout, Target, Task
from vrft_aug.perception.tightening import Tightening
from vrft_aug.processes import process_index
from vrft_aug.recipe.schema import Recipe

SIDE = 120


@dataclass(frozen=True)
class Shade:
    """A grey square of 120 x 120 pixels with a white box in it."""

    level: int
    box: tuple[int, int, int, int]

    def open(self) -> Image.Image:
        image = Image.new("RGB", (SIDE, SIDE), (self.level,) * 3)
        image.paste((255, 255, 255), self.box)
        return image


def read(root: Path, split: str, task: Task, count: int = 10) -> list[Case]:
    """A reader as a user writes one; half of the squares are dark."""
    cases = []
    for i in range(count):
        corners = (10 + i, 20, 50 + i, 60)
        target = Target(label=("dark", "bright")[i % 2], boxes=(Box(*corners, label="spot"),), text="grey")
        shade = Shade(20 + i if i % 2 == 0 else 220 + i, corners)
        cases.append(Case(id=f"shades/{split}/{i}", images=(shade,), target=target))
    return cases


def read_some_blank(root: Path, split: str, task: Task) -> list[Case]:
    """As `read`, in training every third case without a picture."""
    cases, every = read(root, split, task), 3 if split == "train" else 100
    return [replace(case, images=()) if i % every == 1 else case for i, case in enumerate(cases)]


def wrong_in_one(rollout: Rollout) -> float:
    """A reward that refuses what the second of several processes gives it."""
    if process_index() == 1:
        raise UserError("no mark for this case in marks.csv")
    return spread(rollout)


def spread(rollout: Rollout) -> float:
    """A reward that differs between the random completions of a group."""
    return (sum(map(ord, rollout.completion)) % 100) / 100


def sometimes(rollout: Rollout, case: Case) -> float:
    """As `spread`, but every completion of an odd case earns the same."""
    return spread(rollout) if int(case.id.rsplit("/")[-1]) % 2 == 0 else 0.5


def rising(rollout: Rollout, threshold: float | Tightening = 0.5) -> float:
    """A reward with a threshold of its own, which random completions pass now and then."""
    limit = threshold.end if isinstance(threshold, Tightening) else threshold  # a number while training
    return float(spread(rollout) >= limit)


SHADE_TASK: dict[str, Any] = {
    "kind": "classify",
    "question": "Is the square dark or bright?",
    "labels": ["dark", "bright"],
    "data": {"reader": "helpers.shades:read"},
}
SPOT_TASK: dict[str, Any] = {
    **SHADE_TASK,
    "kind": "localise",
    "question": "Where is the spot?",
    "labels": ["spot"],
}
SFT: dict[str, Any] = {
    "name": "answers", "method": "sft", "task": "shade", "steps": 3, "prompts_per_step": 4, "save_steps": 2,
    "trainer": {"learning_rate": 0.01},
}  # fmt: skip
GRPO: dict[str, Any] = {
    "name": "rewards", "method": "grpo", "task": "shade", "steps": 3, "prompts_per_step": 2, "generations": 4,
    "max_new_tokens": 12, "save_steps": 2, "trainer": {"learning_rate": 0.01},
    "rewards": {"format": 0.5, "accuracy": 1.0, "helpers.shades:spread": 2.0},
}  # fmt: skip


def shade_recipe(folder: Path, *stages: dict[str, Any], **settings: Any) -> Recipe:
    """A recipe on the policy in `folder`; the evaluation is of four cases."""
    evaluation = {"task": "shade", "limit": 4, "max_new_tokens": 12, "batch_size": 4, "bootstrap": 100}
    return Recipe.model_validate(
        {
            "name": "shades",
            "seed": 5,
            "model": {"name": str(folder), "device": "cpu"} | settings.pop("model", {}),
            "tasks": {"shade": SHADE_TASK, "spot": SPOT_TASK} | settings.pop("tasks", {}),
            "stages": stages,
            "evaluation": evaluation | settings.pop("evaluation", {}),
            **settings,
        }
    )
