"""Does the policy still look? A fixed set of cases, asked with other pictures every few steps of a stage.

Answers are greedy, no gradient is computed and every stream of random numbers stays where it was: the weights
that come out are those of a run without. With several processes the main one asks while the others wait.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from statistics import fmean
from typing import Any

from transformers import TrainerCallback

from vrft_aug.answer import parse
from vrft_aug.labels import normalise
from vrft_aug.nouns import Answer, Case, Prompt, Rollout, Task
from vrft_aug.perception.matching import matched_iou
from vrft_aug.perception.reward import iou
from vrft_aug.policy.generate import generate
from vrft_aug.policy.load import Policy
from vrft_aug.policy.random_numbers import same_random_numbers
from vrft_aug.shaping.label import accuracy
from vrft_aug.tasks.frames import case_frame
from vrft_aug.tasks.look_probe import Probe
from vrft_aug.training.job import StageJob

SAME_BOXES = 0.5  # matched IoU
Values = Mapping[int, float]  # place in the probe -> 0..1


def watch_looking(trainer: Any, policy: Policy, job: StageJob) -> None:
    """Let a trainer of TRL's ask the probe of its stage; nothing where the recipe has none."""
    if job.probe is None:
        return
    probe, where = job.probe.look, job.stage.name
    job.console.print(
        f"{where}: looking is watched on {len(probe.seen)} cases of split {probe.split}, every "
        f"{job.probe.every} steps",
        highlight=False,
        soft_wrap=True,
    )
    trainer.add_callback(LookMonitor(trainer, policy, job.probe, job.stage.max_new_tokens))


class LookMonitor(TrainerCallback):  # type: ignore[misc]
    """Asks after a step and puts the figures among those that the trainer logs of it."""

    def __init__(self, trainer: Any, policy: Policy, probe: Probe, max_new_tokens: int) -> None:
        self.trainer, self.policy, self.probe = trainer, policy, probe
        self.max_new_tokens = max_new_tokens

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """After the first step, every few, and after the last."""
        due = state.global_step in (1, state.max_steps) or state.global_step % self.probe.every == 0
        if not due or not state.is_world_process_zero:
            return
        for name, value in self.figures().items():
            self.trainer._metrics["train"][name].append(value)

    def figures(self) -> dict[str, float]:
        """The figures of the policy as it stands, by their names in metrics.jsonl; see `probe_figures`."""
        prompts = [prompt for _, own, _ in self._asked.values() for prompt in own]
        rollouts = iter(self._written(prompts))
        look, answers = self.probe.look, dict[str, dict[int, Answer]]()
        task = look.taskset.task
        for view, (cases, own, places) in self._asked.items():
            said = [next(rollouts) for _ in own]
            frames = [case_frame(task, case, self.policy.frame) for case in cases]
            judged = zip(said, frames, cases, strict=True)
            parsed = [parse(rollout, task, frame, case) for rollout, frame, case in judged]
            answers[view] = dict(zip(places, parsed, strict=True))
        return probe_figures(task, look.taskset.cases, answers)

    @cached_property
    def _asked(self) -> dict[str, tuple[tuple[Case, ...], tuple[Prompt, ...], tuple[int, ...]]]:
        """View -> the cases that have it, their prompts, and their places in the probe."""
        found: dict[str, tuple[tuple[Case, ...], tuple[Prompt, ...], tuple[int, ...]]] = {}
        for view in self.probe.look.views:
            taskset, places = self.probe.look.asked(view)
            found[view] = taskset.cases, taskset.prompts, places
        return found

    def _written(self, prompts: Sequence[Prompt]) -> list[Rollout]:
        trainer = self.trainer
        model = trainer.accelerator.unwrap_model(trainer.model)
        model = model.get_base_model() if hasattr(model, "get_base_model") else model
        with same_random_numbers(), trainer.accelerator.autocast():
            written = generate(
                replace(self.policy, model=model),
                prompts,
                samples=1,
                temperature=None,
                max_new_tokens=self.max_new_tokens,
                batch_size=self.probe.batch_size,
                seed=0,
            )
        return [one for (one,) in written]


def probe_figures(
    task: Task, cases: Sequence[Case], answers: Mapping[str, Mapping[int, Answer]]
) -> dict[str, float]:
    """What the answers by view, and by place in the cases, come to; what is undefined is absent.

    | `look/...` | mean over the cases of |
    |---|---|
    | `right` | the answer to the true picture being right (of boxes: their matched IoU) |
    | `blank`, `another` | the same with a blank picture, with that of a case of another label |
    | `reliance` | right with the true picture less right with the blank one, -1..1 |
    | `unchanged` | the readable answers that stay the same with another's picture |
    | `lesion_reliance` | right with random boxes masked less right with the lesions masked |

    `look_cases` counts the cases.
    """
    right = {
        view: {place: _right(answer, cases[place], task) for place, answer in of.items()}
        for view, of in answers.items()
    }
    found = {"right": right["true"], "blank": right["blank"], "another": right.get("another", {})}
    found["reliance"] = _minus(right["true"], right["blank"])
    found["unchanged"] = {
        place: float(_same(task, answers["true"][place], answer))
        for place, answer in answers.get("another", {}).items()
        if answers["true"][place].reason is None
    }
    found["lesion_reliance"] = _minus(right.get("random", {}), right.get("lesion", {}))
    means = {f"look/{name}": fmean(of.values()) for name, of in found.items() if of}
    return {**means, "look_cases": float(len(cases))}


def _right(answer: Answer, case: Case, task: Task) -> float:
    value = accuracy(answer, case, task)
    value = value if value is not None else iou(answer, case, task)
    assert value is not None  # every case has what its task asks for
    return value


def _same(task: Task, one: Answer, other: Answer) -> bool:
    if one.reason is not None or other.reason is not None:
        return False
    a, b = one.value, other.value
    if isinstance(a, tuple) and isinstance(b, tuple):
        return matched_iou(a, b) >= SAME_BOXES
    return normalise(a) == normalise(b) if isinstance(a, str) and isinstance(b, str) else a == b


def _minus(one: Values, other: Values) -> dict[int, float]:
    return {place: one[place] - other[place] for place in one.keys() & other.keys()}
