"""The recipe: one YAML file that describes a run, checked before anything is loaded.

Unknown keys are refused with the nearest match. Settings of TRL, PEFT and transformers pass through under
their own names (`stages[].trainer`, `model.lora`, `model.load`); what the product owns is refused there.
`model_config`, `task_config` and `stage_config` hold the parts;
`vrft_aug.recipe.file` reads and writes the files.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, model_validator

from vrft_aug.data.settings import DATA_ROOT_VARIABLE, Strict
from vrft_aug.recipe.model_config import ModelConfig
from vrft_aug.recipe.parallel_config import ParallelConfig
from vrft_aug.recipe.stage_config import StageConfig
from vrft_aug.recipe.task_config import Injection, TaskConfig


class EvaluationConfig(Strict):
    """What `vrft evaluate` (and the end of `vrft train`) measures."""

    task: str
    split: Literal["train", "validation", "test"] = "test"
    injection: Injection = Injection()
    limit: int | None = Field(default=None, ge=1)  # at most so many cases, the same for every seed
    samples: int = Field(
        default=0, ge=0, le=10_000
    )  # sampled completions per case for votes; 0: greedy alone
    temperature: float = Field(default=1.0, gt=0)
    text_only: bool = True  # choice, answer: ask once more with blank pictures, as a baseline
    blank: bool = False  # the same of other tasks, though not of boxes: what rests on the picture?
    untold: bool = False  # ask once more without the knowledge that injection tells: has it been absorbed?
    max_new_tokens: int = Field(default=256, ge=1)
    batch_size: int = Field(default=32, ge=1)
    bootstrap: int = Field(default=1000, ge=100, le=100_000)
    base: bool = True  # training also judges the model that it started from, to say what it has changed
    # Further metrics, by name or as package.module:function, see evaluation/metrics/case_metrics.py.
    metrics: tuple[str, ...] = ()


class Recipe(Strict):
    """A whole run."""

    name: str = Field(pattern=r"^[\w.-]+$")
    seed: int = Field(default=0, ge=0, lt=2**32)
    data_root: str | None = None
    model: ModelConfig = ModelConfig()
    tasks: Annotated[dict[str, TaskConfig], Field(min_length=1)]
    stages: tuple[StageConfig, ...] = ()
    evaluation: EvaluationConfig
    parallel: ParallelConfig = ParallelConfig()  # how several processes share the run

    @model_validator(mode="after")
    def _tasks_exist(self) -> Recipe:
        users = [(p.place, p.task, p.injection) for s in self.stages for p in s.parts()]
        users.append(("evaluation", self.evaluation.task, self.evaluation.injection))
        for who, task, injection in users:
            if task not in self.tasks:
                raise ValueError(f"{who} names task {task!r}; the recipe has {', '.join(self.tasks)}")
            if injection.style != "none" and self.tasks[task].knowledge is None:
                raise ValueError(f"{who} injects knowledge, but task {task!r} names no knowledge bank")
        if self.evaluation.injection.dropout:
            raise ValueError(
                "evaluation.injection.dropout is what stages alone have; the evaluation tells every case its "
                "knowledge, or with style none no case"
            )
        self._something_is_untold()
        names = [s.name for s in self.stages]
        if len(set(names)) < len(names):
            raise ValueError(f"stage names must differ, got {names}")
        return self

    def _something_is_untold(self) -> None:
        wanted = self.evaluation
        if wanted.blank and self.tasks[wanted.task].kind == "localise":
            raise ValueError("evaluation.blank compares answers that are right or wrong; boxes are neither")
        if wanted.untold and wanted.injection.style == "none":
            raise ValueError("evaluation.untold leaves knowledge out, but evaluation.injection injects none")
        if wanted.untold and self.tasks[wanted.task].kind == "localise":
            raise ValueError("evaluation.untold compares answers that are right or wrong; boxes are neither")

    def named_stages(self) -> dict[str, StageConfig]:
        """Stages of one task each by what the command line calls them: `stage`, or `stage/task` in a mix."""
        named = {stage.name: stage.parts()[0] for stage in self.stages}
        mixed = {
            f"{stage.name}/{part.task}": part for stage in self.stages if stage.mix for part in stage.parts()
        }
        return named | mixed

    def root(self) -> Path:
        """Where real data lies: `data_root`, else VRFT_DATA, else data/ in the working folder."""
        return Path(self.data_root or os.environ.get(DATA_ROOT_VARIABLE) or "data").expanduser()
