"""What a reader study is on: its cases with truth and the model's answers, frozen in the study's folder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from vrft_aug.data.cases import load_cases
from vrft_aug.errors import UserError, first_fault
from vrft_aug.evaluation.language_judge import evaluation_hash
from vrft_aug.evaluation.metrics.case_rows import Row
from vrft_aug.evaluation.report_data import load_report
from vrft_aug.files import write_text
from vrft_aug.nouns import Box, Case, Task, TaskKind
from vrft_aug.reader_study.model_answers import read_answers
from vrft_aug.reader_study.protocol import Protocol
from vrft_aug.reader_study.schedule import Slot, drawn_cases, schedule
from vrft_aug.recipe.file import load_recipe
from vrft_aug.recipe.schema import Recipe
from vrft_aug.run.layout import EVALUATION, RUN_RECIPE
from vrft_aug.tasks.find import find_cases
from vrft_aug.tasks.task import make_task

FROZEN = "study.json"  # the study as it was when the first reader began
ANSWERS = "answers"  # a file a reader
READ_KINDS = ("classify", "grade", "multilabel", "choice", "answer")  # what readers can answer by keyboard
VERSION = 1


@dataclass(frozen=True)
class StudyCase:
    """A case of a reader study. Boxes are the model's, in pixels of the original (first) picture."""

    case: str
    patient: str | None
    picture: str | None
    truth: str | None
    question: str
    options: tuple[str, ...]  # what may be answered, in the order in which it is shown
    answer: str | None  # the model's; None where it gave none, or boxes
    reason: str | None
    reasoning: str
    boxes: tuple[Box, ...] = ()


@dataclass(frozen=True)
class Material:
    """A reader study with everything that its analysis needs."""

    version: int
    protocol: Protocol
    task: str
    kind: TaskKind
    labels: tuple[str, ...]  # in clinical order
    modality: str
    split: str
    evaluation: str | None  # hash of the evaluation that the model's answers are from; None: of a file
    cases: tuple[StudyCase, ...]

    @cached_property
    def strata(self) -> tuple[str, ...]:
        """The class of every case, by which conditions are balanced."""
        return tuple(_stratum(self.kind, one.truth) for one in self.cases)

    @cached_property
    def rated(self) -> tuple[int, ...]:
        """Numbers of the cases whose reasons are rated."""
        if self.protocol.rating is None:
            return ()
        reasoned = [number for number, one in enumerate(self.cases) if one.reasoning.strip()]
        strata = [self.strata[number] for number in reasoned]
        drawn = drawn_cases(strata, self.protocol.rating.cases, self.protocol.seed)
        return tuple(reasoned[place] for place in drawn)

    def slots(self, reader: str) -> tuple[Slot, ...]:
        """All that a reader does, in order."""
        return schedule(self.protocol, self.strata, self.rated, self.protocol.readers.index(reader))


def open_material(protocol: Protocol) -> tuple[Material, dict[str, Case]]:
    """Read the model's answers and the cases that they are of, these by id; pictures stay closed.

    Raises UserError for a run without an evaluation, answers that do not belong to the task, cases that the
    data does not have any more, and a kind of task that readers cannot answer on the page.
    """
    recipe, hash, rows, task, split, cases = _answers(protocol)
    if protocol.conditions and task.kind not in READ_KINDS:
        raise UserError(
            f"task {task.name!r} is of kind {task.kind}, which readers cannot answer here; expected "
            f"{', '.join(READ_KINDS)}, or `conditions: []` with `rating` alone"
        )
    drawn = drawn_cases([_stratum(task.kind, row.truth) for row in rows], protocol.cases, protocol.seed)
    asked = recipe.tasks[task.name].question
    chosen = tuple(_study_case(task, rows[number], cases[rows[number].case], asked) for number in drawn)
    material = Material(
        VERSION, protocol, task.name, task.kind, task.labels, task.modality, split, hash, chosen
    )
    if protocol.rating is not None and not material.rated:
        raise UserError(
            f"reader study {protocol.name}: none of the {len(chosen)} answers comes with reasoning, so there "
            "is nothing to rate; expected answers with reasons, or no `rating`"
        )
    return material, {one.case: cases[one.case] for one in chosen}


