"""What lowers the lead of a constant answer: changes of a stage's rewards that can be made, else of data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from vrft_aug.labels import NO_LABEL
from vrft_aug.nouns import Case, Task
from vrft_aug.scorer import Scorer

Graded = Mapping[str, Mapping[str, Any]]
STEEPER: Graded = {  # of fuzzy_grade: what makes a near miss earn less, by preset
    "geometric": {"base": 0.1},
    "table": {"preset": "geometric", "base": 0.1},
    "linear": {"preset": "geometric"},
    "gaussian": {"sigma": 0.4},
}


@dataclass(frozen=True)
class Change:
    """Further settings of a reward term that the recipe has."""

    term: str
    settings: Mapping[str, Any]
    why: str

    def __str__(self) -> str:
        """Such as `weigh rare labels more (rewards.accuracy.balance: inverse)`."""
        told = ", ".join(f"rewards.{self.term}.{key}: {value}" for key, value in self.settings.items())
        return f"{self.why} ({told})"


def changes(scorer: Scorer) -> list[Change]:
    """What may help and is neither there already nor impossible; whether it does is for the caller to try."""
    found = [
        Change(term, {"balance": "inverse"}, "weigh rare labels more") for term in scorer.can_be_balanced()
    ]
    for term, given in scorer.settings.items():
        if term == "label_set" and given.get("measure", "jaccard") == "per_label":
            found.append(Change(term, {"measure": "jaccard"}, "measure the sets by what they share"))
        if term == "fuzzy_grade":
            steeper = STEEPER[given.get("preset", "geometric")]
            found.append(Change(term, steeper, "let near misses earn less"))
        if (
            term == "iou_threshold"
            and isinstance(limit := given.get("threshold", 0.5), float)
            and limit < 0.5
        ):
            found.append(Change(term, {"threshold": 0.5}, "ask for boxes that fit"))
    return found


def of_data(task: Task, best: str, cases: Sequence[Case]) -> str:
    """What to change in the data, where no change of the rewards helps against the answer `best`."""
    if best == task.abstain:
        return "let abstaining cost more (the last column of rewards.costs.costs)"
    if task.kind == "choice":
        if task.option_seed is None:
            return f"shuffle the options (tasks.{task.name}.option_seed: 0)"
        return "have each answer be right as often as the others in the data"
    if task.kind == "answer":
        return "ask more varied questions: too many have the same answer"
    if task.kind == "multilabel" and best == NO_LABEL:
        without = sum(not case.target.labels for case in cases)
        return f"train on more pictures with a label ({without} of these {len(cases)} have none)"
    if task.kind == "localise":
        without = sum(not case.target.boxes for case in cases)
        if best == "no box":
            return f"train on more pictures with boxes ({without} of these {len(cases)} have none)"
        return "train on pictures whose boxes are smaller than the picture"
    return "train on as many cases of the rarer labels as of the others"
