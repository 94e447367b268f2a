"""A stage of supervised fine-tuning, by TRL's SFTTrainer: the loss is on the target completion alone."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

from vrft_aug.training.loop import StageJob, case_dataset, run_trainer, trainer_row
from vrft_aug.training.material import Material
from vrft_aug.training.order import case_order
from vrft_aug.training.policy import Policy, case_frame, lora_config
from vrft_aug.training.progress import ProgressBar, RunLog
from vrft_aug.training.targets import target_completion
from vrft_aug.training.trainer_settings import sft_settings


def train_sft(policy: Policy, job: StageJob) -> Any:
    """Train on the demonstrations or targets of the cases, `prompts_per_step` a step; returns the model.

    Raises UserError for settings that TRL does not take.
    """
    from trl import SFTTrainer

    stage, (material,) = job.stage, job.materials
    order = case_order(len(material.cases), stage.steps * stage.prompts_per_step, job.seed)
    row_of = partial(_row, replace(policy, model=None), material)
    log, bar = RunLog(stage.name, job.run), ProgressBar(stage.name, stage.steps, job.console)
    trainer = SFTTrainer(
        model=policy.model,
        args=sft_settings(stage, policy, job.folder, job.seed),
        train_dataset=case_dataset(order, row_of),
        processing_class=policy.processor,
        peft_config=lora_config(job.model),
        callbacks=[log, bar],
    )
    return run_trainer(trainer, log, bar, job.resume_from)


def _row(policy: Policy, material: Material, index: int) -> dict[str, Any]:
    case = material.cases[index]
    if material.completions is not None:
        taught = material.completions[index]
    else:
        taught = target_completion(case, material.task, case_frame(policy, material.task, case))
    completion = [{"role": "assistant", "content": [{"type": "text", "text": taught}]}]
    return {**trainer_row(material.prompts[index]), "completion": completion}
