"""The one place that knows how TRL calls a reward function: from its batches to our Score and back."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, get_args

from vrft_aug.nouns import AnswerValue, Case, FailureReason, Prompt, Rollout, Score
from vrft_aug.perception.spaces import Frame
from vrft_aug.scorer import Scorer


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
    scorer: Scorer,
    cases: Sequence[Case],
    prompts: Sequence[Prompt],
    frame_of: Callable[[int], Frame | None],
    eos_ids: Sequence[int],
    stage: str,
    buffer: RolloutBuffer,
) -> Callable[..., list[float]]:
    """The single reward function that TRL is given; it returns `Score.total` of every completion.

    The data set's column `row` says which of `cases` and `prompts` a completion belongs to. Every term is
    logged as `rewards/<term>`, the mean over the completions it applies to, and every reason for a missing
    answer as `failures/<reason>`, a share of all completions. What goes wrong in scoring stops the run.
    """

    def reward(
        completions: Sequence[Any],
        completion_ids: Sequence[Sequence[int]],
        row: Sequence[int],
        trainer_state: Any,
        log_metric: Callable[[str, float], None],
        **_: Any,
    ) -> list[float]:
        scores = []
        for completion, ids, index in zip(completions, completion_ids, row, strict=True):
            rollout = Rollout(
                completion=completion[0]["content"],
                tokens=len(ids),
                finished=bool(ids) and ids[-1] in eos_ids,
            )
            score = scorer.score(cases[index], prompts[index], rollout, frame_of(index))
            # The rollouts of a step are made before it counts as done.
            buffer.lines.append(_line(stage, trainer_state.global_step + 1, cases[index], rollout, score))
            scores.append(score)
        for name, value in step_metrics(scores).items():
            log_metric(name, value)
        return [score.total for score in scores]

    return reward


def step_metrics(scores: Sequence[Score]) -> dict[str, float]:
    """`rewards/<term>`: mean over the scores it applies to, if any; `failures/<reason>`: shares."""
    metrics: dict[str, float] = {}
    for term in dict.fromkeys(name for score in scores for name in score.terms):
        values = [value for score in scores if (value := score.terms.get(term)) is not None]
        if values:
            metrics[f"rewards/{term}"] = sum(values) / len(values)
    reasons = Counter(score.answer.reason for score in scores)
    return metrics | {
        f"failures/{reason}": reasons[reason] / len(scores) for reason in get_args(FailureReason)
    }


def plain_value(value: AnswerValue) -> Any:
    """An answer's value as JSON takes it: boxes become mappings in pixels of the original image."""
    if isinstance(value, frozenset):
        return sorted(value)
    if not isinstance(value, tuple):
        return value
    return [{"bbox": [box.x1, box.y1, box.x2, box.y2], "label": box.label} for box in value]


def _line(stage: str, step: int, case: Case, rollout: Rollout, score: Score) -> dict[str, Any]:
    return {
        "stage": stage,
        "step": step,
        "case": case.id,
        "completion": rollout.completion,
        "tokens": rollout.tokens,
        "finished": rollout.finished,
        "answer": plain_value(score.answer.value),
        "reason": score.answer.reason,
        "total": score.total,
        "terms": dict(score.terms),
    }
