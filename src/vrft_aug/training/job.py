"""What both methods share: a stage's job, and running a trainer over it."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from vrft_aug.data.picture_on_demand import PictureOnDemand
from vrft_aug.files import write_text
from vrft_aug.nouns import Prompt
from vrft_aug.policy.freezing import freeze
from vrft_aug.processes import is_main
from vrft_aug.recipe.model_config import ModelConfig
from vrft_aug.recipe.parallel_config import ONE_EACH, ParallelConfig
from vrft_aug.recipe.stage_config import StageConfig
from vrft_aug.run.layout import PARAMETERS, TENSORBOARD
from vrft_aug.tasks.look_probe import Probe
from vrft_aug.tasks.taskset import TaskSet
from vrft_aug.tasks.teacher_boxes import Shown
from vrft_aug.training.monitoring.loggers import keep_tensorboard
from vrft_aug.training.monitoring.progress import ProgressBar, RunLog
from vrft_aug.training.processes.sharding import is_engine, whole_model
from vrft_aug.training.processes.stop_signal import StopSignal


@dataclass(frozen=True)
class StageJob:
    """One stage to be trained, and where it writes."""

    stage: StageConfig
    model: ModelConfig
    tasksets: tuple[TaskSet, ...]  # of every part of the stage
    run: Path  # the run folder, for the logs
    folder: Path  # for the checkpoints
    seed: int
    console: Console
    parallel: ParallelConfig = ONE_EACH
    probe: Probe | None = None  # what the look monitor asks
    shown: Shown = ()  # boxes that the teacher sees, of every part


@dataclass(frozen=True)
class BuiltStage:
    """A trainer of TRL's with what watches it, ready to train."""

    trainer: Any
    log: RunLog
    bar: ProgressBar
    signal: StopSignal


def trainer_row(prompt: Prompt) -> dict[str, Any]:
    """What TRL calls a conversational prompt with images: the pictures lie beside the messages."""
    return {"prompt": [dict(m) for m in prompt.messages], "images": list(map(PictureOnDemand, prompt.images))}


def freeze_parts(model: Any, job: StageJob) -> None:
    """Freeze what the recipe says of a trainer's model; tell how much is trained, and note it in the run."""
    count = freeze(model, job.model.freeze)
    if not is_main():
        return
    job.console.print(f"{job.stage.name}: {count}", highlight=False, soft_wrap=True)
    path = job.run / PARAMETERS
    noted = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    noted[job.stage.name] = asdict(count)
    write_text(path, json.dumps(noted, indent=1) + "\n")


def run_trainer(stage: BuiltStage, resume_from: Path | None, start: ModelConfig | None = None) -> Any:
    """Train from the start or from a checkpoint; gives the trained model, with LoRA a peft.PeftModel.

    With `start`, what its model was loaded by, the main one of several processes has it whole, whatever the
    strategy.
    """
    from transformers.trainer_callback import PrinterCallback

    trainer, log, bar = stage.trainer, stage.log, stage.bar
    trainer.remove_callback(PrinterCallback)
    log.trainer = trainer
    keep_tensorboard(trainer, log.run / TENSORBOARD / log.stage)
    if resume_from is not None and not hasattr(trainer.model, "peft_config") and not is_engine(trainer):
        _restore_weights(trainer.model, resume_from)
    try:
        trainer.train(resume_from_checkpoint=str(resume_from) if resume_from is not None else None)
    finally:
        bar.close()
        stage.signal.close()
        if hasattr(trainer, "close"):
            trainer.close()
    stage.signal.raise_if_stopped(trainer.state.global_step)
    return trainer.accelerator.unwrap_model(trainer.model) if start is None else whole_model(trainer, start)


def _restore_weights(model: Any, checkpoint: Path) -> None:
    """Put the weights of a checkpoint into the model.

    The trainer's own way passes silently over families whose weights have other names on disk than in
    memory, Qwen2.5-VL among them, and would go on from the weights that the stage started with:
    https://github.com/huggingface/transformers/issues/43701
    """
    saved = type(model).from_pretrained(checkpoint, dtype=model.dtype, use_safetensors=True)
    model.load_state_dict(saved.state_dict())
