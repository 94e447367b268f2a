"""A run: all stages of a recipe in order, evaluation and report, in one folder that can be resumed."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from textwrap import shorten
from typing import Any

from rich.console import Console

from vrft_aug.errors import UserError
from vrft_aug.evaluation.cautions import cautions
from vrft_aug.evaluation.constant_baseline import constant_report
from vrft_aug.evaluation.evaluate import evaluate
from vrft_aug.evaluation.metrics.case_metrics import named_metrics
from vrft_aug.evaluation.provenance import hash_cases, package_versions
from vrft_aug.evaluation.report_data import Report, load_report, save_report
from vrft_aug.experiments.background import Background
from vrft_aug.files import write_text
from vrft_aug.knowledge.told import unreviewed_rewards
from vrft_aug.policy.drawn_together import draw_together
from vrft_aug.policy.hardware import hardware
from vrft_aug.policy.load import load_policy, written_model
from vrft_aug.policy.together import in_each, join, leave, once_for_all
from vrft_aug.preview.run_checks import check_settings
from vrft_aug.processes import is_main, process_count
from vrft_aug.recipe.model_config import ModelConfig
from vrft_aug.recipe.schema import Recipe
from vrft_aug.report.page import write_report
from vrft_aug.run.folder import is_new_run, stage_summary, start_run
from vrft_aug.run.layout import ALARMS, BASE_EVALUATION, EVALUATION, RUN_FILE, RUN_MODEL, stage_model
from vrft_aug.run.lock import run_locked
from vrft_aug.run.logs import read_lines
from vrft_aug.run.resume import ResumePlan, apply_resume, plan_resume, resume_lines
from vrft_aug.tasks.constant_answers import taskset_constants
from vrft_aug.tasks.taskset import TaskSet, stage_scorer
from vrft_aug.training.checkpoints import publish_copy
from vrft_aug.training.preflight import check_run
from vrft_aug.training.stage import train_stage


def train(
    recipe: Recipe,
    output: Path,
    resume: bool = False,
    overwrite: bool = False,
    from_stage: str | None = None,
) -> dict[str, Report]:
    """Run all stages into `output`, evaluate the model that comes out, and write the report.

    Gives the evaluation beside what to hold it against: one and the same answer to everything, and the model
    that training started from (unless the recipe's evaluation.base is false).

    `resume` goes on from the last full checkpoint and gives what the uninterrupted run would have given;
    where later stages or the evaluation have changed since, it keeps the stages before them; `from_stage`
    runs that stage and all after it anew. `overwrite` starts anew. Raises UserError for an existing run
    without either, for a resume that could keep nothing, for a folder that another command is writing, and
    for whatever the recipe, its data or its model get wrong.

    Where a launcher has started several processes, all of them call this with the same arguments; all but the
    main one get no reports.
    """
    join(recipe.model)
    plan = once_for_all(partial(_plan, recipe, output, resume, overwrite, from_stage))
    with ExitStack() as held:
        once_for_all(lambda: held.enter_context(run_locked(output, "vrft train")))
        return _train(recipe, output, plan)


def _plan(
    recipe: Recipe, output: Path, resume: bool, overwrite: bool, from_stage: str | None
) -> ResumePlan | None:
    """What of a run is kept, None for a new one; nothing is changed. UserError for what is wrong at once."""
    if not recipe.stages:
        raise UserError(f"recipe {recipe.name!r} has no stages to train; expected at least one under stages")
    named_metrics(recipe)  # what is wrong with them is said before hours of training
    new = is_new_run(output, resume, overwrite)
    plan = None if new else plan_resume(recipe, output, from_stage)
    check_settings(recipe, output)
    return plan


def _train(recipe: Recipe, output: Path, plan: ResumePlan | None) -> dict[str, Report]:
    """The run itself, in a folder that nobody else writes to; `plan` is None for a new run.

    All processes train and evaluate; the main one also writes, prints and gives the reports.
    """
    trained = [(part.task, "train") for stage in recipe.stages for part in stage.parts()]
    draw_together(recipe, [*trained, (recipe.evaluation.task, recipe.evaluation.split)])
    tasksets, judged = in_each(lambda: check_run(recipe, load_policy(recipe.model, training=True)))
    console = Console(stderr=True, quiet=not is_main())
    facts = once_for_all(partial(_begin, recipe, output, plan, tasksets, console))
    hashes = Background(partial(_data_facts, recipe, tasksets)) if is_main() else None  # nobody waits for it
    for index, parts in enumerate(tasksets):
        train_stage(recipe, index, parts, output, console)
    once_for_all(partial(_publish, output, recipe.stages[-1].name))
    report = _judged(written_model(recipe.model, output / RUN_MODEL), recipe, judged, output / EVALUATION)
    name, constant = constant_report(recipe, judged)
    arms = {f"always {shorten(name, 40)!r}": constant}
    if recipe.evaluation.base:
        arms["start model"] = _judged(recipe.model, recipe, judged, output / BASE_EVALUATION)
    leave()
    if hashes is None:
        return {}
    facts |= {"data": hashes.result(), "finished": _now(), "stages": stage_summary(output)}
    write_text(output / RUN_FILE, json.dumps(facts, indent=1) + "\n")
    write_report(output, {case.id: case for case in judged.cases})
    for line in read_lines(output / ALARMS):
        where = f"{line['stage']}, step {line['step']}"
        console.print(f"alarm in {where}: {line['alarm']}", style="yellow", markup=False)
    for caution in cautions(report):
        console.print(f"caution: {caution}", style="yellow", markup=False)
    return {**arms, "this run": report}


def _begin(
    recipe: Recipe,
    output: Path,
    plan: ResumePlan | None,
    tasksets: Sequence[Sequence[TaskSet]],
    console: Console,
) -> dict[str, Any]:
    """Start or go on with the folder, and say what there is to say before training; the run's facts."""
    if plan is None:
        start_run(recipe, output)
    else:
        for sentence in resume_lines(plan, output, apply_resume(plan, recipe, output)):
            console.print(sentence, markup=False)
    facts: dict[str, Any] = {
        "started": _now(),
        **_facts(output),
        "finished": None,
        "versions": package_versions(),
        "hardware": hardware(),
        "processes": process_count(),
    }
    write_text(output / RUN_FILE, json.dumps(facts, indent=1) + "\n")
    for warning in unreviewed_rewards(recipe):
        console.print(f"WARNING: {warning}", style="bold red", markup=False)
    if plan is None:
        _warn(recipe, tasksets, console)
    return facts


def _publish(output: Path, last: str) -> None:
    """Let the model of the last stage be that of the run."""
    if not (output / RUN_MODEL).is_dir():
        publish_copy(stage_model(output, last), output / RUN_MODEL)


def _judged(model: ModelConfig, recipe: Recipe, taskset: TaskSet, path: Path) -> Report:
    """The evaluation of a model, read where it has been written; the model is let go afterwards."""
    if not once_for_all(path.is_file):
        report = evaluate(in_each(lambda: load_policy(model)), recipe, taskset)
        once_for_all(lambda: save_report(report, path))
    return load_report(path)


def _warn(recipe: Recipe, tasksets: Sequence[Sequence[TaskSet]], console: Console) -> None:
    """Say where a policy that never looks would earn too much."""
    for stage, parts in zip(recipe.stages, tasksets, strict=True):
        for part, taskset in zip(stage.parts(), parts, strict=True):
            if part.method == "grpo":
                found = taskset_constants(stage_scorer(part, taskset), taskset, recipe.model)
                if found is not None and found.warning:
                    console.print(f"warning: {part.name}: {found.warning}", style="yellow", markup=False)


def _facts(output: Path) -> dict[str, Any]:
    path = output / RUN_FILE
    facts: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    return facts


def _data_facts(recipe: Recipe, tasksets: Sequence[Sequence[TaskSet]]) -> dict[str, list[dict[str, Any]]]:
    """Stage -> for each of its tasks, how many cases were trained on and their hash."""
    return {
        stage.name: [
            {"task": part.task.name, "cases": len(part.cases), "hash": hash_cases(part.cases)}
            for part in parts
        ]
        for stage, parts in zip(recipe.stages, tasksets, strict=True)
    }


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
