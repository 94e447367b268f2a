"""The recipe: one YAML file that describes a run, checked before anything is loaded.

Unknown keys are refused with the nearest match. Settings of TRL, PEFT and transformers pass through under
their own names (`stages[].trainer`, `model.lora`, `model.load`); what the product owns is refused there.
`vrft_aug.recipe.file` reads and writes the files.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    BeforeValidator,
    ConfigDict,
    Field,
    PrivateAttr,
    SerializeAsAny,
    field_validator,
    model_validator,
)

from vrft_aug.data.settings import DATA_ROOT_VARIABLE, DataConfig, Strict, reader_config
from vrft_aug.errors import UserError
from vrft_aug.labels import LABEL_SEPARATORS, NO_LABEL
from vrft_aug.nouns import AnswerFormat, AnswerMode, BoxFormat, OptionNames, SpaceName

# TRL settings that would contradict the recipe: where to set them instead.
OWNED_BY_RECIPE = {
    "output_dir": "the run folder (--output)",
    "reward_weights": "stages[].rewards",
    "reward_funcs": "stages[].rewards",
    "max_steps": "stages[].steps",
    "seed": "seed",
    "data_seed": "seed",
    "remove_unused_columns": "nothing (fixed)",
    "num_generations": "stages[].generations",
    "max_completion_length": "stages[].max_new_tokens",
    "per_device_train_batch_size": "stages[].prompts_per_step and generations",
    "resume_from_checkpoint": "vrft train --resume",
}


class TaskConfig(Strict):
    """What is asked, of which data."""

    model_config = ConfigDict(coerce_numbers_to_str=True)  # labels may be written [0, 1]
    kind: Literal["classify", "grade", "multilabel", "localise", "choice", "answer"]
    question: str
    labels: tuple[str, ...] = ()
    modality: str = "medical image"
    box_format: BoxFormat = "json"  # for localise: how boxes are asked for; either is read
    data: SerializeAsAny[DataConfig]  # of the class that its reader takes
    knowledge: str | None = None  # a bank: a shipped name or a YAML file
    # Also read an answer by the other names that the bank has for it: exact (true), or narrower too.
    synonyms: bool | Literal["exact", "narrower"] = False
    answer_mode: AnswerMode = (
        "lenient"  # how answers are read, docs/reference/answers.md; strict: as version 0.1.0
    )
    answer_format: AnswerFormat = "think-answer"  # asked for in the prompt, and what the format term pays for
    option_names: OptionNames = "letter"  # for choice: how options are told and answered
    option_seed: int | None = 0  # for choice: of their order, drawn for each case; null: as the data has them

    @field_validator("data", mode="before")
    @classmethod
    def _pick_reader(cls, value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        try:
            settings = reader_config(str(value.get("reader")))
        except UserError as error:
            raise ValueError(str(error)) from None  # so that the recipe and the key are named as well
        return settings.model_validate(value)

    @model_validator(mode="after")
    def _labels_fit_kind(self) -> TaskConfig:
        if self.kind in ("classify", "grade") and len(self.labels) < 2:
            raise ValueError(f"a {self.kind} task needs at least two labels, got {list(self.labels)}")
        folded = [label.casefold().strip() for label in self.labels]
        if len(set(folded)) < len(folded):
            raise ValueError(f"labels must differ, got {list(self.labels)}")
        if self.kind == "multilabel":
            if not self.labels:
                raise ValueError("a multilabel task needs labels, got none")
            for label in self.labels:
                if label.casefold().strip() == NO_LABEL or set(label) & set(LABEL_SEPARATORS):
                    raise ValueError(
                        f"label {label!r} cannot stand in a list of labels; a multilabel task keeps "
                        f"{NO_LABEL!r} and {LABEL_SEPARATORS!r} for itself"
                    )
        if self.kind == "choice" and len(self.labels) == 1:
            raise ValueError(f"a choice needs two options or more; labels has one, {self.labels[0]!r}")
        if self.synonyms and self.knowledge is None:
            raise ValueError("synonyms come from a knowledge bank, but the task names no knowledge")
        return self


class Injection(Strict):
    """How the knowledge of a task enters the prompt; `vrft_aug.knowledge.inject` says what the styles are."""

    style: Literal["none", "definitions", "attributes", "contrastive", "shuffled", "irrelevant"] = "none"
    of: Literal["definitions", "attributes"] = "definitions"  # what shuffled, irrelevant are controls of
    place: Literal["system", "user"] = "user"
    budget: int | None = Field(default=None, ge=1)  # at most so much text, cut by whole facts
    unit: Literal["words", "tokens"] = "words"  # of the budget and of a control's length; tokens: the model's
    order: Literal["fixed", "random"] = "fixed"  # random: of the lines, drawn for every case
    seed: int = 0  # of the order and of the controls
    only_reviewed: bool = False  # leave out what nobody has agreed to, see knowledge/review.py


class Freeze(Strict):
    """What of the model stays as it is while it trains; `vrft_aug.policy.freezing` finds the parts."""

    vision: bool = False  # the vision tower, without the projector
    projector: bool = False  # what leads from the tower to the language model
    layers_below: int = Field(default=0, ge=0)  # so many first layers of the language model
    # Further modules or weights by their dotted names or the ends of these; * stands for anything.
    names: tuple[Annotated[str, Field(min_length=1)], ...] = ()


class ModelConfig(Strict):
    """The policy to start from: `tiny` (embedded), a folder, or any transformers VLM by its hub name."""

    name: str = "tiny"
    # What the model computes in. Training in bfloat16 keeps the weights that it changes in float32: all of
    # them, or with `lora` those of the adapter over a bfloat16 base. float16 is for inference alone.
    dtype: Literal["float32", "bfloat16", "float16"] = "float32"
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    lora: dict[str, Any] | None = None  # peft.LoraConfig settings of a new adapter; None: full fine-tuning
    # A folder with an adapter in PEFT's format: training goes on with it, evaluation is of the model with it.
    adapter: str | None = None
    freeze: Freeze = Freeze()
    merge: bool = True  # what training an adapter ends with also holds it merged into the model
    min_pixels: int | None = Field(default=None, ge=1)
    max_pixels: int | None = Field(default=None, ge=1)
    # The space that boxes are asked for and read in; None is the family's own, see perception/spaces.py.
    coordinates: SpaceName | None = None
    trust_remote_code: bool = False
    load: dict[str, Any] = Field(default_factory=dict)  # further arguments of from_pretrained

    @model_validator(mode="after")
    def _least_and_most(self) -> ModelConfig:
        if self.min_pixels is not None and self.max_pixels is not None and self.min_pixels > self.max_pixels:
            raise ValueError(f"min_pixels {self.min_pixels} is more than max_pixels {self.max_pixels}")
        return self

    @model_validator(mode="after")
    def _one_adapter(self) -> ModelConfig:
        if self.lora is not None and self.adapter is not None:
            raise ValueError(
                f"adapter {self.adapter!r} brings its own settings; remove lora to go on with it, "
                "or adapter to start a new one"
            )
        return self


class RewardConfig(Strict):
    """The weight of a reward term and its settings, which pass to the term's function."""

    model_config = ConfigDict(extra="allow", frozen=True)
    weight: float = 1.0

    @property
    def settings(self) -> dict[str, Any]:
        """The settings of the term, by the names of its function's arguments."""
        return dict(self.model_extra or {})


