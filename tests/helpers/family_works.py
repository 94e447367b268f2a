"""What users do with a model, each as a short run that is held against what it must leave; for any family.

Cases have two pictures of different shapes, the first with a white spot. A work raises AssertionError where
its result is wrong, and returns a fact that a table can tell.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file

from helpers.run_checks import interrupt, lines, same_run
from helpers.shades import SHADE_TASK, SPOT_TASK, Shade, spread
from helpers.shades import read as read_single
from vrft_aug.answer import parse
from vrft_aug.evaluation.evaluate import evaluate_path
from vrft_aug.evaluation.predict import predict_images
from vrft_aug.evaluation.report_data import load_report
from vrft_aug.experiments.run import train
from vrft_aug.nouns import Box, Case, Rollout, Task
from vrft_aug.policy.load import Policy, load_policy
from vrft_aug.recipe.schema import Recipe
from vrft_aug.tasks.frames import case_frame
from vrft_aug.tasks.targets import target_completion
from vrft_aug.tasks.task import make_task

__all__ = ["DTYPES", "WORKS", "read", "spread"]
DTYPES = ("float32", "bfloat16")
PLAIN: dict[str, Any] = {"optim": "sgd", "learning_rate": 0.5, "lr_scheduler_type": "constant"}
SFT: dict[str, Any] = {
    "name": "answers", "method": "sft", "task": "shade", "steps": 5, "prompts_per_step": 8, "save_steps": 1,
    "trainer": PLAIN,
}  # fmt: skip
GRPO: dict[str, Any] = {
    "name": "rewards", "method": "grpo", "task": "shade", "steps": 2, "prompts_per_step": 2, "generations": 4,
    "max_new_tokens": 8, "save_steps": 1, "rewards": {"format": 0.5, "helpers.shades:spread": 2.0},
    "trainer": PLAIN | {"generation_kwargs": {"min_new_tokens": 8}},  # all arms draw as many random numbers
}  # fmt: skip
MIXED: dict[str, Any] = {
    **GRPO, "steps": 1, "mix": {"spot": {"share": 0.5, "rewards": {"helpers.shades:spread": 1.0}}},
}  # fmt: skip
BOXES: dict[str, Any] = {
    **GRPO,
    "name": "boxes",
    "task": "spot",
    "rewards": {"iou": 1.0, "helpers.shades:spread": 2.0},
}


def read(root: Path, split: str, task: Task, count: int = 10) -> list[Case]:
    """The cases of `helpers.shades`, each with a second picture of another shape."""
    return [
        Case(id=case.id, images=(*case.images, WIDE), target=case.target)
        for case in read_single(root, split, task, count)
    ]


class _Wide(Shade):
    """A picture of 200 x 90 pixels."""

    def open(self) -> Any:
        return super().open().resize((200, 90))


WIDE = _Wide(128, (0, 0, 30, 30))


def recipe_of(start: Path, dtype: str, *stages: dict[str, Any], **settings: Any) -> Recipe:
    """A recipe on two pictures a case; the evaluation is of two cases."""
    data = {"data": {"reader": "helpers.family_works:read"}}
    evaluation = {"task": "shade", "limit": 2, "max_new_tokens": 8, "batch_size": 4, "bootstrap": 100}
    return Recipe.model_validate(
        {
            "name": "families",
            "seed": 5,
            "model": {"name": str(start), "device": "cpu", "dtype": dtype} | settings.pop("model", {}),
            "tasks": {"shade": SHADE_TASK | data, "spot": SPOT_TASK | data},
            "stages": stages,
            "evaluation": evaluation | settings.pop("evaluation", {}),
        }
    )


def accumulated(stage: dict[str, Any], steps: int) -> dict[str, Any]:
    """The stage with so many micro-batches a step."""
    return {**stage, "trainer": {**stage["trainer"], "gradient_accumulation_steps": steps}}


def update(start: Path, run: Path) -> dict[str, Any]:
    """What training has added to each weight."""
    before, after = (load_file(folder / "model.safetensors") for folder in (start, run / "model"))
    return {name: after[name].double() - before[name].double() for name in before}


def _cosine(one: dict[str, Any], other: dict[str, Any]) -> float:
    product = sum(float((one[name] * other[name]).sum()) for name in one)
    norms = [math.sqrt(sum(float(x.square().sum()) for x in update.values())) for update in (one, other)]
    assert all(norms), "nothing was trained"
    return product / (norms[0] * norms[1])


def _both_accumulations(model: Path, dtype: str, folder: Path, stage: dict[str, Any]) -> str:
    """The stage in one and in eight micro-batches a step: the same change of the weights."""
    for steps in (1, 8):
        train(recipe_of(model, dtype, accumulated(stage, steps)), folder / str(steps))
    cosine = _cosine(update(model, folder / "1"), update(model, folder / "8"))
    assert cosine > (0.999999 if dtype == "float32" else 0.99), (
        f"accumulation 1 and 8 differ: cosine {cosine}"
    )
    return f"cosine of the updates at accumulation 1 and 8: {cosine:.6f}"


def _spoken(line: dict[str, Any]) -> tuple[Any, ...]:
    return line["task"], line["case"], line["completion"], line["total"]


def sft(model: Path, dtype: str, folder: Path) -> str:
    """Supervised steps lower the loss, the same at accumulation 1 and 8."""
    fact = _both_accumulations(model, dtype, folder, SFT)
    losses = [line["loss"] for line in lines(folder / "1" / "metrics.jsonl")]
    assert losses[-1] < losses[0], losses
    return fact


def grpo(model: Path, dtype: str, folder: Path) -> str:
    """A step on the rewards of two tasks: the same at accumulation 1 and 8, and in float32 as stock TRL's."""
    fact = _both_accumulations(model, dtype, folder, MIXED)
    rollouts = {n: [_spoken(line) for line in lines(folder / n / "rollouts.jsonl")] for n in ("1", "8")}
    assert rollouts["1"] == rollouts["8"] and len(rollouts["1"]) == 8
    assert {task for task, *_ in rollouts["1"]} == {"shade", "spot"}
    if dtype == "float32":
        train(recipe_of(model, dtype, MIXED | {"prefix_sharing": False}), folder / "stock")
        assert [_spoken(line) for line in lines(folder / "stock" / "rollouts.jsonl")] == rollouts["1"]
        cosine = _cosine(update(model, folder / "1"), update(model, folder / "stock"))
        assert cosine > 0.999999, f"prefix sharing differs from stock: cosine {cosine}"
        fact += f"; with stock TRL: {cosine:.6f}"
    return fact