def _answers(
    protocol: Protocol,
) -> tuple[Recipe, str | None, Sequence[Row], Task, str, Mapping[str, Case]]:
    if protocol.run is not None and not (Path(protocol.run) / RUN_RECIPE).is_file():
        raise UserError(
            f"{protocol.run} holds no {RUN_RECIPE}; expected a finished run (`vrft train`, or `vrft demo`): "
            "name it as `run` of the reader study, or as `vrft ui RUN --study`"
        )
    source = str(Path(protocol.run) / RUN_RECIPE) if protocol.run is not None else str(protocol.recipe)
    recipe = load_recipe(source)
    name = protocol.task or recipe.evaluation.task
    if name not in recipe.tasks:
        raise UserError(f"{source} has no task {name!r}; expected one of {', '.join(recipe.tasks)}")
    task, split = make_task(name, recipe.tasks[name]), protocol.split or recipe.evaluation.split
    if protocol.predictions is not None:
        read = load_cases(recipe.tasks[name].data, task, recipe.root(), split)
        known = {case.id: case for case in read}
        return recipe, None, read_answers(Path(protocol.predictions), task, known), task, split, known
    path = Path(str(protocol.run)) / EVALUATION
    if not path.is_file():
        raise UserError(
            f"{protocol.run} has not been evaluated, so it holds no answers; run `vrft evaluate "
            f"{protocol.run}` first, or name a file of answers as `predictions`"
        )
    hash, report = evaluation_hash(path), load_report(path)
    if report.task != name or report.split != split:
        raise UserError(
            f"{path} is of task {report.task!r}, split {report.split}; the reader study asks for {name!r}, "
            f"{split}: change its `task` and `split`, or evaluate the run on that"
        )
    if (report.kind, report.labels) != (task.kind, task.labels):
        had, has = (f"{kind} ({', '.join(labels)})" for kind, labels in (
            (report.kind, report.labels), (task.kind, task.labels)
        ))  # fmt: skip
        raise UserError(
            f"{path} is of kind {had}, task {name!r} of the recipe of kind {has}; evaluate the run again"
        )
    found = find_cases(recipe, name, [row.case for row in report.rows])
    if gone := [row.case for row in report.rows if row.case not in found]:
        raise UserError(
            f"{len(gone)} of {len(report.rows)} cases of {path} are not in the recipe's data any more, the "
            f"first: {gone[0]}; evaluate the run again"
        )
    return recipe, hash, report.rows, task, split, found


def _study_case(task: Task, row: Row, case: Case, asked: str) -> StudyCase:
    options = row.options or case.options if task.kind == "choice" else task.labels
    return StudyCase(
        case=row.case,
        patient=row.patient,
        picture=row.picture,
        truth=row.truth,
        question=case.question or asked,
        options=() if task.kind == "answer" else tuple(options),
        answer=row.answer,
        reason=row.reason,
        reasoning=row.reasoning,
        boxes=row.boxes or (),
    )


def _stratum(kind: TaskKind, truth: str | None) -> str:
    """Labels have few values, texts many: those are one class."""
    return truth or "" if kind in ("classify", "grade", "multilabel") else ""


def save_material(material: Material, folder: Path) -> None:
    """Freeze the study in its folder."""
    write_text(folder / FROZEN, _json().dump_json(material, indent=1).decode() + "\n")


def load_material(folder: Path) -> Material:
    """The study as it was frozen; raises UserError where the folder holds none, or one of another version."""
    path = folder / FROZEN
    try:
        return _json().validate_json(path.read_bytes())
    except OSError:
        raise UserError(
            f"{folder} holds no {FROZEN}; expected the folder of a reader study, as `vrft ui --study` makes"
        ) from None
    except ValidationError as error:
        raise UserError(
            f"{path}: {first_fault(error)}; expected what `vrft ui --study` wrote, in this version"
        ) from None


def changes(old: Material, new: Material) -> list[str]:
    """What of a study is not as it was, in words; further readers at the end of the list are no change."""
    found = []
    before, after = old.protocol.model_dump(), new.protocol.model_dump()
    if after["readers"][: len(before["readers"])] != before["readers"]:
        found.append("readers (only further ones at the end may be added)")
    # How a study is worded and where its run lies now is no change of what was read; answers are compared.
    kept = ("readers", "run", "recipe", "predictions")
    found += [key for key in before if key not in kept and before[key] != after[key]]
    if [one.case for one in old.cases] != [one.case for one in new.cases]:
        found.append("the cases")
    elif [(one.truth, one.question, one.options) for one in old.cases] != [
        (one.truth, one.question, one.options) for one in new.cases
    ]:
        found.append("truth, question or options of a case")
    elif old.cases != new.cases:
        found.append("the model's answers")
    if (old.task, old.kind, old.labels) != (new.task, new.kind, new.labels):
        found.append("the task or its labels")
    return found


@cache
def _json() -> TypeAdapter[Material]:
    return TypeAdapter(Material)