def _bare_weights(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    return {k: {"weight": v} if isinstance(v, int | float) else v for k, v in value.items()}


class DynamicSampling(Strict):
    """What GRPO does with groups whose completions all earn the same, which teach nothing (DAPO)."""

    # skip: they leave the update, at no cost. resample: other cases of their task take their places first, at
    # most `budget` extra groups a generation round; what is flat after that is skipped.
    mode: Literal["off", "skip", "resample"] = "off"
    budget: int = Field(default=8, ge=1)

    @field_validator("mode", mode="before")
    @classmethod
    def _yaml_reads_off_as_false(cls, value: Any) -> Any:
        return "off" if value is False else value


class MixedTask(Strict):
    """A further task in a stage: its share of the prompts, with prompts and rewards of its own."""

    share: float = Field(gt=0, lt=1)
    injection: Injection = Injection()
    rewards: Annotated[dict[str, RewardConfig], Field(min_length=1), BeforeValidator(_bare_weights)]


class StageConfig(Strict):
    """One stage of training: SFT on the targets or GRPO on the rewards, of one task or of several."""

    name: str = Field(pattern=r"^[\w-]+$")
    method: Literal["sft", "grpo"]
    task: str
    steps: int = Field(ge=1, le=1_000_000)
    prompts_per_step: int = Field(default=8, ge=1, le=100_000)
    injection: Injection = Injection()
    rewards: Annotated[dict[str, RewardConfig], BeforeValidator(_bare_weights)] = Field(default_factory=dict)
    # grpo: further tasks in the same steps; `task` has the rest of the prompts
    mix: dict[str, MixedTask] = Field(default_factory=dict)
    # sft: a JSONL file of reasoning traces beside the recipe, or below the data root, taught instead of the
    # bare answers
    demonstrations: str | None = None
    generations: int = Field(default=8, ge=2, le=10_000)
    max_new_tokens: int = Field(default=256, ge=1)
    save_steps: int = Field(default=50, ge=1)
    dynamic_sampling: DynamicSampling = DynamicSampling()
    prefix_sharing: bool = True  # grpo: compute each prompt once per group; off is the stock trainer
    # trl.GRPOConfig or trl.SFTConfig settings under their own names
    trainer: dict[str, Any] = Field(default_factory=dict)
    _mixed: str = PrivateAttr("")  # of a part made of `mix`: where in the stage it stands

    @field_validator("trainer")
    @classmethod
    def _leave_ours_alone(cls, value: dict[str, Any]) -> dict[str, Any]:
        for key in value:
            if key in OWNED_BY_RECIPE:
                raise ValueError(f"{key} is set by {OWNED_BY_RECIPE[key]}, not under trainer")
        return value

    @model_validator(mode="after")
    def _grpo_needs_rewards(self) -> StageConfig:
        if self.method == "grpo" and not self.rewards:
            raise ValueError("method grpo needs rewards; none is named")
        if self.demonstrations is not None and self.method != "sft":
            raise ValueError("demonstrations are what sft alone learns from; the method is grpo")
        if self.mix and self.method != "grpo":
            raise ValueError(f"mix is what grpo alone can; the method is {self.method}")
        if self.task in self.mix:
            raise ValueError(f"task {self.task!r} stands under task and under mix")
        if (mixed := sum(part.share for part in self.mix.values())) >= 1:
            raise ValueError(f"the shares under mix come to {mixed:g}; expected less than 1")
        return self

    @property
    def place(self) -> str:
        """Where it stands in the recipe, as overrides write it."""
        return f"stages.{self.name}{self._mixed}"

    def parts(self) -> tuple[StageConfig, ...]:
        """The stage as a stage of one task each, its own task first; a stage of one task is its only part."""
        own = self.model_copy(update={"mix": {}})
        return own, *(own._with(task, part) for task, part in self.mix.items())

    def _with(self, task: str, part: MixedTask) -> StageConfig:
        made = self.model_copy(update={"task": task, "injection": part.injection, "rewards": part.rewards})
        made._mixed = f".mix.{task}"
        return made

    def shares(self) -> tuple[float, ...]:
        """The share of every part in the prompts; they sum to 1."""
        mixed = [part.share for part in self.mix.values()]
        return 1 - sum(mixed), *mixed


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

    @model_validator(mode="after")
    def _tasks_exist(self) -> Recipe:
        users = [(p.place, p.task, p.injection) for s in self.stages for p in s.parts()]
        users.append(("evaluation", self.evaluation.task, self.evaluation.injection))
        for who, task, injection in users:
            if task not in self.tasks:
                raise ValueError(f"{who} names task {task!r}; the recipe has {', '.join(self.tasks)}")
            if injection.style != "none" and self.tasks[task].knowledge is None:
                raise ValueError(f"{who} injects knowledge, but task {task!r} names no knowledge bank")
        names = [s.name for s in self.stages]
        if len(set(names)) < len(names):
            raise ValueError(f"stage names must differ, got {names}")
        return self

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
