"""The questions of a GRPO stage: the cases of all its tasks behind one row number, and who judges them."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import accumulate

from vrft_aug.nouns import Case, Prompt, Rollout, Score
from vrft_aug.perception.spaces import Frame
from vrft_aug.policy.thinking import whole_completion
from vrft_aug.scorer import Scorer
from vrft_aug.tasks.taskset import TaskSet


@dataclass(frozen=True)
class Mixture:
    """The task sets of a stage's parts, in their order; row numbers run through all their cases.

    Then they run through them once more, for the same cases asked without knowledge.
    """

    tasksets: tuple[TaskSet, ...]

    @cached_property
    def ends(self) -> tuple[int, ...]:
        """The row number after the last row of every part."""
        return tuple(accumulate(len(taskset.cases) for taskset in self.tasksets))

    @property
    def sizes(self) -> tuple[int, ...]:
        """How many cases every part has."""
        return tuple(len(taskset.cases) for taskset in self.tasksets)

    def place(self, row: int) -> tuple[int, int]:
        """The part that a row belongs to, and the number of its case there."""
        row %= self.ends[-1]
        part = bisect_right(self.ends, row)
        return part, row - (self.ends[part] - len(self.tasksets[part].cases))

    def rows(self, part: int) -> range:
        """The row numbers of a part, asked with knowledge."""
        return range(self.ends[part] - len(self.tasksets[part].cases), self.ends[part])

    def told(self, row: int) -> bool:
        """Whether a row is asked with the knowledge that its part injects."""
        return row < self.ends[-1]

    def like(self, row: int, other: int) -> int:
        """Another row, asked with or without knowledge as `row` is."""
        return other % self.ends[-1] + (0 if self.told(row) else self.ends[-1])

    def task(self, row: int) -> str:
        """The name of a row's task."""
        return self.tasksets[self.place(row)[0]].task.name

    def case(self, row: int) -> Case:
        """The case of a row."""
        part, number = self.place(row)
        return self.tasksets[part].cases[number]

    def prompt(self, row: int) -> Prompt:
        """The prompt of a row."""
        part, number = self.place(row)
        taskset = self.tasksets[part]
        return taskset.prompts[number] if self.told(row) else taskset.untold[number]

    def told_prompt(self, row: int) -> Prompt:
        """The prompt of a row's case with knowledge."""
        part, number = self.place(row)
        return self.tasksets[part].prompts[number]


@dataclass
class RowScorer:
    """Scores the completions of a stage by row, each by the scorer of its task.

    Scores of the current round are kept, so that what dynamic sampling has judged is not judged again.
    """

    mixture: Mixture
    scorers: list[Scorer]  # of every part; replaced as thresholds tighten
    frame_of: Callable[[int], Frame | None]  # by row
    eos_ids: Sequence[int]
    opened: str = ""  # what the chat template opens for every completion, see policy/thinking.py
    # The rows and scores that the policy drew in this round, where dynamic sampling has replaced some since.
    drawn: list[tuple[int, Score]] = field(default_factory=list)
    seated: set[int] = field(default_factory=set)  # places of the round that demonstrations have taken
    _known: dict[tuple[int, str, int, bool], Score] = field(default_factory=dict)

    def score(self, row: int, completion: str, ids: Sequence[int]) -> tuple[Rollout, Score]:
        """The rollout that a completion of these tokens is, and its score."""
        whole, finished = whole_completion(self.opened, completion), bool(ids) and ids[-1] in self.eos_ids
        rollout = Rollout(whole, tokens=len(ids), finished=finished)
        key = (row, completion, len(ids), rollout.finished)
        if key not in self._known:
            scorer = self.scorers[self.mixture.place(row)[0]]
            case, prompt = self.mixture.case(row), self.mixture.prompt(row)
            self._known[key] = scorer.score(case, prompt, rollout, self.frame_of(row))
        return rollout, self._known[key]

    def end_round(self) -> None:
        """Forget the scores: another round may score by other thresholds."""
        self._known.clear()
        self.drawn = []


def term_means(mixture: Mixture, drawn: Sequence[tuple[int, Score]]) -> Mapping[tuple[int, str], float]:
    """The mean of every term over the scores that it applies to, by part and name; scores come by row."""
    values: dict[tuple[int, str], list[float]] = {}
    for row, score in drawn:
        for name, value in score.terms.items():
            if value is not None:
                values.setdefault((mixture.place(row)[0], name), []).append(value)
    return {key: sum(of) / len(of) for key, of in values.items()}
