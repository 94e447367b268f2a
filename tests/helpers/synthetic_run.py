"""Made-up evaluations and run folders: every number known, no model, no data files."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from vrft_aug.evaluation.provenance import Provenance
from vrft_aug.evaluation.report_data import Report, build_report, save_report
from vrft_aug.nouns import Answer, Box, Case, Rollout, Target, Task
from vrft_aug.recipe.file import save_recipe
from vrft_aug.recipe.schema import Recipe

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


RECIPE: dict[str, Any] = {
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


@dataclass(frozen=True)
class Grey:
    """A flat picture, on which boxes can be found by their colour."""

    size: tuple[int, int] = (200, 100)

    def open(self) -> Image.Image:
        return Image.new("RGB", self.size, (90, 90, 90))


EVIL = "<script>window.hacked = 1</script><img src=x onerror='window.hacked = 1'>"
TRUE_BOX, SAID_BOX = Box(20, 10, 80, 60, "haemorrhage"), Box(120, 30, 180, 90, "exudate")
WORDING = "no abnormalities of the retina"  # words in a row of the bank below


def grey_cases(root: Path, split: str, task: Task) -> list[Case]:
    """A reader: eight flat pictures for boxes or grades."""
    target = [Target(boxes=(TRUE_BOX,)) if task.kind == "localise" else Target(label=GRADES[i % 5])
              for i in range(8)]  # fmt: skip
    return [Case(f"grey/{split}/{i}", (Grey(),), target[i]) for i in range(8)]


BROWSED = {
    "name": "browsed",
    "tasks": {
        "find": {
            "kind": "localise", "question": "Where?", "labels": ["haemorrhage", "exudate"],
            "data": {"reader": "helpers.synthetic_run:grey_cases"},
        },
        "grade": {
            "kind": "grade", "question": "Which grade?", "labels": list(GRADES), "knowledge": "idrid",
            "data": {"reader": "helpers.synthetic_run:grey_cases"},
        },
    },
    "stages": [
        {"name": "finding", "method": "grpo", "task": "find", "steps": 2,
         "rewards": {"format": 0.2, "iou": 1}},
        {
            "name": "grading", "method": "grpo", "task": "grade", "steps": 3,
            "injection": {"style": "definitions"}, "rewards": {"format": 0.2, "fuzzy_grade": 1.0},
        },
    ],
    "evaluation": {"task": "grade"},
}  # fmt: skip


def rollout_lines(
    steps: int = 3, prompts: int = 4, generations: int = 4, seed: int = 0
) -> list[dict[str, Any]]:
    """Lines of rollouts.jsonl: two steps of boxes, then `steps` of grades with a known mixture of answers."""
    rng = np.random.default_rng(seed)
    box = {"bbox": [SAID_BOX.x1, SAID_BOX.y1, SAID_BOX.x2, SAID_BOX.y2], "label": SAID_BOX.label}
    lines: list[dict[str, Any]] = []
    for step in (1, 2):
        for case in range(2):
            for i in range(generations):
                lines.append({
                    "stage": "finding", "step": step, "task": "find", "case": f"grey/train/{case}",
                    "completion": f"<think>a box {i}</think><answer>[]</answer>", "finished": True,
                    "answer": [box] if i % 2 == 0 else [], "reason": None, "total": 0.2 + 0.1 * i,
                    "terms": {"format": 1.0, "iou": 0.1 * i}, "advantage": i - 1.5,
                })  # fmt: skip
    for step in range(1, steps + 1):
        for case in range(prompts):
            for i in range(generations):
                failed = i == 3
                grade = int(rng.integers(5))
                near = 0.25 ** abs(grade - case % 5)
                text = f"{EVIL} {{{{ 7 * 7 }}}}" if failed else f"Look. {WORDING}. Step {step}."
                lines.append({
                    "stage": "grading", "step": step, "task": "grade", "case": f"grey/train/{case % 8}",
                    "completion": f"<think>{text}</think><answer>{GRADES[grade]}</answer>",
                    "tokens": 20, "finished": not failed, "answer": None if failed else GRADES[grade],
                    "reason": "truncated" if failed else None, "total": 0.0 if failed else 0.2 + near,
                    "terms": {"format": float(not failed), "fuzzy_grade": 0.0 if failed else near,
                              "recitation": None},
                    "advantage": float(rng.normal()),
                })  # fmt: skip
    return lines


def write_browsed(folder: Path, lines: Sequence[dict[str, Any]]) -> Path:
    """A run folder with just a recipe and rollouts."""
    folder.mkdir(parents=True, exist_ok=True)
    save_recipe(Recipe.model_validate(BROWSED), folder / "recipe.yaml")
    text = "".join(json.dumps(line) + "\n" for line in lines)
    (folder / "rollouts.jsonl").write_text(text, encoding="utf-8")
    return folder
