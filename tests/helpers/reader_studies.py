"""Made-up reader studies: drawn discs, a run that is right six times in ten, and readers of known habits."""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import yaml

from helpers.synthetic_run import GRADES, Disc, grade_report, localise_cases
from vrft_aug.evaluation.report_data import save_report
from vrft_aug.nouns import Case, Target, Task
from vrft_aug.reader_study.desk import Desk, open_desk
from vrft_aug.reader_study.material import Material, StudyCase, open_material
from vrft_aug.reader_study.protocol import Protocol, load_protocol
from vrft_aug.reader_study.schedule import Slot
from vrft_aug.recipe.file import save_recipe
from vrft_aug.recipe.schema import Recipe

CASES = 40


def disc_cases(root: Path, split: str, task: Task) -> list[Case]:
    """A reader: forty discs, two a patient, five grades in turn, the ids of `grade_cases`."""
    return [
        Case(f"discs/test/{i}", (Disc(i, 224),), Target(label=GRADES[i % 5]), patient=f"p{i // 2}")
        for i in range(CASES)
    ]


def box_cases(root: Path, split: str, task: Task) -> list[Case]:
    """A reader: the cases of `localise_report`."""
    return localise_cases()


RECIPE: dict[str, Any] = {
    "name": "discs",
    "tasks": {
        "grade": {
            "kind": "grade",
            "question": "Which grade?",
            "labels": list(GRADES),
            "modality": "fundus photograph",
            "data": {"reader": "helpers.reader_studies:disc_cases"},
        }
    },
    "stages": [],
    "evaluation": {"task": "grade"},
}


def write_evaluated(folder: Path, skill: float = 0.6) -> Path:
    """A run folder with a recipe and an evaluation."""
    folder.mkdir(parents=True, exist_ok=True)
    save_recipe(Recipe.model_validate(RECIPE), folder / "recipe.yaml")
    save_report(grade_report(skill=skill), folder / "evaluation.json")
    return folder


def write_study(folder: Path, run: Path, **settings: Any) -> Path:
    """A reader study's YAML file."""
    given = {
        "name": "discs", "title": "Grading discs", "run": str(run), "readers": ["good", "poor", "follows"],
        "washout_days": 0, **settings,
    }  # fmt: skip
    path = folder / "study.yaml"
    folder.mkdir(parents=True, exist_ok=True)
    path.write_text(yaml.safe_dump(given), encoding="utf-8")
    return path


def opened(folder: Path, **settings: Any) -> tuple[Protocol, Material, dict[str, Case]]:
    """A study of a made-up run, its material and its cases."""
    protocol = load_protocol(str(write_study(folder, write_evaluated(folder / "run"), **settings)))
    return protocol, *open_material(protocol)


class Hours:
    """A clock that moves when it is told to."""

    def __init__(self) -> None:
        self.now = datetime(2026, 3, 1, 8, tzinfo=UTC)

    def __call__(self) -> datetime:
        self.now += timedelta(seconds=1)
        return self.now


def desk(folder: Path, material: Material) -> Desk:
    """A desk whose clock moves a second at a look."""
    return open_desk(folder, material, Hours())


# What a made reader does: (case, slot, drawn numbers) -> the grade.
Habit = Callable[[StudyCase, Slot, random.Random], str]


def good(case: StudyCase, slot: Slot, rng: random.Random) -> str:
    """Right nine times in ten, whatever the model says."""
    return str(case.truth) if rng.random() < 0.9 else _near(case, rng)


def poor(case: StudyCase, slot: Slot, rng: random.Random) -> str:
    """Right four times in ten alone; half of the time the model's answer where there is one."""
    if slot.doing == "aided" and case.answer is not None and rng.random() < 0.5:
        return case.answer
    return str(case.truth) if rng.random() < 0.4 else _near(case, rng)


def follows(case: StudyCase, slot: Slot, rng: random.Random) -> str:
    """Always the model's answer where there is one, else as the good reader."""
    if slot.doing == "aided" and case.answer is not None:
        return case.answer
    return good(case, slot, rng)


HABITS: dict[str, Habit] = {"good": good, "poor": poor, "follows": follows}


def _near(case: StudyCase, rng: random.Random) -> str:
    place = GRADES.index(str(case.truth))
    return GRADES[min(4, max(0, place + rng.choice((-1, 1))))] if 0 < place < 4 else GRADES[2]


def keys_of(case: StudyCase, answer: str) -> list[str]:
    """What a form sends for an answer."""
    return [str(case.options.index(answer) + 1)]


def flags_of(case: StudyCase, reader: str, rng: random.Random) -> list[str]:
    """How a made rater rates: right where the model is, and one rater often finds things unsafe."""
    flags = ["right"] if case.answer == case.truth else ["wrong"]
    if reader == "poor" and rng.random() < 0.5:
        flags.append("unsafe")
    if rng.random() < 0.2:
        flags.append("not in the picture")
    return flags


def read_all(desk: Desk, reader: str, stop: int | None = None) -> None:
    """Let a made reader read, up to a place."""
    habit = HABITS[reader]
    while (now := desk.now(reader)).slot is not None and now.case is not None:
        slot = now.slot
        if slot.place == stop:
            return
        rng = random.Random(f"{reader}/{now.case.case}/{slot.doing}")
        desk.open(reader, slot.place)
        answers, flags = [], []
        if slot.doing == "rating":
            flags = flags_of(now.case, reader, rng)
        else:
            answers = keys_of(now.case, habit(now.case, slot, rng))
        seconds = 0.4 + rng.random() * (0.2 if slot.doing == "aided" else 0.4)
        said = desk.take(reader, slot.place, answers=answers, flags=flags, comment="", seconds=seconds)
        assert said == "saved"
