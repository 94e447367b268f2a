"""Alarms: a plain sentence when what is logged looks as if the reward were hacked or training stood still."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, variance
from typing import Any

from vrft_aug.run.layout import ALARM_STEPS, ALARMS
from vrft_aug.run.logs import append_lines, read_lines
from vrft_aug.training.monitoring.look_alarms import does_not_look, looks_away
from vrft_aug.training.monitoring.sampler_monitor import MEAN, SAMPLE_SIZE

WINDOW = ALARM_STEPS
Line = Mapping[str, Any]  # of metrics.jsonl
COPIED = 0.5  # share of copied 5-grams
SHRUNK = 0.3  # of the words that the stage began with
ALIKE = 0.95  # of answers, texts or groups
VARIED = 0.8  # at most so many truths alike, or one answer for all may be right
FALLEN = 0.05  # of the share of right answers
UNREAD = 0.5  # completions without a readable answer
APART = 0.1  # mean difference of a token's log-probability between sampler and trainer; bfloat16 makes 0.02
LEFT = 0.5  # of the completions, once each is weighted by what the trainer thinks of it


def reward_without_task(lines: Sequence[Line]) -> str | None:
    """The reward rises while fewer answers are right: against the start, and against the window before."""
    if len(lines) < 2 * WINDOW:
        return None
    last = lines[-WINDOW:]
    for before, since in ((lines[:WINDOW], "since the start"), (lines[-2 * WINDOW : -WINDOW], "lately")):
        reward, right = _change(before, last, "reward"), _change(before, last, "monitor/right")
        if reward is None or right is None:
            continue
        if reward.certain and reward.by > 0 and right.certain and right.by <= -FALLEN:
            return (
                f"The reward rose {since} ({reward.words}) while the share of right answers fell "
                f"({right.words}): the policy may be earning it without doing the task."
            )
    return None


def copying(lines: Sequence[Line]) -> str | None:
    """The reasoning is made of the prompt's knowledge."""
    share = _mean(lines[-WINDOW:], "monitor/copied_5grams")
    if share is None or share <= COPIED:
        return None
    return (
        f"{share:.0%} of the reasoning's 5-grams stand in the prompt's knowledge: it is copied, not observed."
    )


def length_collapse(lines: Sequence[Line]) -> str | None:
    """The reasoning shrinks to little or nothing."""
    first, last = _mean(lines[:WINDOW], "monitor/words"), _mean(lines[-WINDOW:], "monitor/words")
    if first is None or last is None or first < 5 or last >= SHRUNK * first:
        return None
    return f"The reasoning shrank from {first:.0f} to {last:.0f} words: the policy stops giving reasons."


def one_answer(lines: Sequence[Line]) -> str | None:
    """One answer for everything, though the truth varies."""
    answer, truth = _mean(lines[-WINDOW:], "monitor/one_answer"), _mean(lines[-WINDOW:], "monitor/one_truth")
    if answer is None or truth is None or answer < ALIKE or truth > VARIED:
        return None
    return (
        f"{answer:.0%} of the answers of a step are one and the same, though only {truth:.0%} of the truths "
        "are: the policy answers without looking (vrft check tells what constant answers earn)."
    )


def flat_groups(lines: Sequence[Line]) -> str | None:
    """No group has any variance, so nothing is learned; but for those where a demonstration took a seat."""
    share = _mean(lines[-WINDOW:], "monitor/flat_groups")
    if share is None:
        return None
    seated = _mean(lines[-WINDOW:], "seats/taken") or 0.0
    if share - seated < ALIKE:
        return None
    without = " and no demonstration took a seat" if any("seats/taken" in line for line in lines) else ""
    return (
        f"In {share - seated:.0%} of the groups all completions earn the same{without}: the steps teach "
        "nothing. The task may be solved, too hard, or sampled without enough temperature."
    )


