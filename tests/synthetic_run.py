"""Made-up evaluations and run folders: every number known, no model, no data files."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from vrft_aug.evaluation.provenance import Provenance
from vrft_aug.evaluation.report_data import Report, build_report, save_report
from vrft_aug.nouns import Answer, Box, Case, Rollout, Target, Task
from vrft_aug.recipe import Recipe
from vrft_aug.recipe_file import save_recipe

GRADES = ("no retinopathy", "mild", "moderate", "severe", "proliferative")
GRADE = Task("grade", "grade", "Which grade?", GRADES, "fundus photograph")
LOCALISE = Task(
    "localise", "localise", "Where are the lesions?", ("haemorrhage", "exudate"), "fundus photograph"
)
PROVENANCE = Provenance(
    "aaaaaaaaaaaa", "bbbbbbbbbbbb", "cccccccccccc", "tiny", 12.5, {"python": "3.11", "numpy": "2"}
)


@dataclass(frozen=True)
class Disc:
    """An orange disc with dots: enough to look like something on a page."""

    seed: int
    size: int = 112

    def open(self) -> Image.Image:
        y, x = np.mgrid[: self.size, : self.size]
        inside = (x - self.size / 2) ** 2 + (y - self.size / 2) ** 2 < (0.48 * self.size) ** 2
        picture = np.zeros((self.size, self.size, 3), np.uint8)
        picture[inside] = (196, 98, 42)
        rng = np.random.default_rng(self.seed)
        for cx, cy in rng.integers(self.size // 4, 3 * self.size // 4, size=(4, 2)):
            picture[(x - cx) ** 2 + (y - cy) ** 2 < 9] = (110, 20, 16)
        return Image.fromarray(picture)


def grade_cases(n: int = 40) -> list[Case]:
    """Two cases a patient, five grades in turn, each with a box."""
    return [
        Case(
            id=f"discs/test/{i}",
            images=(Disc(i),),
            target=Target(label=GRADES[i % 5], boxes=(Box(30, 30, 60, 55, "haemorrhage"),)),
            patient=f"p{i // 2}",
        )
        for i in range(n)
    ]


def grade_report(skill: float = 0.6, seed: int = 0, samples: int = 0, n: int = 40) -> Report:
    """Right with probability `skill`, else a neighbouring grade or, one time in four, no answer."""
    rng = np.random.default_rng(seed)
    cases = grade_cases(n)
    answers = [_grade_answer(rng, case, skill) for case in cases]
    sampled = (
        [[_grade_answer(rng, case, skill) for _ in range(samples)] for case in cases] if samples else None
    )
    return build_report(
        GRADE, cases, answers, [_rollout(a) for a in answers], sampled,
        seed=0, bootstrap=200, split="test", provenance=PROVENANCE,
    )  # fmt: skip


def _grade_answer(rng: np.random.Generator, case: Case, skill: float) -> Answer:
    reasoning = "Dark red blots in all quadrants, <b>no</b> new vessels & a pale disc."
    if rng.random() >= skill and rng.random() < 0.25:
        return Answer(None, "malformed", reasoning)
    place = GRADES.index(str(case.target.label)) + (0 if rng.random() < skill else 1)
    return Answer(GRADES[min(place, 4)], None, reasoning)


def _rollout(answer: Answer) -> Rollout:
    value = answer.value if isinstance(answer.value, str) else "<answer>"
    return Rollout(f"<think>{answer.reasoning}</think><answer>{value}</answer>", tokens=21)


def localise_cases(n: int = 12) -> list[Case]:
    boxes = [
        (Box(20, 20, 50, 50, "haemorrhage"), Box(60, 60, 80, 90, "exudate")),
        (),
        (Box(5, 5, 25, 25, "exudate"),),
    ]
    return [Case(f"boxes/test/{i}", (Disc(i),), Target(boxes=boxes[i % 3])) for i in range(n)]


def localise_report(samples: int = 0) -> Report:
    cases = localise_cases()
    answers = [
        Answer(case.target.boxes if i % 4 else None, None if i % 4 else "truncated", "red dots")
        for i, case in enumerate(cases)
    ]
    rollouts = [Rollout("<think>red dots</think><answer>[]</answer>", tokens=9) for _ in cases]
    sampled = [[answer] * samples for answer in answers] if samples else None
    return build_report(
        LOCALISE, cases, answers, rollouts, sampled,
        seed=0, bootstrap=200, split="test", provenance=PROVENANCE,
    )  # fmt: skip


RECIPE = {
    "name": "discs",
    "seed": 3,
    "tasks": {
        "grade": {
            "kind": "grade",
            "question": "Which grade?",
            "labels": list(GRADES),
            "modality": "fundus photograph",
            "data": {"reader": "procedural", "test": 40},
        }
    },
    "stages": [
        {"name": "warm-up", "method": "sft", "task": "grade", "steps": 20},
        {
            "name": "grading", "method": "grpo", "task": "grade", "steps": 60,
            "rewards": {"format": 0.5, "fuzzy_grade": 1.0},
        },
    ],
    "evaluation": {"task": "grade"},
}  # fmt: skip


def write_run(
    folder: Path, report: Report, seed: int = 0, level: float = 0.6, stages: Sequence[str] = ()
) -> Path:
    """A run folder as training and evaluation leave it; `stages` picks those that were trained."""
    folder.mkdir(parents=True, exist_ok=True)
    save_recipe(Recipe.model_validate(RECIPE), folder / "recipe.yaml")
    save_report(report, folder / "evaluation.json")
    rng = np.random.default_rng(seed)
    lines: list[dict[str, object]] = []
    if "warm-up" in stages:
        lines += [{"stage": "warm-up", "step": i, "loss": 3 / (i + 1)} for i in range(1, 21)]
    if "grading" in stages:
        for i in range(1, 61):
            grade = level * (1 - np.exp(-i / 20)) + 0.2 + 0.08 * rng.normal()
            kept = min(1.0, 0.5 + i / 60)
            lines.append({
                "stage": "grading", "step": i, "reward": float(0.5 * kept + grade),
                "rewards/format": kept, "rewards/fuzzy_grade": float(grade), "completions/mean_length": 20.0,
            })  # fmt: skip
    if lines:
        text = "\n".join(json.dumps(line) for line in lines)
        (folder / "metrics.jsonl").write_text(text + "\n", encoding="utf-8")
    return folder
