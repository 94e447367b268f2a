"""Pictures with their answers for the loggers that `trainer.report_to` names; numbers reach them through TRL.

TensorBoard, Trackio, W&B and MLflow are known here. Nothing is sent unless the recipe names a logger.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from transformers import TrainerCallback

from vrft_aug.errors import UserError
from vrft_aug.nouns import Answer, Box
from vrft_aug.perception.annotate import annotate
from vrft_aug.processes import is_main
from vrft_aug.recipe.stage_config import StageConfig
from vrft_aug.tasks.taskset import TaskSet
from vrft_aug.training.rollouts.rewards_bridge import RolloutBuffer

if TYPE_CHECKING:
    from PIL.Image import Image

EVERY = 10  # steps
PICTURES = 2  # of a step, each of another case


def named_loggers(stage: StageConfig) -> list[str]:
    """The loggers of a stage; raises UserError for one that is not installed or does not exist."""
    from transformers.integrations import get_available_reporting_integrations

    given = stage.trainer.get("report_to", "none")
    names = [given] if isinstance(given, str) else list(given)
    available = get_available_reporting_integrations()
    for name in names:
        if name not in ("none", "all", *available):
            raise UserError(
                f"{stage.place}.trainer.report_to names {name!r}, which is not installed; "
                f"run `pip install {name}`, or take one of: {', '.join(['none', *sorted(available)])}"
            )
    return [name for name in names if name != "none"]


def logger_defaults(stage: StageConfig, folder: Path) -> dict[str, Any]:
    """What a logger calls the run, unless the recipe says otherwise: the run's folder and the stage."""
    if not named_loggers(stage):
        return {}
    run = folder.parent.parent.name
    return {"project": run, "run_name": f"{run}-{stage.name}"}


def keep_tensorboard(trainer: Any, folder: Path) -> None:
    """Let TensorBoard write into the run, unless TENSORBOARD_LOGGING_DIR names another place.

    Its own default lies among the checkpoints, which are removed when a stage is done.
    """
    for callback in trainer.callback_handler.callbacks:
        if type(callback).__name__ == "TensorBoardCallback" and callback.logging_dir is None:
            callback.logging_dir = str(folder)


class LoggerPictures(TrainerCallback):  # type: ignore[misc]
    """Shows a few pictures of every tenth step, with the boxes, answer and reasoning of a completion each.

    Reads the rollouts before `RunLog` hands them to the disk, so it must be called before.
    """

    def __init__(self, stage: str, tasksets: Sequence[TaskSet], buffer: RolloutBuffer) -> None:
        self.stage = stage
        self.cases = {(part.task.name, case.id): case for part in tasksets for case in part.cases}
        self.labels = {part.task.name: part.task.labels for part in tasksets}
        self.buffer = buffer
        self.trainer: Any = None  # set once the trainer exists; it knows the loggers

    def on_log(self, args: Any, state: Any, control: Any, logs: Mapping[str, Any], **_: Any) -> None:
        """Send the pictures of the step to every logger that takes any."""
        if "loss" not in logs or state.global_step % EVERY != 1 % EVERY or not is_main():
            return
        loggers = {type(one).__name__: one for one in self.trainer.callback_handler.callbacks}
        targets = [(send, loggers[name]) for name, send in SENDERS.items() if name in loggers]
        shown: dict[str, dict[str, Any]] = {}
        for line in self.buffer.lines if targets else ():
            if len(shown) < PICTURES:
                shown.setdefault(str(line["case"]), line)
        for number, line in enumerate(shown.values()):
            picture = self._picture(line)
            for send, logger in targets:
                send(logger, f"rollouts/{self.stage}/{number}", picture, state.global_step)

    def _picture(self, line: Mapping[str, Any]) -> Image:
        value = line["answer"]
        if isinstance(value, list):
            boxes = [(one["bbox"], one["label"]) for one in value if isinstance(one, dict)]
            drawn = tuple(Box(x1, y1, x2, y2, label) for (x1, y1, x2, y2), label in boxes)
            value = drawn or frozenset(value)
        said = f"{line['case']}, reward {line['total']:.2f}. {line['completion']}"
        answer = Answer(value=value, reason=line["reason"], reasoning=said)
        case = self.cases[line["task"], line["case"]]
        return annotate(case.images[0].open(), answer, self.labels[line["task"]])


def _to_tensorboard(logger: Any, name: str, picture: Image, step: int) -> None:
    if logger.tb_writer is not None:
        logger.tb_writer.add_image(name, np.asarray(picture), step, dataformats="HWC")


def _to_trackio(logger: Any, name: str, picture: Image, step: int) -> None:
    logger._trackio.log({name: logger._trackio.Image(picture, caption=name)}, step=step)


def _to_wandb(logger: Any, name: str, picture: Image, step: int) -> None:
    logger._wandb.log({name: logger._wandb.Image(picture), "train/global_step": step})


def _to_mlflow(logger: Any, name: str, picture: Image, step: int) -> None:
    logger._ml_flow.log_image(picture, key=name.replace("/", "-"), step=step)


SENDERS: dict[str, Callable[[Any, str, Image, int], None]] = {
    "TensorBoardCallback": _to_tensorboard,
    "TrackioCallback": _to_trackio,
    "WandbCallback": _to_wandb,
    "MLflowCallback": _to_mlflow,
}
