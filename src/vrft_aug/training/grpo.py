"""A stage of reinforcement fine-tuning, by TRL's GRPOTrainer with one reward function: our scorer."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache, partial
from pathlib import Path
from typing import Any

from vrft_aug.answer import parse
from vrft_aug.nouns import Rollout
from vrft_aug.perception.spaces import Frame
from vrft_aug.policy.adapters import lora_config
from vrft_aug.policy.chat import eos_token_ids
from vrft_aug.policy.load import Policy
from vrft_aug.policy.thinking import opened_thinking
from vrft_aug.policy.together import once_for_all
from vrft_aug.processes import is_main
from vrft_aug.recipe.seats_config import Seats
from vrft_aug.run.layout import ROLLOUTS
from vrft_aug.tasks.demonstrations import with_demonstrations
from vrft_aug.tasks.frames import case_frame
from vrft_aug.tasks.pass_rates import is_right
from vrft_aug.tasks.taskset import stage_scorer
from vrft_aug.training.augmentations.curriculum import (
    GroupsSeen,
    Noted,
    curriculum_notes,
    noted_in,
    stage_order,
    stage_rates,
)
from vrft_aug.training.augmentations.distortions import borne_by_all
from vrft_aug.training.augmentations.noisy_rollouts import NoisySampler
from vrft_aug.training.augmentations.privileged_teacher import PrivilegedTeacher
from vrft_aug.training.augmentations.seats import SeatTaker, refuse_long_traces
from vrft_aug.training.augmentations.visual_terms import VisualTerms
from vrft_aug.training.case_dataset import CaseDataset
from vrft_aug.training.checkpoint_mark import CheckpointMark
from vrft_aug.training.job import BuiltStage, StageJob, freeze_parts, trainer_row
from vrft_aug.training.mixture import Mixture, RowScorer
from vrft_aug.training.monitoring.loggers import LoggerRollouts
from vrft_aug.training.monitoring.look_monitor import watch_looking
from vrft_aug.training.monitoring.progress import ProgressBar, RunLog
from vrft_aug.training.order import with_dropout
from vrft_aug.training.pictures.picture_server import serve_pictures
from vrft_aug.training.prefix_sharing import enable_prefix_sharing
from vrft_aug.training.processes.blank_picture import always_look
from vrft_aug.training.processes.stop_signal import StopSignal
from vrft_aug.training.rollouts.dynamic import DynamicSampler
from vrft_aug.training.rollouts.rewards_bridge import RolloutBuffer, reward_function
from vrft_aug.training.rollouts.vllm_rollouts import VllmRollouts
from vrft_aug.training.settings import generation_round, grpo_settings
from vrft_aug.training.stopped import Soundness
from vrft_aug.training.thresholds import Thresholds


def build_grpo(policy: Policy, job: StageJob) -> BuiltStage:
    """The trainer on the stage's rewards, `prompts_per_step` x `generations` rollouts a step.

    Raises UserError for settings that TRL does not take.
    """
    from vrft_aug.training.policy_trainer import PolicyTrainer  # TRL takes seconds to import

    stage, mixture = job.stage, Mixture(job.tasksets)

    @cache
    def frame_of(row: int) -> Frame | None:
        return case_frame(mixture.tasksets[mixture.place(row)[0]].task, mixture.case(row), policy.frame)

    settings = grpo_settings(stage, policy, job.folder, job.seed, job.parallel)
    steps, prompts, rounds = generation_round(stage, settings)
    scorers = [stage_scorer(part, own) for part, own in zip(stage.parts(), job.tasksets, strict=True)]
    opened = opened_thinking(policy.processor, policy.name)
    row_scorer = RowScorer(mixture, scorers, frame_of, eos_token_ids(policy), opened)
    thresholds, buffer = Thresholds(row_scorer), RolloutBuffer()
    row_of = partial(_row, mixture)
    log = RunLog(stage.name, job.run, buffer)
    shown = LoggerRollouts(stage, job.tasksets, buffer)
    bar = ProgressBar(stage.name, stage.steps, job.console)
    renews = stage.curriculum is not None and stage.curriculum.re_estimate is not None
    seen = GroupsSeen(once_for_all(partial(_noted, job, row_scorer)) if renews else ())
    order = _order(job, mixture, (steps, prompts, rounds), seen)
    visual = (
        VisualTerms(stage.perception_loss, stage.token_weights, job.seed) if stage.masks_pictures else None
    )
    teacher = PrivilegedTeacher(stage.teacher, policy, mixture, job.shown) if stage.teacher.weight else None
    vllm = VllmRollouts(stage, job.model, policy) if stage.rollouts.engine == "vllm" else None
    signal = StopSignal(stage.name, steps)
    trainer = PolicyTrainer(
        model=policy.model,
        visual=visual,
        teacher=teacher,
        vllm=vllm,
        reward_funcs=reward_function(row_scorer, thresholds, stage.name, buffer, seen if renews else None),
        args=settings,
        train_dataset=CaseDataset(order, row_of),
        processing_class=policy.processor,
        peft_config=lora_config(job.model),
        callbacks=[
            shown,
            log,
            bar,
            thresholds,
            signal,
            Soundness(stage, job.folder),
            CheckpointMark(stage, job.folder),
        ],
    )
    shown.trainer = trainer
    freeze_parts(trainer.model, job)
    always_look(trainer)
    if stage.prefix_sharing and enable_prefix_sharing(trainer):
        serve_pictures(
            trainer, "_generate_and_score_completions", job, lambda row: mixture.prompt(row).images
        )
    if stage.noisy_rollouts.share:
        noisy = stage.noisy_rollouts
        among = noisy.distortions or borne_by_all([taskset.task.modality for taskset in job.tasksets])
        NoisySampler(noisy, among, stage.noisy_members, stage.steps, job.seed).install(trainer)
    if stage.dynamic_sampling.mode != "off":
        budget = stage.dynamic_sampling.budget if stage.dynamic_sampling.mode == "resample" else 0
        dropped = _dropped(job, mixture)
        DynamicSampler(row_scorer, row_of, stage.generations, budget, job.seed, dropped).install(trainer)
    watch_looking(trainer, policy, job)
    if stage.seats is not None:
        _seats(policy, job, row_scorer, stage.seats).install(trainer)
    return BuiltStage(trainer, log, bar, signal)


def _seats(policy: Policy, job: StageJob, row_scorer: RowScorer, wanted: Seats) -> SeatTaker:
    """The seats of a stage's own task; UserError for a trace that is none, or too long."""
    stage, first = job.stage, job.tasksets[0]
    tokenizer = policy.processor.tokenizer

    def encode(text: str) -> list[int]:
        return [*tokenizer(text, add_special_tokens=False)["input_ids"], tokenizer.eos_token_id]

    traces: dict[int, list[str]] = {}
    if wanted.demonstrations is not None:
        frames = lambda case: case_frame(first.task, case, policy.frame)  # noqa: E731
        told = with_demonstrations(first, Path(wanted.demonstrations), frames)
        numbers = {case.id: number for number, case in enumerate(first.cases)}
        for case, text in zip(told.cases, told.completions or (), strict=True):
            traces.setdefault(numbers[case.id], []).append(text)
        refuse_long_traces(stage.place, traces, encode, stage.max_new_tokens)
    return SeatTaker(wanted, row_scorer, traces, encode, stage.generations, stage.max_new_tokens, job.seed)


