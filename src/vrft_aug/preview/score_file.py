"""Scoring completions that lie in a file, without a model: JSON lines in, JSON lines out."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from vrft_aug.answer import ANSWER_BLOCK
from vrft_aug.data.cases import load_cases
from vrft_aug.errors import UserError, first_fault, nearest
from vrft_aug.files import write_text
from vrft_aug.knowledge.count import injection_count
from vrft_aug.knowledge.told import known_bank, told_bank
from vrft_aug.nouns import Case, Rollout, Score, Task
from vrft_aug.perception.boxes import box_fault
from vrft_aug.perception.model_view import model_view
from vrft_aug.perception.spaces import BoxSpace, Frame
from vrft_aug.policy.work_sharing import over_processes
from vrft_aug.prompt import build_prompt
from vrft_aug.recipe.schema import Recipe
from vrft_aug.recipe.stage_config import StageConfig
from vrft_aug.run.rollout_lines import plain_value
from vrft_aug.scorer import Scorer, counts_labels
from vrft_aug.shaping.balance import count_labels
from vrft_aug.tasks.find import find_cases, first_case
from vrft_aug.tasks.frames import frames_without_model
from vrft_aug.tasks.task import make_task
from vrft_aug.tasks.taskset import draw

TOGETHER = 64  # lines that a process takes at once


class _Line(BaseModel):
    """One line of the input; the further keys of a run's rollouts.jsonl are ignored."""

    model_config = ConfigDict(strict=True)
    case: str
    completion: str
    tokens: int | None = None
    finished: bool = True


@dataclass(frozen=True)
class _Placed:
    line: _Line
    where: str  # "file line 7"


def score_file(recipe: Recipe, path: Path, stage_name: str | None = None) -> list[dict[str, Any]]:
    """Score every line {"case", "completion", "finished"?} of a file by the rewards of a stage.

    Gives {"case", "answer", "truth", "reason", "total", "terms"} for each, in their order; boxes in pixels of
    the original image. Where boxes could not be read, "note" says why in words. Several processes share the
    lines out, and all get all results. Raises UserError, naming file
    and line, for a line that is no such object and for a case that is not in the task's data; then nothing is
    scored.
    """
    stage = scoring_stage(recipe, stage_name)
    task = make_task(stage.task, recipe.tasks[stage.task])
    scorer = _scorer(recipe, stage, task)
    lines = _read_lines(path)
    cases = find_cases(recipe, stage.task, {placed.line.case for placed in lines})
    for placed in lines:
        if placed.line.case not in cases:
            raise UserError(
                f"{placed.where}: task {task.name!r} has no case {placed.line.case!r}; expected an id like "
                f"{first_case(recipe, stage.task).id}"
            )
    # Only boxes depend on what the model sees.
    space = model_view(recipe.model).space if task.kind == "localise" else BoxSpace("processed")
    told = stage.injection
    bank, count = told_bank(recipe, stage.task, told), injection_count(told, recipe.model)
    prompts = {id: build_prompt(task, case, space, told, bank, count) for id, case in cases.items()}
    frame_of = frames_without_model(task, recipe.model)
    frames = {id: frame_of(case) for id, case in cases.items()}

    def scored(part: Sequence[_Placed]) -> list[dict[str, Any]]:
        results = []
        for placed in part:
            id = placed.line.case
            rollout = Rollout(placed.line.completion, placed.line.tokens, placed.line.finished)
            score = scorer.score(cases[id], prompts[id], rollout, frames[id])
            results.append(_result(cases[id], task, score, _note(rollout, score, task, frames[id])))
        return results

    parts = [lines[start : start + TOGETHER] for start in range(0, len(lines), TOGETHER)]
    return [result for part in over_processes(scored, parts) for result in part]


