"""One run in 1, 2 and 4 processes (gloo): the same rollouts and weights; and what may go wrong in one."""

from __future__ import annotations

import json
import os
import shutil
import signal
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from helpers.launched import launch
from helpers.run_checks import lines, same_run
from helpers.running import Running
from helpers.shades import GRPO, SFT, SHADE_TASK, shade_recipe
from vrft_aug.experiments.run import train
from vrft_aug.recipe.file import save_recipe
from vrft_aug.recipe.schema import Recipe

pytestmark = pytest.mark.slow
TIGHT = {"threshold": {"start": 0.2, "end": 0.9, "step": 0.1, "window": 1, "success": 0.3}}
FIVE: dict[str, Any] = {**GRPO, "steps": 5, "prompts_per_step": 4, "trainer": {"learning_rate": 0.001}}
MIXED: dict[str, Any] = {
    **FIVE,
    "rewards": {"format": 0.5, "helpers.shades:sometimes": 2.0, "helpers.shades:rising": TIGHT},
    "mix": {"spot": {"share": 0.25, "rewards": {"iou_threshold": TIGHT, "helpers.shades:spread": 1.0}}},
    "dynamic_sampling": {"mode": "resample", "budget": 3},
}
LORA: dict[str, Any] = {"lora": {"r": 4, "target_modules": ["q_proj", "v_proj"]}, "merge": False}
ROUNDS = {"num_iterations": 2, "beta": 0.1, "gradient_accumulation_steps": 2, "steps_per_generation": 4}
RUNS: dict[str, tuple[dict[str, Any], dict[str, Any], tuple[int, ...]]] = {
    "sft": ({**SFT, "steps": 5, "trainer": {"learning_rate": 0.001}}, {}, (2, 4)),
    "grpo": (FIVE, {}, (2, 4)),
    "grpo without prefix sharing": ({**FIVE, "prefix_sharing": False}, {}, (2,)),
    "mix, thresholds, dynamic sampling": (MIXED, {}, (2, 4)),
    "the same without prefix sharing": ({**MIXED, "prefix_sharing": False}, {}, (2,)),
    "lora": (FIVE, LORA, (2, 4)),
    "rounds of two steps": ({**FIVE, "steps": 4, "trainer": {"learning_rate": 0.001, **ROUNDS}}, {}, (2, 4)),
    "bnpo, accumulation": (
        {**FIVE, "trainer": {"learning_rate": 0.001, "loss_type": "bnpo", "gradient_accumulation_steps": 2}},
        {},
        (2,),
    ),
    "perception loss": (
        {**FIVE, "perception_loss": {"weight": 0.1}, "token_weights": {"share": 0.5}},
        {},
        (2,),
    ),
    "curriculum that is renewed, completion weights": (
        {
            **FIVE,
            "steps": 6,
            "curriculum": {"drop": ["always"], "order": "easy-to-hard", "re_estimate": 1},
            "token_weights": {"completions": 0.8},
        },
        {},
        (2, 4),
    ),
    "checkpointing": (
        {**FIVE, "trainer": {"learning_rate": 0.001, "gradient_checkpointing": True}},
        {},
        (2,),
    ),
}  # fmt: skip
# Alike but for rounding: what is a sum of parts that cancel, and what is a difference of equal numbers.
ROUNDED = ("loss", "kl", "sampling/sampling_logp_difference/max", "sampling/sampling_logp_difference/mean")
TIMES = ("stage", "seconds", "step_time")
CLIPPED = "clip_ratio/"  # a mean of the means of micro-batches in TRL, so it depends on how a step is cut


def write(folder: Path, recipe: Recipe) -> Path:
    save_recipe(recipe, folder / "recipe.yaml")
    return folder / "recipe.yaml"


def call(recipe: Path, run: Path, *more: str) -> list[str]:
    return ["-m", "vrft_aug", "train", str(recipe), "--output", str(run), *more]


