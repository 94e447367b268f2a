"""What lies in a run folder, read for a page; whatever is not there yet is None or empty."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vrft_aug.data.cases import load_cases
from vrft_aug.errors import UserError
from vrft_aug.evaluation.language_judge import Judged, evaluation_hash, load_judged
from vrft_aug.evaluation.report_data import Report, load_report
from vrft_aug.knowledge.bank import load_bank
from vrft_aug.knowledge.review import load_review
from vrft_aug.knowledge.told import unreviewed_rewards
from vrft_aug.nouns import Case
from vrft_aug.reader_study.reason_ratings import ReasonRatings, load_ratings
from vrft_aug.recipe.file import load_recipe
from vrft_aug.recipe.schema import Recipe
from vrft_aug.recipe.stage_config import StageConfig
from vrft_aug.run.layout import (
    ALARM_STEPS,
    ALARMS,
    BASE_EVALUATION,
    EVALUATION,
    JUDGED,
    METRICS,
    REASONS,
    RUN_FILE,
    RUN_RECIPE,
)
from vrft_aug.run.logs import read_lines
from vrft_aug.tasks.task import make_task


@dataclass(frozen=True)
class Run:
    """A run folder, read."""

    folder: Path
    recipe: Recipe
    recipe_text: str
    report: Report | None
    start: Report | None  # of the model that training started from
    lines: tuple[Mapping[str, Any], ...]  # of metrics.jsonl
    stages: Mapping[str, Mapping[str, float]]  # trained stage -> steps, seconds, rollouts
    facts: Mapping[str, Any]  # of run.json: started, finished, versions, hardware, data
    alarms: tuple[Mapping[str, Any], ...]  # of alarms.jsonl: stage, step, rule, alarm

    @property
    def watched(self) -> bool:
        """Whether training logged the monitors that alarms are made from."""
        return any(name.startswith("monitor/") for line in self.lines for name in line)

    @property
    def too_short(self) -> bool:
        """Whether no stage was as long as alarms need to say anything."""
        return max((line.get("step", 0) for line in self.lines), default=0) < ALARM_STEPS


def read_run(folder: Path) -> Run:
    """Read a run; raises UserError where the folder holds none, or a file in it is broken."""
    recipe_file = folder / RUN_RECIPE
    if not recipe_file.is_file():
        raise UserError(
            f"{folder} holds no {RUN_RECIPE}; expected a run folder that `vrft train` has written"
        )
    evaluation, facts = folder / EVALUATION, _facts(folder / RUN_FILE)
    return Run(
        folder=folder,
        recipe=load_recipe(str(recipe_file)),
        recipe_text=recipe_file.read_text(encoding="utf-8"),
        report=load_report(evaluation) if evaluation.is_file() else None,
        start=load_report(folder / BASE_EVALUATION) if (folder / BASE_EVALUATION).is_file() else None,
        lines=tuple(read_lines(folder / METRICS)),
        stages=facts["stages"] if isinstance(facts.get("stages"), dict) else {},
        facts=facts,
        alarms=tuple(line for line in read_lines(folder / ALARMS) if "alarm" in line),
    )


def judged_of(run: Run) -> Judged | None:
    """What a language model made of the answers; None where it has not judged this evaluation."""
    if run.report is None or not (run.folder / JUDGED).is_file():
        return None
    judged = load_judged(run.folder / JUDGED)
    return judged if judged.evaluation == evaluation_hash(run.folder / EVALUATION) else None


def reasons_of(run: Run) -> tuple[ReasonRatings, ...]:
    """What readers made of the reasons, a study each; none where they have not rated this evaluation."""
    if run.report is None or not (run.folder / REASONS).is_file():
        return ()
    hash = evaluation_hash(run.folder / EVALUATION)
    return tuple(one for one in load_ratings(run.folder / REASONS) if one.evaluation == hash)


def cases_of(run: Run) -> tuple[dict[str, Case], str]:
    """The evaluated cases by id, and why there are none: a page goes without pictures then."""
    if run.report is None:
        return {}, "the run has not been evaluated"
    config = run.recipe.tasks.get(run.report.task)
    if config is None:
        return {}, f"the recipe has no task {run.report.task!r}"
    try:
        cases = load_cases(
            config.data, make_task(run.report.task, config), run.recipe.root(), run.report.split
        )
    except UserError as error:
        return {}, str(error)
    return {case.id: case for case in cases}, ""


def knowledge_notes(recipe: Recipe) -> list[str]:
    """A sentence for every knowledge bank in the prompts that no expert has reviewed, or that is gone."""
    users: list[Any] = [*(part for stage in recipe.stages for part in stage.parts()), recipe.evaluation]
    tasks = dict.fromkeys(user.task for user in users if user.injection.style != "none")
    notes = []
    for name in dict.fromkeys(recipe.tasks[task].knowledge for task in tasks):
        if name is None:
            continue
        try:
            bank, state = load_bank(name), load_review(name)
        except UserError as error:
            notes.append(f"The knowledge bank {name} could not be read again: {error}")
            continue
        if not state.complete:
            part = f" in full: {state.line()}" if state.agreed else ""
            notes.append(
                f"The knowledge bank “{bank.title}” ({bank.name}) has not been reviewed by a clinician{part}."
            )
    return notes


def reward_warnings(recipe: Recipe) -> list[str]:
    """A sentence for every stage that was paid by facts which nobody has reviewed."""
    try:
        return [f"Unreviewed: {line}." for line in unreviewed_rewards(recipe)]
    except UserError as error:
        return [f"What the rewards rest on could not be read again: {error}"]


def rewards_of(stage: StageConfig) -> str:
    """The reward terms of a stage with their weights and settings, in a line."""
    parts = []
    for name, reward in stage.rewards.items():
        settings = _listed(reward.settings)
        parts.append(f"{reward.weight:g} × {name}" + (f" ({settings})" if settings else ""))
    return ", ".join(parts)


def _listed(settings: Mapping[str, Any]) -> str:
    shown = {key: f"({_listed(v)})" if isinstance(v, Mapping) else v for key, v in settings.items()}
    return ", ".join(f"{key} {value}" for key, value in shown.items())


def rollouts_of(stage: StageConfig) -> int:
    """Completions that a stage samples by its recipe; 0 for SFT."""
    return stage.steps * stage.prompts_per_step * stage.generations if stage.method == "grpo" else 0


def _facts(path: Path) -> dict[str, Any]:
    try:
        facts = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return facts if isinstance(facts, dict) else {}