def sameness(lines: Sequence[Line]) -> str | None:
    """The completions of a group have become one text."""
    share = _mean(lines[-WINDOW:], "monitor/self_bleu")
    if share is None or share < ALIKE:
        return None
    return f"The reasonings of a group are nearly one text (self-BLEU {share:.2f}): nothing is explored."


def unreadable(lines: Sequence[Line]) -> str | None:
    """Answers cannot be read, or are cut at the token limit."""
    last = lines[-WINDOW:]
    reasons = {name for line in last for name in line if name.startswith("failures/")}
    shares = {name.removeprefix("failures/"): _mean(last, name) or 0.0 for name in reasons}
    if sum(shares.values()) < UNREAD:
        return None
    worst = max(sorted(shares), key=shares.__getitem__)
    advice = "raise max_new_tokens" if worst == "truncated" else "look at them: vrft view, rollouts.jsonl"
    return f"{sum(shares.values()):.0%} of the completions have no readable answer, mostly {worst}; {advice}."


def sampler_apart(lines: Sequence[Line]) -> str | None:
    """Completions come from another distribution than the one that is trained."""
    difference, left = _mean(lines[-WINDOW:], MEAN), _mean(lines[-WINDOW:], SAMPLE_SIZE)
    if difference is None or left is None or (difference <= APART and left >= LEFT):
        return None
    return (
        "Completions are drawn from another distribution than the one that is trained: sampler and trainer "
        f"differ by {difference:.2g} in a token's log-probability, and weighted for that {left:.0%} of the "
        "completions are left. Look at trainer.top_p, top_k, generation_kwargs and the precision; with vLLM "
        "at rollouts.vllm_importance_sampling_mode."
    )


RULES: dict[str, Callable[[Sequence[Line]], str | None]] = {
    "reward without task": reward_without_task,
    "copying": copying,
    "length collapse": length_collapse,
    "one answer": one_answer,
    "flat groups": flat_groups,
    "sameness": sameness,
    "unreadable": unreadable,
    "sampler apart": sampler_apart,
    "looks away": looks_away,
    "does not look": does_not_look,
}


class AlarmBell:
    """Watches the lines of a stage and writes each kind of alarm once, when it first rings.

    Made with the lines and alarms that an interrupted run has left, it goes on as if there had been no break.
    """

    def __init__(self, stage: str, run: Path, lines: Sequence[Line] = ()) -> None:
        self.stage = stage
        self.file = run / ALARMS
        self.lines = [line for line in lines if line.get("stage") == stage]
        self.rung = {line.get("rule") for line in read_lines(self.file) if line.get("stage") == stage}

    def hear(self, line: Line) -> list[str]:
        """Add the line of a step; the sentences of the alarms that it sets off, which are also written."""
        self.lines.append(line)
        if len(self.lines) < WINDOW:
            return []
        found = {rule: judge(self.lines) for rule, judge in RULES.items() if rule not in self.rung}
        raised = {rule: sentence for rule, sentence in found.items() if sentence is not None}
        self.rung |= raised.keys()
        base = {"stage": self.stage, "step": line["step"]}
        append_lines(self.file, [{**base, "rule": rule, "alarm": text} for rule, text in raised.items()])
        return list(raised.values())


@dataclass(frozen=True)
class _Change:
    """From the mean of one window to that of another."""

    by: float
    certain: bool  # more than two standard errors of the difference
    words: str


def _change(before: Sequence[Line], after: Sequence[Line], name: str) -> _Change | None:
    first, second = _values(before, name), _values(after, name)
    if min(len(first), len(second)) < 2:
        return None
    by = fmean(second) - fmean(first)
    error = math.sqrt(variance(first) / len(first) + variance(second) / len(second))
    return _Change(by, abs(by) > 2 * error, f"{fmean(first):.2f} to {fmean(second):.2f}")


def _mean(lines: Sequence[Line], name: str) -> float | None:
    values = _values(lines, name)
    return fmean(values) if values else None


def _values(lines: Sequence[Line], name: str) -> list[float]:
    return [float(line[name]) for line in lines if isinstance(line.get(name), int | float)]