def weights(run: Path) -> dict[str, torch.Tensor]:
    return {
        f"{file.parent.name}/{name}": weight
        for file in sorted((run / "model").rglob("*.safetensors"))
        for name, weight in load_file(file).items()
    }


def difference(one: Path, two: Path) -> float:
    """Of all weights, relative."""
    first, second = weights(one), weights(two)
    assert first.keys() == second.keys() and first
    gap = sum(float((first[name] - second[name]).double().square().sum()) for name in first)
    return float((gap / sum(float(weight.double().square().sum()) for weight in first.values())) ** 0.5)


def same_rollouts(one: Path, two: Path) -> None:
    for first, second in zip(lines(one / "rollouts.jsonl"), lines(two / "rollouts.jsonl"), strict=True):
        assert first.pop("advantage") == pytest.approx(second.pop("advantage"), abs=1e-5)
        assert first == second


def same_figures(one: Path, two: Path) -> None:
    for first, second in zip(lines(one / "metrics.jsonl"), lines(two / "metrics.jsonl"), strict=True):
        assert first.keys() == second.keys()
        for name in first.keys() - {*TIMES, *(name for name in first if name.startswith(CLIPPED))}:
            apart = 1e-4 if name in ROUNDED or name.startswith("perception") else 1e-5
            assert first[name] == pytest.approx(second[name], rel=1e-4, abs=apart), name


@pytest.mark.parametrize("name", RUNS)
def test_rollouts_and_weights_are_those_of_one_process(
    name: str, random_policy: Path, tmp_path: Path
) -> None:
    stage, model, counts = RUNS[name]
    recipe = shade_recipe(random_policy, stage, model=model, evaluation={"base": False})
    train(recipe, tmp_path / "1")
    for count in counts:
        said = launch(call(write(tmp_path, recipe), tmp_path / f"{count}"), count, limit=400)
        assert [one.code for one in said] == [0] * count, said
        assert not any(one.out + one.err for one in said[1:]), said
        apart = difference(tmp_path / "1", tmp_path / f"{count}")
        assert apart < 1e-4
        print(f"{name}, {count} processes: weights differ by {apart:.1e}")
        same_figures(tmp_path / "1", tmp_path / f"{count}")
        if stage["method"] == "grpo":
            same_rollouts(tmp_path / "1", tmp_path / f"{count}")
        files = [
            {p.relative_to(run) for p in run.rglob("*")} for run in (tmp_path / "1", tmp_path / f"{count}")
        ]
        assert files[0] == files[1]
        judged = [
            json.loads((run / "evaluation.json").read_text())
            for run in (tmp_path / "1", tmp_path / f"{count}")
        ]
        assert judged[0]["rows"] == judged[1]["rows"]


def test_a_process_without_any_picture_trains_along(random_policy: Path, tmp_path: Path) -> None:
    """The vision tower is trained, and in some steps one process has questions without pictures alone."""
    task = {**SHADE_TASK, "data": {"reader": "helpers.shades:read_some_blank"}}
    for stage in (FIVE, {**SFT, "trainer": {"learning_rate": 0.001}}):
        recipe = shade_recipe(random_policy, {**stage, "prompts_per_step": 2}, evaluation={"base": False})
        recipe = Recipe.model_validate({**recipe.model_dump(), "tasks": {"shade": task}})
        one, two = tmp_path / f"{stage['method']}1", tmp_path / f"{stage['method']}2"
        train(recipe, one)
        said = launch(call(write(tmp_path, recipe), two), 2, limit=300)
        assert [process.code for process in said] == [0, 0], said
        assert difference(one, two) < 1e-4


