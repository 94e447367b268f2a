"""A stage of reinforcement fine-tuning, by TRL's GRPOTrainer with one reward function: our scorer."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache, partial
from typing import Any

from vrft_aug.nouns import Prompt
from vrft_aug.perception.spaces import Frame
from vrft_aug.training.loop import StageJob, case_dataset, run_trainer, trainer_row
from vrft_aug.training.material import stage_scorer
from vrft_aug.training.order import case_order
from vrft_aug.training.policy import Policy, case_frame, eos_token_ids, lora_config
from vrft_aug.training.prefix import enable_prefix_sharing
from vrft_aug.training.progress import ProgressBar, RunLog
from vrft_aug.training.rewards_bridge import RolloutBuffer, reward_function
from vrft_aug.training.trainer_settings import generation_round, grpo_settings


def train_grpo(policy: Policy, job: StageJob) -> Any:
    """Train on the stage's rewards, `prompts_per_step` x `generations` rollouts a step; returns the model.

    Raises UserError for settings that TRL does not take.
    """
    from trl import GRPOTrainer

    stage, material = job.stage, job.material

    @cache
    def frame_of(index: int) -> Frame | None:
        return case_frame(policy, material.task, material.cases[index])

    settings = grpo_settings(stage, policy, job.folder, job.seed)
    _, prompts, rounds = generation_round(stage, settings)
    scorer, eos, buffer = stage_scorer(stage, material), eos_token_ids(policy), RolloutBuffer()
    reward = reward_function(scorer, material.cases, material.prompts, frame_of, eos, stage.name, buffer)
    row_of = partial(_row, material.prompts)
    log = RunLog(stage.name, job.run, buffer)
    bar = ProgressBar(stage.name, stage.steps, job.console)
    trainer = GRPOTrainer(
        model=policy.model,
        reward_funcs=reward,
        args=settings,
        train_dataset=case_dataset(case_order(len(material.cases), rounds * prompts, job.seed), row_of),
        processing_class=policy.processor,
        peft_config=lora_config(job.model),
        callbacks=[log, bar],
    )
    if stage.prefix_sharing:
        enable_prefix_sharing(trainer)
    return run_trainer(trainer, log, bar, job.resume_from)


def _row(prompts: Sequence[Prompt], index: int) -> dict[str, Any]:
    return {**trainer_row(prompts[index]), "row": index}
