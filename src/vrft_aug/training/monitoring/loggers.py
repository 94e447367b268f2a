"""Rollouts, and pictures if asked for, for the loggers of `trainer.report_to`; TRL sends the numbers.

TensorBoard, Trackio, W&B and MLflow are known here. Nothing is sent unless the recipe names a logger.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from transformers import TrainerCallback

from vrft_aug.errors import UserError
from vrft_aug.nouns import Answer, Box, Target
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


@dataclass(frozen=True)
class RolloutTable:
    """Completions of a step, a row each, without the ids of their cases."""

    columns: tuple[str, ...]
    rows: tuple[tuple[str | float | None, ...], ...]

    def markdown(self) -> str:
        """For loggers that show text alone; cells hold no line breaks and no borders."""
        shown = [[_cell(value) for value in row] for row in (self.columns, *self.rows)]
        lines = [f"| {' | '.join(row)} |" for row in shown]
        return "\n".join([lines[0], "|---" * len(self.columns) + "|", *lines[1:]])


class LoggerRollouts(TrainerCallback):  # type: ignore[misc]
    """Shows some rollouts of every tenth step, and a few pictures with boxes and answer where asked for.

    Reads the rollouts before `RunLog` hands them to the disk, so it must be called before.
    """

    def __init__(self, stage: StageConfig, tasksets: Sequence[TaskSet], buffer: RolloutBuffer) -> None:
        self.stage, self.wanted = stage.name, stage.tracking
        self.cases = {(part.task.name, case.id): case for part in tasksets for case in part.cases}
        self.labels = {part.task.name: part.task.labels for part in tasksets}
        self.buffer = buffer
        self.trainer: Any = None  # set once the trainer exists; it knows the loggers

    def on_log(self, args: Any, state: Any, control: Any, logs: Mapping[str, Any], **_: Any) -> None:
        """Send the rollouts of the step to every logger that takes any."""
        if "loss" not in logs or state.global_step % EVERY != 1 % EVERY or not is_main():
            return
        loggers = {type(one).__name__: one for one in self.trainer.callback_handler.callbacks}
        targets = [(SENDERS[name], loggers[name]) for name in SENDERS if name in loggers]
        if not targets or not self.buffer.lines:
            return
        if self.wanted.rollouts:
            table = self._table(self.buffer.lines[: self.wanted.rollouts])
            for send, logger in targets:
                send.table(logger, f"rollouts/{self.stage}", table, state.global_step)
        for number, line in enumerate(self._shown()):
            picture = self._picture(line)
            for send, logger in targets:
                send.picture(logger, f"rollouts/{self.stage}/{number}", picture, state.global_step)

    def _shown(self) -> list[Mapping[str, Any]]:
        """Rollouts of different cases, as many as there are pictures to send."""
        shown: dict[str, Mapping[str, Any]] = {}
        for line in self.buffer.lines if self.wanted.pictures else ():
            if len(shown) < PICTURES and self.cases[line["task"], line["case"]].images:
                shown.setdefault(str(line["case"]), line)
        return list(shown.values())

    def _table(self, lines: Sequence[Mapping[str, Any]]) -> RolloutTable:
        """Cases are numbered as they come; which they are stands in rollouts.jsonl alone."""
        numbers: dict[tuple[str, str], int] = {}
        terms = list(dict.fromkeys(term for line in lines for term in line["terms"]))
        rows = []
        for line in lines:
            key = (line["task"], line["case"])
            number = numbers.setdefault(key, len(numbers) + 1)
            answer = line["answer"] if line["reason"] is None else f"none: {line['reason']}"
            rows.append(
                (
                    line["step"],
                    line["task"],
                    number,
                    _words(answer),
                    truth_words(self.cases[key].target),
                    line["total"],
                    *(line["terms"].get(term) for term in terms),
                    line["completion"],
                )
            )
        return RolloutTable(
            ("step", "task", "prompt", "answer", "truth", "reward", *terms, "completion"), tuple(rows)
        )

    def _picture(self, line: Mapping[str, Any]) -> Image:
        value = line["answer"]
        if isinstance(value, list):
            boxes = [(one["bbox"], one["label"]) for one in value if isinstance(one, dict)]
            drawn = tuple(Box(x1, y1, x2, y2, label) for (x1, y1, x2, y2), label in boxes)
            value = drawn or frozenset(value)
        earned = "not scored" if line["total"] is None else f"reward {line['total']:.2f}"
        said = f"{earned}. {line['completion']}"
        answer = Answer(value=value, reason=line["reason"], reasoning=said)
        case = self.cases[line["task"], line["case"]]
        return annotate(case.images[0].open(), answer, self.labels[line["task"]])


def truth_words(target: Target) -> str:
    """What is true of a case, in a few words."""
    told = [one for one in (target.label, target.text) if one is not None]
    if target.labels is not None:
        told.append(", ".join(sorted(target.labels)) or "none")
    if target.boxes is not None and not told:
        told.append(f"{len(target.boxes)} boxes")
    return told[0] if told else ""


def _words(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _cell(value: str | float | None) -> str:
    text = "" if value is None else f"{value:.3g}" if isinstance(value, float) else str(value)
    return " ".join(text.replace("|", "\\|").replace("<", "&lt;").split())


@dataclass(frozen=True)
class Sender:
    """How a logger takes a table and a picture, under a name with slashes, on a step."""

    table: Callable[[Any, str, RolloutTable, int], None]
    picture: Callable[[Any, str, Image, int], None]


def _tensorboard_table(logger: Any, name: str, table: RolloutTable, step: int) -> None:
    if logger.tb_writer is not None:
        logger.tb_writer.add_text(name, table.markdown(), step)


def _tensorboard_picture(logger: Any, name: str, picture: Image, step: int) -> None:
    if logger.tb_writer is not None:
        logger.tb_writer.add_image(name, np.asarray(picture), step, dataformats="HWC")


def _trackio_table(logger: Any, name: str, table: RolloutTable, step: int) -> None:
    shown = logger._trackio.Table(columns=list(table.columns), data=[list(row) for row in table.rows])
    logger._trackio.log({f"{name}/table": shown}, step=step)


def _trackio_picture(logger: Any, name: str, picture: Image, step: int) -> None:
    logger._trackio.log({name: logger._trackio.Image(picture, caption=name)}, step=step)


def _wandb_table(logger: Any, name: str, table: RolloutTable, step: int) -> None:
    shown = logger._wandb.Table(columns=list(table.columns), data=[list(row) for row in table.rows])
    logger._wandb.log({f"{name}/table": shown, "train/global_step": step})


def _wandb_picture(logger: Any, name: str, picture: Image, step: int) -> None:
    logger._wandb.log({name: logger._wandb.Image(picture), "train/global_step": step})


def _mlflow_table(logger: Any, name: str, table: RolloutTable, step: int) -> None:
    columns = {column: [row[i] for row in table.rows] for i, column in enumerate(table.columns)}
    logger._ml_flow.log_table(columns, f"{name}/step-{step:06d}.json")


def _mlflow_picture(logger: Any, name: str, picture: Image, step: int) -> None:
    logger._ml_flow.log_image(picture, key=name.replace("/", "-"), step=step)


SENDERS: dict[str, Sender] = {
    "TensorBoardCallback": Sender(_tensorboard_table, _tensorboard_picture),
    "TrackioCallback": Sender(_trackio_table, _trackio_picture),
    "WandbCallback": Sender(_wandb_table, _wandb_picture),
    "MLflowCallback": Sender(_mlflow_table, _mlflow_picture),
}
