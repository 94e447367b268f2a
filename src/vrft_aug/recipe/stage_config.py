"""A stage of training: `stages` in the recipe."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, ConfigDict, Field, PrivateAttr, field_validator, model_validator

from vrft_aug.data.settings import Strict
from vrft_aug.recipe.curriculum_config import Curriculum
from vrft_aug.recipe.look_config import LookProbe
from vrft_aug.recipe.perception_config import NoisyRollouts, PerceptionLoss, TokenWeights
from vrft_aug.recipe.rollouts_config import PREFIX, RolloutsConfig
from vrft_aug.recipe.seats_config import Seats
from vrft_aug.recipe.task_config import Injection
from vrft_aug.recipe.teacher_config import Teacher
from vrft_aug.recipe.tracking_config import Tracking

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
    "use_vllm": "stages[].rollouts.engine",
    "vllm_mode": "stages[].rollouts.mode",
}


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
    curriculum: Curriculum | None = None  # grpo: cases by their pass rates, see `vrft probe`
    seats: Seats | None = None  # grpo: demonstrations inside the groups of `task` that are flat
    generations: int = Field(default=8, ge=2, le=10_000)
    max_new_tokens: int = Field(default=256, ge=1)
    save_steps: int = Field(default=50, ge=1)
    dynamic_sampling: DynamicSampling = DynamicSampling()
    perception_loss: PerceptionLoss = PerceptionLoss()
    token_weights: TokenWeights = TokenWeights()
    noisy_rollouts: NoisyRollouts = NoisyRollouts()
    teacher: Teacher = Teacher()
    rollouts: RolloutsConfig = RolloutsConfig()  # grpo: what draws the completions, see `stages[].rollouts`
    look: LookProbe = LookProbe()
    tracking: Tracking = Tracking()
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
            if key.startswith(PREFIX):
                raise ValueError(f"{key} belongs under stages[].rollouts, not under trainer")
        return value

    @model_validator(mode="after")
    def _grpo_needs_rewards(self) -> StageConfig:
        if self.method == "grpo" and not self.rewards:
            raise ValueError("method grpo needs rewards; none is named")
        if self.demonstrations is not None and self.method != "sft":
            raise ValueError("demonstrations are what sft alone learns from; grpo takes them under seats")
        if self.looks and self.method != "grpo":
            raise ValueError(f"{self.looks} is what grpo alone can; the method is {self.method}")
        if self.rollouts.engine == "vllm" and self.method != "grpo":
            raise ValueError(f"rollouts are what grpo alone draws; the method is {self.method}")
        if self.noisy_rollouts.share and not 0 < self.noisy_members < self.generations:
            raise ValueError(
                f"noisy_rollouts.share {self.noisy_rollouts.share:g} of {self.generations} generations is "
                f"{self.noisy_members} completions; expected at least one, and one that is left"
            )
        if self.curriculum is not None and self.method != "grpo":
            raise ValueError("a curriculum is what grpo alone follows; the method is sft")
        if self.seats is not None and self.method != "grpo":
            raise ValueError("seats are in the groups of grpo; sft learns from demonstrations")
        if self.seats is not None and self.trainer.get("off_policy_mask_threshold") is not None:
            raise ValueError(
                "trainer.off_policy_mask_threshold asks how likely the sampler found a token, but none "
                "drew those of seats; leave one of them out"
            )
        if self.seats is not None and self.rollouts.engine == "vllm":
            raise ValueError("seats are not known to work with rollouts.engine: vllm; leave one of them out")
        renewed = self.curriculum is not None and self.curriculum.re_estimate is not None
        if renewed and self.trainer.get("dataloader_num_workers"):
            raise ValueError(
                "curriculum.re_estimate plans as training goes on, which the workers of a loader do not see; "
                "set trainer.dataloader_num_workers: 0"
            )
        if self.teacher.weight:
            if self.method != "grpo":
                raise ValueError(f"teacher is what grpo alone can; the method is {self.method}")
            parts = (self.injection, *(part.injection for part in self.mix.values()))
            if not self.teacher.boxes and not any(injection.dropout for injection in parts):
                raise ValueError(
                    "teacher pulls prompts without knowledge, of which there are none: set "
                    "injection.dropout, the share of them, or teacher.boxes"
                )
        if self.mix and self.method != "grpo":
            raise ValueError(f"mix is what grpo alone can; the method is {self.method}")
        if self.task in self.mix:
            raise ValueError(f"task {self.task!r} stands under task and under mix")
        if (mixed := sum(part.share for part in self.mix.values())) >= 1:
            raise ValueError(f"the shares under mix come to {mixed:g}; expected less than 1")
        return self

    @property
    def looks(self) -> str:
        """The first setting that changes pictures, "" where none does."""
        if self.masks_pictures:
            return "perception_loss" if self.perception_loss.weight else "token_weights"
        return "noisy_rollouts" if self.noisy_rollouts.share else ""

    @property
    def masks_pictures(self) -> bool:
        """Whether a step takes a pass over masked pictures."""
        weights = self.token_weights
        return self.perception_loss.weight > 0 or weights.share < 1 or weights.completions < 1

    @property
    def noisy_members(self) -> int:
        """How many completions of a group are sampled on a distorted picture."""
        return round(self.noisy_rollouts.share * self.generations)

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
