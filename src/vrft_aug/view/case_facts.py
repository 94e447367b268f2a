"""What the viewer knows of a case beyond its rollouts: truth, pictures, knowledge in the prompt."""

from __future__ import annotations

import io
from dataclasses import dataclass
from functools import lru_cache
from threading import Lock
from typing import Any

from vrft_aug.data.cases import EmptySplit, load_cases
from vrft_aug.errors import UserError
from vrft_aug.knowledge.count import injection_count
from vrft_aug.knowledge.told import told_bank
from vrft_aug.nouns import Answer, Box, Case, Task
from vrft_aug.perception.matching import matched_iou
from vrft_aug.prompt import injected_knowledge
from vrft_aug.recipe.schema import Recipe
from vrft_aug.recipe.task_config import Injection
from vrft_aug.run.rollout_lines import RolloutLine, boxes_of
from vrft_aug.shaping.label import accuracy
from vrft_aug.tasks.task import make_task
from vrft_aug.view.rollout_index import STEPLESS

HIT = 0.5  # mean IoU from which boxes count as right
LARGEST = 1280  # pixels of the longer side of a served picture
SMALL = 256  # up to here pictures are served without loss


@dataclass(frozen=True)
class Picture:
    """A picture as the browser gets it; boxes are drawn over it in pixels of the original."""

    data: bytes
    media_type: str
    original: tuple[int, int]  # (width, height)


class CaseBook:
    """Cases of a recipe by task and id, read when they are first asked for."""

    def __init__(self, recipe: Recipe) -> None:
        self.recipe = recipe
        self.tasks = {name: make_task(name, config) for name, config in recipe.tasks.items()}
        self.missing: dict[str, str] = {}  # task -> why its cases could not be read
        self._cases: dict[str, dict[str, Case]] = {}
        self._unread: dict[str, list[str]] = {}  # task -> splits that nobody has asked for yet
        self._lock = Lock()
        self._outcomes: dict[int, tuple[RolloutLine, str]] = {}
        self.picture = lru_cache(maxsize=64)(self._picture)
        self.knowledge = lru_cache(maxsize=4096)(self._knowledge)

    def case(self, task: str, case: str) -> Case | None:
        """One that the run trained on or was evaluated on; None where the data is not at hand."""
        found = self._cases.setdefault(task, {})
        while case not in found and self._unread.get(task, True):
            with self._lock:
                if case not in found:
                    self._read_split(task)
        return found.get(case)

    def _read_split(self, task: str) -> None:
        """Read the next split of a task: that of training, then that of the evaluation."""
        if task not in self.tasks:
            self.missing[task], self._unread[task] = f"the recipe has no task {task!r}", []
            return
        splits = self._unread.setdefault(task, list(dict.fromkeys(("train", self.recipe.evaluation.split))))
        if not splits:
            return
        try:
            cases = load_cases(self.recipe.tasks[task].data, self.tasks[task], self.recipe.root(), splits[0])
            self._cases[task].update((case.id, case) for case in cases)
        except EmptySplit:
            pass
        except UserError as error:
            self.missing[task] = str(error)
            splits.clear()
            return
        splits.pop(0)

    def truth(self, task: str, case: str) -> str | None:
        """What is true of the case, in words; None where it is not known."""
        found = self.case(task, case)
        if found is None:
            return None
        target, kind = found.target, self.tasks[task].kind
        if kind == "localise":
            return None if target.boxes is None else counted(len(target.boxes))
        if kind == "multilabel":
            return None if target.labels is None else ", ".join(sorted(target.labels)) or "none of them"
        return target.text if kind == "answer" else target.label

    def true_boxes(self, task: str, case: str) -> tuple[Box, ...]:
        """In pixels of the original picture; () also where they are not known."""
        found = self.case(task, case)
        return (found.target.boxes or ()) if found is not None else ()

    def outcome(self, entry: RolloutLine) -> str:
        """`right`, `wrong`, `no answer`, or `unknown` where the truth is not at hand."""
        if entry.reason is not None or entry.answer is None:
            return "no answer"
        kept = self._outcomes.get(id(entry))
        if kept is None or kept[0] is not entry:
            kept = self._outcomes[id(entry)] = (entry, self._judged(entry))
        return kept[1]

    def _judged(self, entry: RolloutLine) -> str:
        case, task = self.case(entry.task, entry.case), self.tasks.get(entry.task)
        if case is None or task is None:
            return "unknown"
        right = _is_right(task, case, entry.answer)
        return "unknown" if right is None else "right" if right else "wrong"

    def injection(self, stage: str, task: str) -> Injection:
        """How knowledge entered the prompts of a task in a stage."""
        if stage == STEPLESS:
            return self.recipe.evaluation.injection
        for one in self.recipe.stages:
            for part in one.parts():
                if (one.name, part.task) == (stage, task):
                    return part.injection
        return Injection()

    def weights(self, stage: str, task: str) -> dict[str, float]:
        """The weight of every reward term of a task in a stage."""
        for one in self.recipe.stages:
            for part in one.parts():
                if (one.name, part.task) == (stage, task):
                    return {name: reward.weight for name, reward in part.rewards.items()}
        return {}

    def _knowledge(self, stage: str, task: str, case_id: str) -> str:
        """What was injected into the prompt, made again as training made it; "" where that is impossible."""
        case, injection = self.case(task, case_id), self.injection(stage, task)
        config = self.recipe.tasks.get(task)
        if case is None or config is None or config.knowledge is None or injection.style == "none":
            return ""
        try:
            bank = told_bank(self.recipe, task, injection)
            count = injection_count(injection, self.recipe.model)
            return injected_knowledge(self.tasks[task], case, injection, bank, count)
        except UserError:
            return ""

    def _picture(self, task: str, case_id: str, number: int) -> Picture | None:
        """A picture of a case, small enough to be sent; None where there is none or it cannot be read."""
        case = self.case(task, case_id)
        if case is None or not 0 <= number < len(case.images):
            return None
        try:
            image = case.images[number].open()
        except UserError:
            return None
        original = image.size
        image.thumbnail((LARGEST, LARGEST))
        image.info.clear()
        buffer = io.BytesIO()
        lossless = max(original) <= SMALL
        image.save(buffer, format="PNG") if lossless else image.save(buffer, format="JPEG", quality=90)
        return Picture(buffer.getvalue(), "image/png" if lossless else "image/jpeg", original)


def counted(boxes: int) -> str:
    """`1 box`, `2 boxes`, `no box`."""
    return "no box" if boxes == 0 else f"{boxes} box{'' if boxes == 1 else 'es'}"


def _is_right(task: Task, case: Case, answer: Any) -> bool | None:
    """By the rule of the accuracy reward; boxes by their mean IoU. None where the truth is not known."""
    if task.kind == "localise":
        true = case.target.boxes
        return None if true is None else matched_iou(boxes_of(answer), true) >= HIT
    value = frozenset(answer) if isinstance(answer, list) else answer
    found = accuracy(Answer(value=value, reason=None, reasoning=""), case, task)
    return None if found is None else found > 0