def test_a_mistake_in_one_process_ends_all_in_one_line(random_policy: Path, tmp_path: Path) -> None:
    stage = {**FIVE, "rewards": {"helpers.shades:wrong_in_one": 1.0}}
    path = write(tmp_path, shade_recipe(random_policy, stage))
    running = Running(call(path, tmp_path / "run", "--processes", "2"), tmp_path / "said", "run")
    ended = running.wait(200)
    assert ended.code == 2
    told = [line for line in ended.err.splitlines() if "error" in line]
    assert len(told) == 1 and "no mark for this case" in told[0] and len(told[0]) < 500
    assert "Traceback" not in ended.err
    said = launch(call(path, tmp_path / "again"), 2, limit=200)  # as srun does, without anybody who watches
    assert [one.code for one in said] == [2, 2], said
    assert sum(one.err.count("error:") for one in said) == 1


def test_what_does_not_fit_the_processes_is_told_at_once(random_policy: Path, tmp_path: Path) -> None:
    path = write(tmp_path, shade_recipe(random_policy, {**FIVE, "prompts_per_step": 3}))
    ended = Running(call(path, tmp_path / "run", "--processes", "2"), tmp_path / "said", "run").wait(100)
    assert ended.code == 2 and ended.err.count("\n") == 1
    assert "stages.rewards.prompts_per_step is 3, which 2 processes cannot share equally" in ended.err
    said = launch(call(path, tmp_path / "run"), 2, limit=100)
    assert [one.code for one in said] == [2, 2] and sum(bool(one.err) for one in said) == 1, said
    assert not (tmp_path / "run").exists()


def test_sigterm_saves_and_the_run_goes_on_equal(random_policy: Path, tmp_path: Path) -> None:
    """Also with another number of processes: the same cases, in the same order."""
    recipe = shade_recipe(random_policy, {**MIXED, "steps": 8, "save_steps": 100}, evaluation={"base": False})
    path, cut = write(tmp_path, recipe), tmp_path / "cut"
    assert (
        Running(call(path, tmp_path / "whole", "--processes", "2"), tmp_path / "said", "w").wait(200).code
        == 0
    )
    running = Running(call(path, cut, "--processes", "2"), tmp_path / "said", "cut")
    running.until(cut / "metrics.jsonl", 2, 200)
    os.kill(running.process.pid, signal.SIGTERM)
    sent = time.monotonic()
    ended = running.wait(60)
    print(f"ended {time.monotonic() - sent:.1f} s after SIGTERM")
    assert ended.code == 143 and "saved; go on with --resume" in ended.err
    (saved,) = (cut / "checkpoints" / "rewards").glob("checkpoint-*")
    mark = json.loads((saved / "complete.json").read_text())
    assert mark == {"step": len(lines(cut / "metrics.jsonl")), "processes": 2}
    assert not (cut / "model").exists()
    for name, count in (("again", "2"), ("other", "1")):
        run = tmp_path / name
        shutil.copytree(cut, run)
        ended = Running(call(path, run, "--processes", count, "--resume"), tmp_path / "said", name).wait(200)
        assert ended.code == 0, ended.err
    same_run(tmp_path / "whole", tmp_path / "again")
    cases = [
        [line["case"] for line in lines(tmp_path / name / "rollouts.jsonl")] for name in ("whole", "other")
    ]
    assert cases[0] == cases[1]
    assert difference(tmp_path / "whole", tmp_path / "other") < 1e-4


def test_one_run_at_a_time_in_a_folder(random_policy: Path, tmp_path: Path) -> None:
    path, run = write(tmp_path, shade_recipe(random_policy, {**FIVE, "steps": 200})), tmp_path / "run"
    running = Running(call(path, run, "--processes", "2"), tmp_path / "said", "first")
    try:
        running.until(run / "metrics.jsonl", 1, 200)
        other = Running(call(path, run, "--processes", "2", "--resume"), tmp_path / "said", "second").wait(
            100
        )
    finally:
        ranks = running.children()
        running.kill()
        for rank in ranks:
            os.kill(rank, signal.SIGKILL)
    assert other.code == 2 and "is being written by vrft train" in other.err and other.err.count("\n") == 1