def lora(model: Path, dtype: str, folder: Path) -> str:
    """An adapter is trained over a base that stays, kept, merged, and evaluated."""
    settings = {"lora": {"r": 4, "lora_alpha": 8}}
    train(recipe_of(model, dtype, SFT, GRPO, model=settings), folder)
    adapter = load_file(folder / "model" / "adapter" / "adapter_model.safetensors")
    trained = [name for name, weight in adapter.items() if "lora_B" in name and weight.any()]
    assert trained
    change = update(model, folder)
    assert any(x.any() for x in change.values()) and not all(x.any() for x in change.values())
    return f"{len(trained)} layers adapted"


def localise(model: Path, dtype: str, folder: Path) -> str:
    """Boxes are taught in the family's coordinates, asked for, read back in original pixels and rewarded."""
    recipe = recipe_of(model, dtype, {**SFT, "task": "spot"}, BOXES, evaluation={"task": "spot"})
    worst = boxes_there_and_back(load_policy(recipe.model), make_task("spot", recipe.tasks["spot"]))
    train(recipe, folder)
    rollouts = lines(folder / "rollouts.jsonl")
    assert len(rollouts) == 16 and all("iou" in line["terms"] for line in rollouts)
    assert load_report(folder / "evaluation.json").task == "spot"
    return f"boxes come back within {worst:.2f} pixels"


def boxes_there_and_back(policy: Policy, task: Task) -> float:
    """The largest error, in original pixels, of corners taught and then read; at most half a unit."""
    worst = 0.0
    for case in read(Path(), "train", task):
        frame = case_frame(task, case, policy.frame)
        assert frame is not None
        answer = parse(Rollout(target_completion(case, task, frame)), task, frame, case)
        (box,) = answer.value if isinstance(answer.value, tuple) else ()
        (true,) = case.target.boxes or ()
        error = max(abs(a - b) for a, b in zip(_corners(box), _corners(true), strict=True))
        unit = max(size / extent for size, extent in zip(frame.original, frame.extent, strict=True))
        assert error <= unit / 2 + 1e-9 and box.label == true.label
        worst = max(worst, error)
    return worst


def _corners(box: Box) -> tuple[float, ...]:
    return box.x1, box.y1, box.x2, box.y2


def evaluate(model: Path, dtype: str, folder: Path) -> str:
    """A model folder is judged as it lies, greedily and by votes; twice the same."""
    recipe = recipe_of(model, dtype, evaluation={"samples": 2})
    one, two = (evaluate_path(str(model), recipe) for _ in range(2))
    assert one.rows == two.rows and len(one.rows) == 2
    return f"{len(one.rows)} cases, {len(one.metrics)} figures"


def predict(model: Path, dtype: str, folder: Path) -> str:
    """A run answers about pictures of any shape, with the boxes drawn on them."""
    train(
        recipe_of(model, dtype, {**SFT, "task": "spot", "steps": 1}, evaluation={"task": "spot"}),
        folder / "run",
    )
    pictures = [folder / "wide.png", folder / "tall.png"]
    for path, size in zip(pictures, ((300, 100), (90, 170)), strict=True):
        WIDE.open().resize(size).save(path)
    results = predict_images(folder / "run", pictures, folder / "drawn")
    assert len(results) == 2 and all(Path(result["picture"]).is_file() for result in results)
    assert all((result["answer"] is None) != (result["reason"] is None) for result in results)
    return "2 pictures"


def resume(model: Path, dtype: str, folder: Path) -> str:
    """A run that is interrupted in its second stage gives what the whole one gives, to the bit."""
    recipe = recipe_of(model, dtype, {**SFT, "steps": 1}, {**GRPO, "trainer": {"learning_rate": 0.01}})
    train(recipe, folder / "whole")
    with pytest.MonkeyPatch.context() as patch:
        interrupt(patch, "rewards", 2)
        try:
            train(recipe, folder / "cut")
        except KeyboardInterrupt:
            pass
        else:
            raise AssertionError("the run was not interrupted")
    train(recipe, folder / "cut", resume=True)
    same_run(folder / "whole", folder / "cut")
    return "equal to the bit"


WORKS: dict[str, Callable[[Path, str, Path], str]] = {
    "SFT": sft, "GRPO": grpo, "LoRA": lora, "localise": localise, "evaluate": evaluate, "predict": predict,
    "resume": resume,
}  # fmt: skip
