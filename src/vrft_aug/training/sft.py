"""A stage of supervised fine-tuning, by TRL's SFTTrainer: the loss is on the target completion alone."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

from vrft_aug.policy.adapters import lora_config
from vrft_aug.policy.load import Policy
from vrft_aug.policy.prefix.families import find_family
from vrft_aug.policy.prefix.features import FeatureCache
from vrft_aug.policy.thinking import continued, opened_thinking
from vrft_aug.tasks.frames import case_frame
from vrft_aug.tasks.targets import target_completion
from vrft_aug.tasks.taskset import TaskSet
from vrft_aug.training.case_dataset import CaseDataset
from vrft_aug.training.checkpoint_mark import CheckpointMark
from vrft_aug.training.job import BuiltStage, StageJob, freeze_parts, trainer_row
from vrft_aug.training.monitoring.look_monitor import watch_looking
from vrft_aug.training.monitoring.progress import ProgressBar, RunLog
from vrft_aug.training.order import case_order, with_dropout
from vrft_aug.training.pictures.picture_server import serve_pictures
from vrft_aug.training.processes.blank_picture import always_look
from vrft_aug.training.processes.stop_signal import StopSignal
from vrft_aug.training.settings import sft_settings
from vrft_aug.training.stopped import Soundness


def build_sft(policy: Policy, job: StageJob) -> BuiltStage:
    """The trainer on the demonstrations or targets of the cases, `prompts_per_step` a step.

    Raises UserError for settings that TRL does not take.
    """
    from trl import SFTTrainer

    stage, (taskset,) = job.stage, job.tasksets
    order = case_order(len(taskset.cases), stage.steps * stage.prompts_per_step, job.seed)
    order = with_dropout(order, lambda _: stage.injection.dropout, len(taskset.cases), job.seed)
    opened = opened_thinking(policy.processor, policy.name)
    row_of = partial(_row, replace(policy, model=None), taskset, opened)
    log, bar = RunLog(stage.name, job.run), ProgressBar(stage.name, stage.steps, job.console)
    signal = StopSignal(stage.name)
    trainer = SFTTrainer(
        model=policy.model,
        args=sft_settings(stage, policy, job.folder, job.seed, job.parallel),
        train_dataset=CaseDataset(order, row_of),
        processing_class=policy.processor,
        peft_config=lora_config(job.model),
        callbacks=[log, bar, signal, Soundness(stage, job.folder), CheckpointMark(stage, job.folder)],
    )
    freeze_parts(trainer.model, job)
    always_look(trainer)
    _serve_features(trainer)
    serve_pictures(
        trainer, "data_collator", job, lambda row: taskset.prompts[row % len(taskset.prompts)].images
    )
    watch_looking(trainer, policy, job)
    return BuiltStage(trainer, log, bar, signal)


def _serve_features(trainer: Any) -> None:
    """A frozen vision tower runs once for each image; where it trains, or is of no known family, as ever."""
    causal = trainer.model.get_base_model() if hasattr(trainer.model, "get_base_model") else trainer.model
    if find_family(causal.config.model_type) is None:
        return
    features, stock = FeatureCache(), trainer.compute_loss

    def compute_loss(*arguments: Any, **settings: Any) -> Any:
        with features.serving(causal.base_model):
            return stock(*arguments, **settings)

    trainer.compute_loss = compute_loss


def _row(policy: Policy, taskset: TaskSet, opened: str, row: int) -> dict[str, Any]:
    untold, index = divmod(row, len(taskset.cases))
    case, prompt = taskset.cases[index], (taskset.untold if untold else taskset.prompts)[index]
    if taskset.completions is not None:
        taught = taskset.completions[index]
    else:
        taught = target_completion(case, taskset.task, case_frame(taskset.task, case, policy.frame))
    text = continued(opened, taught)
    completion = [{"role": "assistant", "content": [{"type": "text", "text": text}]}]
    return {**trainer_row(prompt), "completion": completion}