def write_template(recipe: Recipe, path: Path, count: int, stage_name: str | None = None) -> int:
    """Write a file for `score_file` with the ids of `count` cases of the task and nothing said; how many.

    The cases are those of the evaluation's split. Raises UserError where the file exists already.
    """
    if path.exists():
        raise UserError(f"{path} exists already; name another file for the template")
    stage = scoring_stage(recipe, stage_name)
    task, config = make_task(stage.task, recipe.tasks[stage.task]), recipe.tasks[stage.task]
    cases = draw(load_cases(config.data, task, recipe.root(), recipe.evaluation.split), count)
    lines = (json.dumps({"case": case.id, "completion": ""}, ensure_ascii=False) for case in cases)
    write_text(path, "".join(f"{line}\n" for line in lines))
    return len(cases)


def _scorer(recipe: Recipe, stage: StageConfig, task: Task) -> Scorer:
    """The scorer of a stage; its training cases are read only where a term is balanced by them."""
    config = recipe.tasks[stage.task]
    counts = None
    if any(counts_labels(name, reward) for name, reward in stage.rewards.items()):
        counts = count_labels(task, load_cases(config.data, task, recipe.root(), "train"))
    return Scorer(task, stage.rewards, known_bank(recipe, stage.task), counts)


def scoring_stage(recipe: Recipe, name: str | None) -> StageConfig:
    """The stage of that name, by default the last one with rewards for the task of the evaluation.

    Of a stage of several tasks, the part of one: that of its first task, or the one named `stage/task`.

    Raises UserError where there is none, or where it has no rewards.
    """
    rewarded = {known: stage for known, stage in recipe.named_stages().items() if stage.rewards}
    if name in rewarded:
        return rewarded[name]
    if name is not None:
        raise UserError(
            f"recipe {recipe.name!r} has no stage {name!r} with rewards{nearest(name, rewarded)}; "
            f"it has {', '.join(rewarded) or 'none'}"
        )
    for stage in reversed(rewarded.values()):
        if stage.task == recipe.evaluation.task:
            return stage
    raise UserError(
        f"recipe {recipe.name!r} has no stage with rewards for task {recipe.evaluation.task!r}; add one, or "
        f"name another with --stage"
    )


def _read_lines(path: Path) -> list[_Placed]:
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path} cannot be read as UTF-8 text: {error}") from None
    lines = []
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            where = f"{path} line {number}"
            lines.append(_Placed(_parse(line, where), where))
    if not lines:
        raise UserError(f'{path} is empty; expected lines {{"case": ID, "completion": TEXT}}')
    return lines


def _parse(line: str, where: str) -> _Line:
    try:
        return _Line.model_validate(json.loads(line))
    except ValidationError as error:
        fault = first_fault(error, "the line")
        raise UserError(
            f'{where}: {fault.where} {fault.given}; expected {{"case": ID, "completion": TEXT}}'
        ) from None
    except ValueError as error:
        raise UserError(f'{where} is no JSON: {error}; expected {{"case": ID, "completion": TEXT}}') from None


def _note(rollout: Rollout, score: Score, task: Task, frame: Frame | None) -> str | None:
    """Why boxes could not be read, for a person; None for all else."""
    if frame is None or score.answer.reason not in ("malformed", "unknown label", "ambiguous"):
        return None
    found = ANSWER_BLOCK.findall(rollout.completion)
    if len(found) != 1:
        return f"it has {len(found)} answers between <answer> and </answer>; expected one"
    return box_fault(found[0], task.labels, frame, task.answer_mode == "lenient")


def _truth(case: Case, task: Task) -> Any:
    target = case.target
    value = {"multilabel": target.labels, "localise": target.boxes, "answer": target.text}.get(
        task.kind, target.label
    )
    return plain_value(value)


def _result(case: Case, task: Task, score: Score, note: str | None) -> dict[str, Any]:
    return {
        "case": case.id,
        "answer": plain_value(score.answer.value),
        "truth": _truth(case, task),
        "reason": score.answer.reason,
        **({"confidence": score.answer.confidence} if task.confidence else {}),
        "total": score.total,
        "terms": dict(score.terms),
        **({"note": note} if note else {}),
    }
