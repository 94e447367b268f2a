"""The one place that knows how TRL calls a reward function: from its batches to our Score and back."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, get_args

from vrft_aug.nouns import ABSTAINED, FailureReason, Rollout, Score
from vrft_aug.policy.together import gather_all
from vrft_aug.processes import is_main
from vrft_aug.run.rollout_lines import line_of
from vrft_aug.tasks.pass_rates import is_right
from vrft_aug.training.mixture import Mixture, RowScorer, term_means
from vrft_aug.training.monitoring.monitors import Judged, by_knowledge, monitor

if TYPE_CHECKING:  # the second imports transformers, which `vrft score` does not need
    from vrft_aug.training.augmentations.curriculum import GroupsSeen
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
    row_scorer: RowScorer,
    thresholds: Thresholds,
    stage: str,
    buffer: RolloutBuffer,
    groups: GroupsSeen | None = None,
) -> Callable[..., list[float]]:
    """The single reward function that TRL is given; it returns `Score.total` of every completion.

    The data set's column `row` says which question of the stage a completion answers. Every term is logged
    as `rewards/<term>`, the mean over the completions it applies to, every reason for a missing answer as
    `failures/<reason>`, a share of all completions, and in a stage of several tasks the mean total of each as
    `tasks/<task>`. What goes wrong in scoring stops the run. Each process scores its own completions; figures
    and lines are of those of all, in the main process, and thresholds move by them, in every one, as does a
    curriculum, whose `groups` are told of them.
    """

    def reward(
        completions: Sequence[Any],
        completion_ids: Sequence[Sequence[int]],
        row: Sequence[int],
        trainer_state: Any,
        log_metric: Callable[[str, float], None],
        **_: Any,
    ) -> list[float]:
        own = [
            (index, *row_scorer.score(index, completion[0]["content"], ids), place in row_scorer.seated)
            for place, (completion, ids, index) in enumerate(
                zip(completions, completion_ids, row, strict=True)
            )
        ]
        whole = gather_all(own)
        # What the policy did not say, demonstrations, is logged, and in no figure of the policy's.
        said = [(index, rollout, score) for index, rollout, score, seated in whole if not seated]
        if groups is not None:
            for index, _rollout, score in said:
                part, number = row_scorer.mixture.place(index)
                task = row_scorer.mixture.tasksets[part].task
                right = is_right(score.answer, row_scorer.mixture.case(index), task)
                groups.note((trainer_state.global_step + 1, part, number, right))
        if is_main():
            # The rollouts of a step are made before it counts as done.
            buffer.lines += [
                _line(stage, trainer_state.global_step + 1, row_scorer.mixture, *one) for one in whole
            ]
            for name, value in _figures(row_scorer.mixture, thresholds, said).items():
                log_metric(name, value)
        drawn = row_scorer.drawn or [(index, score) for index, _, score in said]
        thresholds.after_round(term_means(row_scorer.mixture, drawn))
        row_scorer.end_round()
        return [score.total for _, _, score, _ in own]

    return reward


def _line(
    stage: str, step: int, mixture: Mixture, index: int, rollout: Rollout, score: Score, seated: bool
) -> dict[str, Any]:
    line = line_of(stage, step, mixture.task(index), mixture.case(index), rollout, score)
    if seated:
        line["demonstration"] = True
    return line if mixture.told(index) else {**line, "told": False}


def _figures(
    mixture: Mixture, thresholds: Thresholds, whole: Sequence[tuple[int, Rollout, Score]]
) -> dict[str, float]:
    """All figures of a step by their names."""
    scores = [score for _, _, score in whole]
    judged = [
        Judged(
            index,
            mixture.tasksets[mixture.place(index)[0]].task,
            mixture.case(index),
            mixture.prompt(index),
            rollout,
            score,
        )
        for index, rollout, score in whole
    ]
    figures = step_metrics(scores) | thresholds.figures() | monitor(judged)
    if len(mixture.tasksets) > 1:
        figures |= task_metrics([mixture.task(index) for index, _, _ in whole], scores)
    if any(taskset.untold for taskset in mixture.tasksets):
        figures |= by_knowledge(judged)
    return figures


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