def _dropped(job: StageJob, mixture: Mixture) -> frozenset[int]:
    """The rows that a curriculum leaves out, which dynamic sampling is not to bring back."""
    if (wanted := job.stage.curriculum) is None:
        return frozenset()
    parts = enumerate(stage_rates(job.stage, job.tasksets))
    kept = {mixture.rows(part)[number] for part, rates in parts for number in rates.kept(wanted)}
    return frozenset(range(sum(mixture.sizes))) - kept


def _noted(job: StageJob, row_scorer: RowScorer) -> list[Noted]:
    """What an interrupted run has logged of this stage, for rates that are renewed."""
    mixture = row_scorer.mixture
    rows = {
        (mixture.task(row), mixture.case(row).id): row
        for part in range(len(mixture.tasksets))
        for row in mixture.rows(part)
    }

    def place_of(task: str, case: str) -> tuple[int, int] | None:
        row = rows.get((task, case))
        return mixture.place(row) if row is not None else None

    def share_right(line: Any) -> float:
        row = rows[line["task"], line["case"]]
        task, case = mixture.tasksets[mixture.place(row)[0]].task, mixture.case(row)
        rollout = Rollout(line["completion"], line["tokens"], line["finished"])
        return is_right(parse(rollout, task, row_scorer.frame_of(row), case), case, task)

    return noted_in(job.run / ROLLOUTS, job.stage.name, place_of, share_right)


def _order(job: StageJob, mixture: Mixture, planned: tuple[int, int, int], seen: GroupsSeen) -> Sequence[int]:
    """The rows in training order; with a curriculum what it does is told, and may be renewed by `seen`."""
    stage, (steps, prompts, rounds) = job.stage, planned
    if stage.curriculum is not None and is_main():
        for sentence in curriculum_notes(stage, job.tasksets):
            job.console.print(f"{stage.name}: {sentence}", markup=False, highlight=False, soft_wrap=True)
    dropout = [part.injection.dropout for part in stage.parts()]

    def untold(order: list[int], seed: int) -> list[int]:
        return with_dropout(order, lambda row: dropout[mixture.place(row)[0]], mixture.ends[-1], seed)

    return stage_order(stage, job.tasksets, rounds * prompts, job.seed, prompts, steps, seen, untold)


def _row(mixture: Mixture, row: int) -> dict[str, Any]:
    return {**trainer_row(mixture.prompt(row)), "row": row}
