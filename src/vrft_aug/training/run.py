"""A run: all stages of a recipe in order, evaluation and report, in one folder that can be resumed."""

from __future__ import annotations

import gc
import json
import os
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.console import Console

from vrft_aug.constants import material_constants
from vrft_aug.errors import UserError
from vrft_aug.evaluation.cautions import cautions
from vrft_aug.evaluation.evaluate import RUN_MODEL, evaluate
from vrft_aug.evaluation.provenance import hash_cases, package_versions
from vrft_aug.evaluation.report_data import FILE_NAME as EVALUATION
from vrft_aug.evaluation.report_data import load_report, save_report
from vrft_aug.files import write_text
from vrft_aug.recipe import Recipe
from vrft_aug.report.page import write_report
from vrft_aug.run_logs import ALARMS, METRICS, ROLLOUTS, cut_back, read_lines
from vrft_aug.training.checkpoints import keep_only, last_checkpoint, publish_copy, publish_model
from vrft_aug.training.grpo import train_grpo
from vrft_aug.training.hardware import hardware
from vrft_aug.training.loop import StageJob
from vrft_aug.training.material import Material, stage_scorer
from vrft_aug.training.order import stage_seed
from vrft_aug.training.policy import load_policy, written_model
from vrft_aug.training.preflight import check_run
from vrft_aug.training.run_folder import RUN_FILE, is_new_run, stage_model, stage_summary, start_run
from vrft_aug.training.sft import train_sft

METHODS = {"sft": train_sft, "grpo": train_grpo}


def train(recipe: Recipe, output: Path, resume: bool = False, overwrite: bool = False) -> None:
    """Run all stages into `output`, evaluate the model that comes out, and write the report.

    `resume` goes on from the last full checkpoint and gives what the uninterrupted run would have given;
    `overwrite` starts anew. Raises UserError for an existing run without either, for a resume with another
    recipe, and for whatever the recipe, its data or its model get wrong.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise UserError("vrft train runs in one process for now; start it without torchrun or accelerate")
    if not recipe.stages:
        raise UserError(f"recipe {recipe.name!r} has no stages to train; expected at least one under stages")
    new = is_new_run(recipe, output, resume, overwrite)
    materials, judged = check_run(recipe, load_policy(recipe.model))
    if new:
        start_run(recipe, output)
    facts: dict[str, Any] = {
        "started": _now(),
        **_facts(output),
        "finished": None,
        "versions": package_versions(),
        "hardware": hardware(),
    }
    facts.setdefault("data", _data_facts(recipe, materials))
    write_text(output / RUN_FILE, json.dumps(facts, indent=1) + "\n")
    console = Console(stderr=True)
    if new:
        _warn(recipe, materials, console)
    for index, parts in enumerate(materials):
        train_stage(recipe, index, parts, output, console)
    if not (output / RUN_MODEL).is_dir():
        publish_copy(stage_model(output, recipe.stages[-1].name), output / RUN_MODEL)
    if not (output / EVALUATION).is_file():
        policy = load_policy(written_model(recipe.model, output / RUN_MODEL))
        save_report(evaluate(policy, recipe, judged), output / EVALUATION)
    facts |= {"finished": _now(), "stages": stage_summary(output)}
    write_text(output / RUN_FILE, json.dumps(facts, indent=1) + "\n")
    write_report(output)
    for line in read_lines(output / ALARMS):
        where = f"{line['stage']}, step {line['step']}"
        console.print(f"alarm in {where}: {line['alarm']}", style="yellow", markup=False)
    for caution in cautions(load_report(output / EVALUATION)):
        console.print(f"caution: {caution}", style="yellow", markup=False)


def train_stage(
    recipe: Recipe, index: int, materials: tuple[Material, ...], output: Path, console: Console
) -> None:
    """Train one stage from where it stands: done, at a checkpoint, or not begun."""
    stage = recipe.stages[index]
    target = stage_model(output, stage.name)
    folder = target.parent
    if target.is_dir():
        keep_only(folder, target.name)
        return
    checkpoint, step = last_checkpoint(folder) or (None, 0)
    done = [earlier.name for earlier in recipe.stages[:index]]
    for name in (METRICS, ROLLOUTS, ALARMS):
        cut_back(output / name, done, stage.name, step)
    start = recipe.model if not done else written_model(recipe.model, stage_model(output, done[-1]))
    policy = load_policy(start)
    job = StageJob(
        stage=stage,
        model=start,
        materials=materials,
        run=output,
        folder=folder,
        seed=stage_seed(recipe.seed, index),
        console=console,
        resume_from=checkpoint,
    )
    model = METHODS[stage.method](policy, job)
    publish_model(model, policy.processor, target)
    keep_only(folder, target.name)
    del model, policy, job
    gc.collect()  # trainers hold themselves in cycles, and the next stage loads a model of its own


def _warn(recipe: Recipe, materials: Sequence[Sequence[Material]], console: Console) -> None:
    """Say where a policy that never looks would earn too much."""
    for stage, parts in zip(recipe.stages, materials, strict=True):
        for part, material in zip(stage.parts(), parts, strict=True):
            if part.method == "grpo":
                found = material_constants(stage_scorer(part, material), material, recipe.model)
                if found is not None and found.warning:
                    console.print(f"warning: {part.name}: {found.warning}", style="yellow", markup=False)


def _facts(output: Path) -> dict[str, Any]:
    path = output / RUN_FILE
    facts: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    return facts


def _data_facts(recipe: Recipe, materials: Sequence[Sequence[Material]]) -> dict[str, list[dict[str, Any]]]:
    """Stage -> for each of its tasks, how many cases were trained on and their hash."""
    return {
        stage.name: [
            {"task": part.task.name, "cases": len(part.cases), "hash": hash_cases(part.cases)}
            for part in parts
        ]
        for stage, parts in zip(recipe.stages, materials, strict=True)
    }


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
