"""How often a model answers each case right before it is trained: the file that `vrft probe` writes."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

from pydantic import Field, ValidationError, model_validator

from vrft_aug.data.settings import Strict
from vrft_aug.errors import UserError, first_fault
from vrft_aug.files import write_text
from vrft_aug.nouns import Answer, Case, Prompt, Task
from vrft_aug.perception.matching import matched_iou
from vrft_aug.shaping.label import accuracy
from vrft_aug.tasks.taskset import TaskSet

FOUND = 0.5  # mean matched IoU from which boxes are right
EXPECTED = "expected the file that `vrft probe RECIPE --output FILE` writes"


class CaseRate(Strict):
    """Of `samples` completions so many were right."""

    right: int = Field(ge=0)
    samples: int = Field(ge=1)

    @model_validator(mode="after")
    def _no_more_right_than_there_are(self) -> CaseRate:
        if self.right > self.samples:
            raise ValueError(f"{self.right} of {self.samples} samples cannot be right")
        return self

    @property
    def share(self) -> float:
        """Share right, 0 to 1."""
        return self.right / self.samples


class TaskRates(Strict):
    """The cases of a task by their ids, and what they were asked with."""

    split: Literal["train", "validation", "test"]
    prompts: str  # hash of the prompts, see `hash_prompts`
    temperature: float
    cases: dict[str, CaseRate]


class PassRates(Strict):
    """Pass rates by task and case, with where they come from; hashes have 12 hexadecimal digits."""

    what: Literal["vrft pass rates"] = "vrft pass rates"
    model: str
    model_hash: str
    recipe: str
    recipe_hash: str
    seed: int
    tasks: dict[str, TaskRates]


def save_pass_rates(rates: PassRates, path: Path) -> None:
    """Write as JSON, whole or not at all; a line a case."""
    plain = rates.model_dump(mode="json")
    head = {key: value for key, value in plain.items() if key != "tasks"}
    tasks = []
    for name, task in plain["tasks"].items():
        cases = ",\n".join(
            f"   {json.dumps(id, ensure_ascii=False)}: {json.dumps(rate)}"
            for id, rate in task["cases"].items()
        )
        told = ", ".join(
            f"{json.dumps(key)}: {json.dumps(value)}" for key, value in task.items() if key != "cases"
        )
        tasks.append(f'  {json.dumps(name, ensure_ascii=False)}: {{{told}, "cases": {{\n{cases}\n  }}}}')
    opened = json.dumps(head, ensure_ascii=False, indent=1).removesuffix("\n}")
    write_text(path, f'{opened},\n "tasks": {{\n' + ",\n".join(tasks) + "\n }\n}\n")


def load_pass_rates(path: Path) -> PassRates:
    """Read what `save_pass_rates` wrote; UserError, one line, for what is absent or something else."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        raise UserError(f"pass rates {path} cannot be read; {EXPECTED}") from None
    try:
        return PassRates.model_validate(json.loads(text))
    except ValidationError as error:
        fault = first_fault(error)
        raise UserError(f"pass rates {path}: {fault} (it {fault.given}); {EXPECTED}") from None
    except ValueError as error:
        raise UserError(f"pass rates {path} is no JSON: {error}; {EXPECTED}") from None


def hash_prompts(cases: Sequence[Case], prompts: Sequence[Prompt]) -> str:
    """Of what the cases are asked, in words, by their ids; not of the pictures."""
    told = sorted((case.id, _words(prompt)) for case, prompt in zip(cases, prompts, strict=True))
    return hashlib.sha256(json.dumps(told, ensure_ascii=False).encode()).hexdigest()[:12]


def same_prompts(taskset: TaskSet, rates: TaskRates) -> bool | None:
    """Whether the task set asks what the rates were measured with; None where that cannot be told.

    That is where it lacks one of their cases, and of boxes, whose wording depends on the model's family.
    """
    chosen = [i for i, case in enumerate(taskset.cases) if case.id in rates.cases]
    if len(chosen) < len(rates.cases) or taskset.task.kind == "localise":
        return None
    asked = hash_prompts([taskset.cases[i] for i in chosen], [taskset.prompts[i] for i in chosen])
    return asked == rates.prompts


def _words(prompt: Prompt) -> list[str]:
    parts = [part for message in prompt.messages for part in message["content"]]
    return [str(part.get("text", part["type"])) for part in parts]


def is_right(answer: Answer, case: Case, task: Task) -> float:
    """1 for a right answer, else 0: the truth, or of boxes a mean matched IoU of a half or more."""
    if task.kind == "localise":
        boxes = answer.value if isinstance(answer.value, tuple) else None
        return float(boxes is not None and matched_iou(boxes, case.target.boxes or ()) >= FOUND)
    return float(accuracy(answer, case, task) == 1)


def shares(rates: Mapping[str, CaseRate]) -> dict[str, float]:
    """Share right by case id."""
    return {id: rate.share for id, rate in rates.items()}
