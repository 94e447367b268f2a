"""The one place that knows how TRL calls a reward function: from its batches to our Score and back."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, get_args

from vrft_aug.nouns import ABSTAINED, FailureReason, Score
from vrft_aug.run.rollout_lines import line_of
from vrft_aug.training.mixture import RowScorer, term_means
from vrft_aug.training.monitors import Judged, by_knowledge, monitor

if TYPE_CHECKING:  # it imports transformers, which `vrft score` does not need
    from vrft_aug.training.thresholds import Thresholds


@dataclass
class RolloutBuffer:
    """Rollouts of the current step as lines of rollouts.jsonl, waiting for their advantages and the disk."""

    lines: list[dict[str, Any]] = field(default_factory=list)

    def take(self, advantages: Sequence[float] | None = None) -> list[dict[str, Any]]:
        """Hand over and forget the lines, with their advantages where there is one for each."""
        lines, self.lines = self.lines, []
        if advantages is not None and len(advantages) == len(lines):
            lines = [{**line, "advantage": value} for line, value in zip(lines, advantages, strict=True)]
        return lines


def reward_function(
    row_scorer: RowScorer, thresholds: Thresholds, stage: str, buffer: RolloutBuffer
) -> Callable[..., list[float]]:
    """The single reward function that TRL is given; it returns `Score.total` of every completion.

    The data set's column `row` says which question of the stage a completion answers. Every term is logged
    as `rewards/<term>`, the mean over the completions it applies to, every reason for a missing answer as
    `failures/<reason>`, a share of all completions, and in a stage of several tasks the mean total of each as
    `tasks/<task>`. What goes wrong in scoring stops the run.
    """

    def reward(
        completions: Sequence[Any],
        completion_ids: Sequence[Sequence[int]],
        row: Sequence[int],
        trainer_state: Any,
        log_metric: Callable[[str, float], None],
        **_: Any,
    ) -> list[float]:
        scores, judged = [], []
        for completion, ids, index in zip(completions, completion_ids, row, strict=True):
            rollout, score = row_scorer.score(index, completion[0]["content"], ids)
            # The rollouts of a step are made before it counts as done.
            step, mixture = trainer_state.global_step + 1, row_scorer.mixture
            line = line_of(stage, step, mixture.task(index), mixture.case(index), rollout, score)
            buffer.lines.append(line if mixture.told(index) else {**line, "told": False})
            scores.append(score)
            part = mixture.tasksets[mixture.place(index)[0]]
            judged.append(
                Judged(index, part.task, mixture.case(index), mixture.prompt(index), rollout, score)
            )
        metrics = step_metrics(scores) | thresholds.figures() | monitor(judged)
        if len(row_scorer.scorers) > 1:
            metrics |= task_metrics([row_scorer.mixture.task(index) for index in row], scores)
        if any(taskset.untold for taskset in row_scorer.mixture.tasksets):
            metrics |= by_knowledge(judged)
        for name, value in metrics.items():
            log_metric(name, value)
        thresholds.after_round(
            term_means(row_scorer.mixture, row_scorer.drawn or list(zip(row, scores, strict=True)))
        )
        row_scorer.end_round()
        return [score.total for score in scores]

    return reward


def task_metrics(tasks: Sequence[str], scores: Sequence[Score]) -> dict[str, float]:
    """`tasks/<task>`: the mean total of a task's completions."""
    totals: dict[str, list[float]] = {}
    for task, score in zip(tasks, scores, strict=True):
        totals.setdefault(task, []).append(score.total)
    return {f"tasks/{task}": sum(of) / len(of) for task, of in totals.items()}


def step_metrics(scores: Sequence[Score]) -> dict[str, float]:
    """`rewards/<term>`: mean over the scores it applies to, if any; `failures/<reason>`: shares."""
    metrics: dict[str, float] = {}
    for term in dict.fromkeys(name for score in scores for name in score.terms):
        values = [value for score in scores if (value := score.terms.get(term)) is not None]
        if values:
            metrics[f"rewards/{term}"] = sum(values) / len(values)
    reasons = Counter(score.answer.reason for score in scores)
    return metrics | {
        f"failures/{reason}": reasons[reason] / len(scores)
        for reason in get_args(FailureReason)
        if reason != ABSTAINED  # read, and told by the monitors
    }
