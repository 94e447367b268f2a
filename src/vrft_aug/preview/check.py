"""A recipe checked as far as that goes without a model: data, knowledge, rewards, prompts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from vrft_aug.data.notes import Note, collecting
from vrft_aug.evaluation.metrics.case_metrics import named_metrics
from vrft_aug.knowledge.told import known_bank
from vrft_aug.nouns import Case, Task
from vrft_aug.perception.spaces import BoxSpace
from vrft_aug.preview.data_checks import audit_findings
from vrft_aug.preview.run_checks import check_prompts, check_settings, check_stages, model_line
from vrft_aug.recipe.schema import Recipe
from vrft_aug.run.layout import default_run
from vrft_aug.scorer import Scorer
from vrft_aug.tasks.constant_answers import ConstantAnswers, taskset_constants
from vrft_aug.tasks.demonstrations import with_demonstrations
from vrft_aug.tasks.frames import frames_without_model
from vrft_aug.tasks.label_coverage import refuse_unused_labels
from vrft_aug.tasks.look_probe import look_probe
from vrft_aug.tasks.pictures_needed import refuse_without_pictures
from vrft_aug.tasks.taskset import TaskSet, load_taskset, stage_scorer
from vrft_aug.tasks.teacher_boxes import boxes_note, teacher_boxes
from vrft_aug.training.augmentations.curriculum import curriculum_notes

SHOWN = 5  # constant answers that are printed, the best first


@dataclass(frozen=True)
class CheckedPart:
    """A stage, or the evaluation, with the data that it uses."""

    name: str
    task: str
    kind: str
    split: str
    cases: int
    targets: dict[str, int]  # cases by label; for localise boxes by label, and images without any
    rollouts: int  # that training will sample; 0 for sft and the evaluation
    constants: ConstantAnswers | None = None  # what policies that never look would earn; of grpo stages
    warning: str | None = None  # where one of them would earn too much
    class_weights: dict[str, dict[str, float]] = field(default_factory=dict)  # by balanced term
    notes: tuple[Note, ...] = ()  # what the reader says of the data, once a task


def check_recipe(recipe: Recipe, decode: bool = False) -> list[CheckedPart]:
    """Every stage in order, then the evaluation; as `check_all`, into the folder that training writes to."""
    return check_all(recipe, default_run(recipe), decode)[0]


def check_all(recipe: Recipe, output: Path, decode: bool = False) -> tuple[list[CheckedPart], str]:
    """Every stage in order, then the evaluation, and a line on the model and the run in `output`.

    Settings first, then data, of which a sample of the pictures is opened and what needs none is audited;
    with `decode` the audit is the whole one of `vrft data`, of all splits, with all pictures. Raises
    UserError for the first thing that is wrong.
    """
    named_metrics(recipe)
    files = check_settings(recipe, output)
    space = BoxSpace("processed")  # no prompt is shown, so how it words coordinates does not matter
    for name in recipe.tasks:
        known_bank(recipe, name)
    parts: list[CheckedPart] = []
    tasksets: list[tuple[TaskSet, ...]] = []
    read: dict[tuple[str, str], Sequence[Case]] = {}  # by task and split
    for stage in recipe.stages:
        own: list[TaskSet] = []
        rollouts = stage.steps * stage.prompts_per_step * stage.generations if stage.method == "grpo" else 0
        for part, share in zip(stage.parts(), stage.shares(), strict=True):
            with collecting() as notes:
                taskset = load_taskset(recipe, part.task, "train", part.injection, space)
            refuse_unused_labels(recipe, taskset.task, taskset.cases)
            read[part.task, "train"] = taskset.cases
            if part.demonstrations is not None:
                path = recipe.root() / part.demonstrations
                taskset = with_demonstrations(taskset, path, frames_without_model(taskset.task, recipe.model))
            refuse_without_pictures(part, taskset)
            scorer = stage_scorer(part, taskset)
            own.append(taskset)
            checked = _part(stage.name, "train", taskset.task, taskset.cases, round(rollouts * share))
            checked = replace(checked, notes=_unsaid(notes, part.task, parts))
            parts.append(_with_constants(checked, scorer, taskset, recipe) if rollouts else checked)
        if stage.seats is not None and stage.seats.demonstrations is not None:
            frames = frames_without_model(own[0].task, recipe.model)
            with_demonstrations(own[0], Path(stage.seats.demonstrations), frames)
        if stage.curriculum is not None:
            told = tuple(Note(sentence) for sentence in curriculum_notes(stage, own))
            parts[-len(own)] = replace(parts[-len(own)], notes=(*parts[-len(own)].notes, *told))
        if shown := teacher_boxes(recipe, stage, own):
            drawn = Note(boxes_note(stage, own, shown))
            parts[-len(own)] = replace(parts[-len(own)], notes=(*parts[-len(own)].notes, drawn))
        tasksets.append(tuple(own))
        look_probe(recipe, stage, space)  # refuses what a look monitor could not be asked
    wanted = recipe.evaluation
    with collecting() as notes:
        taskset = load_taskset(recipe, wanted.task, wanted.split, wanted.injection, space, wanted.limit)
    read.setdefault((wanted.task, wanted.split), taskset.cases)
    found = audit_findings(recipe, read, decode)
    longest = check_prompts(recipe, files, tasksets, taskset)
    check_stages(recipe, tasksets)
    judged = _part("evaluation", wanted.split, taskset.task, taskset.cases, 0)
    parts.append(replace(judged, notes=(*_unsaid(notes, wanted.task, parts), *found)))
    return parts, model_line(recipe, files, longest, output)


def _unsaid(notes: Sequence[Note], task: str, parts: Sequence[CheckedPart]) -> tuple[Note, ...]:
    """Those that no part of the same task has had."""
    said = {note for part in parts if part.task == task for note in part.notes}
    return tuple(note for note in notes if note not in said)


def _part(name: str, split: str, task: Task, cases: Sequence[Case], rollouts: int) -> CheckedPart:
    return CheckedPart(name, task.name, task.kind, split, len(cases), _targets(task, cases), rollouts)


def _with_constants(part: CheckedPart, scorer: Scorer, taskset: TaskSet, recipe: Recipe) -> CheckedPart:
    found = taskset_constants(scorer, taskset, recipe.model)
    warning = found.warning if found is not None else None
    return replace(part, constants=found, warning=warning, class_weights=scorer.class_weights())


def _targets(task: Task, cases: Sequence[Case]) -> dict[str, int]:
    if task.kind in ("choice", "answer"):
        return {}
    if task.kind == "localise":
        boxes = Counter(box.label or "" for case in cases for box in case.target.boxes or ())
        empty = sum(not case.target.boxes for case in cases)
        return {label: boxes[label] for label in task.labels} | {"images without": empty}
    if task.kind == "multilabel":
        sets = [case.target.labels or frozenset() for case in cases]
        named = Counter(label for labels in sets for label in labels)
        return {label: named[label] for label in task.labels} | {"images with none": sets.count(frozenset())}
    labels = Counter(case.target.label for case in cases)
    return {label: labels[label] for label in task.labels}


def part_lines(part: CheckedPart) -> list[str]:
    """The part in plain text: its data, what constant answers earn, class weights, and a warning, if any."""
    lines = [part_line(part)]
    lines += [f"  {'warning' if note.level == 'warning' else 'data'}: {note.text}" for note in part.notes]
    if (found := part.constants) is not None:
        best = [f"{answer!r} {reward:.3f}" for answer, reward in found.rewards.items()]
        more = f" and {len(best) - SHOWN} more" if len(best) > SHOWN else ""
        lines.append(
            f"  always the same answer earns: {', '.join(best[:SHOWN])}{more}; guessing by frequency "
            f"{found.prior:.3f}, the right answer {found.right:.3f}"
        )
    for term, weights in part.class_weights.items():
        lines.append(f"  {term} weighs: " + ", ".join(f"{label} {w:.2f}" for label, w in weights.items()))
    return [*lines, f"  warning: {part.warning}"] if part.warning else lines


def part_line(part: CheckedPart) -> str:
    """One line of plain text."""
    targets = ", ".join(f"{name} {count}" for name, count in part.targets.items())
    what = "boxes: " if part.kind == "localise" else ""
    sampled = f"; {part.rollouts} rollouts" if part.rollouts else ""
    counted = f"; {what}{targets}" if targets else ""
    return f"{part.name}: {part.task} ({part.kind}), {part.split}, {part.cases} cases{counted}{sampled}"
