"""What a stage computes on one process: how many prompts, completions, tokens, patches and passes."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from vrft_aug.errors import UserError
from vrft_aug.nouns import Prompt
from vrft_aug.perception.model_view import View, model_view
from vrft_aug.perception.spaces import BoxSpace
from vrft_aug.policy.anatomy import Anatomy
from vrft_aug.preview.prompt_tokens import PromptTokens
from vrft_aug.recipe.model_config import ModelConfig
from vrft_aug.recipe.model_files import ModelFiles, files_without_weights
from vrft_aug.recipe.model_folder import model_folder
from vrft_aug.recipe.schema import Recipe
from vrft_aug.recipe.stage_config import StageConfig
from vrft_aug.tasks.demonstrations import taught_texts, with_demonstrations
from vrft_aug.tasks.frames import frames_without_model
from vrft_aug.tasks.taskset import TaskSet, load_taskset
from vrft_aug.training.library_settings import known_settings
from vrft_aug.training.stage_settings import accumulation, check_trainer

SAMPLED = 64  # prompts that are counted, besides the one of the longest text
IMAGE_SETTINGS = ("processor_config.json", "preprocessor_config.json")
SHARE = "vllm_gpu_memory_utilization"
CHARACTERS = 4  # of a token of text, where the model has no tokenizer at hand
CHAT = 20  # tokens of a chat template around a prompt, where it is not at hand


@dataclass(frozen=True)
class Asked:
    """A prompt as the user describes it, where the data is not at hand.

    Args:
        text: tokens of all but the picture.
        picture: its width and height in pixels.
    """

    text: int
    picture: tuple[int, int]


@dataclass(frozen=True)
class Lengths:
    """How long prompts and completions are, in tokens of the model.

    Args:
        prompt: of the longest prompt, pictures included.
        mean: of a usual prompt, pictures included.
        completion: of a completion at the most.
        patches: that the vision tower reads of a prompt's pictures, at the most.
        counted: whether the model's own tokenizer counted them; else four characters are taken for a token.
    """

    prompt: int
    mean: float
    completion: int
    patches: int
    counted: bool


@dataclass(frozen=True)
class Work:
    """A stage on one of `processes` processes.

    Args:
        stage: its name.
        method: sft or grpo.
        steps: optimiser steps.
        prompts: of this process in a step.
        generations: completions of a prompt; 1 for sft.
        micro_batches: passes that a step is cut into, on each process.
        round_steps: optimiser steps that one round of sampling serves.
        lengths: of prompts and completions.
        checkpointing: whether activations are computed anew in the backward pass.
        shared: whether the completions of a group share one pass over their prompt.
        reference: whether a KL term asks a reference model.
        rescored: whether completions are scored once more before they are trained on.
        processes: how many there are.
        masked: whether a second pass sees masked pictures: "scored", or "trained" with gradients through it.
        engine: what draws the completions, transformers or vllm.
        engine_share: of the card's memory that the engine takes for itself.
        uncounted: settings of the stage that cost something which the plan does not know.
    """

    stage: str
    method: str
    steps: int
    prompts: int
    generations: int
    micro_batches: int
    round_steps: int
    lengths: Lengths
    checkpointing: bool
    shared: bool
    reference: bool
    rescored: bool
    processes: int = 1
    masked: Literal["", "scored", "trained"] = ""
    engine: str = "transformers"
    engine_share: float = 0.0
    uncounted: tuple[str, ...] = ()

    @property
    def rows(self) -> int:
        """Completions of this process in a step."""
        return self.prompts * self.generations

    @property
    def pass_rows(self) -> int:
        """Completions of a micro-batch."""
        return max(1, self.rows // self.micro_batches)

    @property
    def pass_prompts(self) -> int:
        """Prompts that a micro-batch runs: each once where they are shared, else once a completion."""
        return max(1, self.pass_rows // self.generations) if self.shared else self.pass_rows

    @property
    def pass_tokens(self) -> int:
        """Tokens that the language model reads in a micro-batch, at the most."""
        written = self.lengths.completion - (1 if self.shared else 0)  # the last one predicts nothing
        return self.pass_prompts * self.lengths.prompt + self.pass_rows * max(0, written)

    @property
    def step_tokens(self) -> float:
        """Tokens that the language model reads in the passes of a step, with prompts of usual length."""
        prompts = self.pass_prompts * self.micro_batches
        return prompts * self.lengths.mean + self.rows * self.lengths.completion

    def cut(self, micro_batches: int) -> Work:
        """The same in so many micro-batches."""
        return replace(self, micro_batches=micro_batches)


def stage_work(
    recipe: Recipe, stage: StageConfig, model: Anatomy, processes: int, asked: Asked | None = None
) -> Work:
    """The work of a stage on each of `processes` processes; `asked` stands in for data that is not there.

    Raises UserError where there are more processes than groups, where they do not divide the groups, and for
    what is wrong with data and settings.
    """
    check_trainer(stage)
    groups = stage.prompts_per_step
    unit = "groups (prompts_per_step)" if stage.method == "grpo" else "cases (prompts_per_step)"
    if processes > groups:
        raise UserError(
            f"{stage.place}: {processes} processes are more than its {groups} {unit} of a step; expected at "
            f"most {groups}: lower --processes or raise prompts_per_step"
        )
    if groups % processes:
        fitting = [n for n in range(1, groups + 1) if groups % n == 0]
        raise UserError(
            f"{stage.place}: {processes} processes do not divide its {groups} {unit} of a step; expected "
            f"one of {', '.join(map(str, fitting[:12]))}"
        )
    from vrft_aug.training.settings import LARGE_MODEL  # TRL's settings import torch

    trainer, parts = stage.trainer, accumulation(stage)
    generations = stage.generations if stage.method == "grpo" else 1
    rows = groups // processes * generations
    wanted = trainer.get("gradient_checkpointing")
    per_round = trainer.get("steps_per_generation") or parts
    iterations = trainer.get("num_iterations") or 1
    return Work(
        stage=stage.name,
        method=stage.method,
        steps=stage.steps,
        prompts=groups // processes,
        generations=generations,
        micro_batches=min(parts, rows),
        round_steps=max(1, per_round // parts),
        lengths=stage_lengths(recipe, stage, model, asked),
        checkpointing=model.parameters > LARGE_MODEL if wanted is None else bool(wanted),
        shared=stage.method == "grpo" and stage.prefix_sharing,
        reference=stage.method == "grpo" and bool(trainer.get("beta", 0.0)),
        rescored=stage.method == "grpo" and (parts % (per_round * iterations) != 0),
        processes=processes,
        masked=_masked(stage),
        engine=stage.rollouts.engine,
        engine_share=_engine_share(stage),
        uncounted=_uncounted(stage),
    )


def _uncounted(stage: StageConfig) -> tuple[str, ...]:
    """Of settings whose passes are not among those counted here."""
    used = {
        "teacher": stage.teacher.weight,
        "noisy_rollouts": stage.noisy_rollouts.share,
        "dynamic_sampling": stage.dynamic_sampling.mode == "resample",
    }
    return tuple(name for name, on in used.items() if on)


def _masked(stage: StageConfig) -> Literal["", "scored", "trained"]:
    if stage.perception_loss.weight and stage.perception_loss.masked_gradient:
        return "trained"
    return "scored" if stage.perception_loss.weight or stage.token_weights.share < 1 else ""


def _engine_share(stage: StageConfig) -> float:
    """What vLLM is given beside the trainer; on a server of its own it takes nothing here."""
    rollouts = stage.rollouts
    if rollouts.engine != "vllm" or rollouts.mode == "server":
        return 0.0
    return float(rollouts.settings.get(SHARE) or known_settings("GRPOConfig")[SHARE].default)


def stage_lengths(recipe: Recipe, stage: StageConfig, model: Anatomy, asked: Asked | None = None) -> Lengths:
    """Of all tasks of a stage, the longest; of a sample of their prompts and the one of the longest text."""
    files, view = files_without_weights(recipe.model), _view(recipe.model, model)
    merged = max(1, round((view.factor / model.patch) ** 2))  # patches that become one visual token
    if asked is not None:
        seen = view.image_tokens(asked.picture)
        length = asked.text + seen
        return Lengths(length, float(length), stage.max_new_tokens, seen * merged, counted=True)
    found = []
    for part in stage.parts():
        taskset = load_taskset(recipe, part.task, "train", part.injection, BoxSpace("processed"))
        if part.demonstrations is not None:
            path = recipe.root() / part.demonstrations
            taskset = with_demonstrations(taskset, path, frames_without_model(taskset.task, recipe.model))
        found.append(_task_lengths(recipe, part, taskset, files, view))
    return Lengths(
        prompt=max(one.prompt for one in found),
        mean=sum(one.mean * share for one, share in zip(found, stage.shares(), strict=True)),
        completion=max(one.completion for one in found),
        patches=max(one.patches for one in found) * merged,
        counted=all(one.counted for one in found),
    )


def _view(config: ModelConfig, model: Anatomy) -> View:
    """How the model sees pictures; by its family's published settings where its folder does not say."""
    folder = model_folder(config)
    told = folder is None or any((folder / name).is_file() for name in IMAGE_SETTINGS)
    return model_view(config if told else config.model_copy(update={"name": f"hub/{model.family}"}))


def _task_lengths(
    recipe: Recipe, part: StageConfig, taskset: TaskSet, files: ModelFiles | None, view: View
) -> Lengths:
    prompts = taskset.prompts
    texts = [len(_text(prompt)) for prompt in prompts]
    longest = max(range(len(texts)), key=texts.__getitem__)
    chosen = [longest, *range(0, len(prompts), max(1, len(prompts) // SAMPLED))]
    tokens = None if files is None else PromptTokens(recipe.model, files)
    told = [_prompt_tokens(prompts[index], recipe.model, tokens, view) for index in dict.fromkeys(chosen)]
    completion, exact = part.max_new_tokens, True
    if part.method == "sft":
        taught = taught_texts(taskset, frames_without_model(taskset.task, recipe.model))
        count = None if tokens is None else tokens.count
        exact = count is not None
        completion = max(
            (count(text) if count is not None else len(text) // CHARACTERS) + 1
            for text in dict.fromkeys(taught)
        )
    return Lengths(
        prompt=max(length for length, _, _ in told),
        mean=sum(length for length, _, _ in told) / len(told),
        completion=completion,
        patches=max(patches for _, patches, _ in told),
        counted=exact and all(counted for _, _, counted in told),
    )


def _prompt_tokens(
    prompt: Prompt, config: ModelConfig, tokens: PromptTokens | None, view: View
) -> tuple[int, int, bool]:
    """Tokens of a prompt, its pictures' visual tokens, and whether the tokenizer counted."""
    from vrft_aug.data.images import image_size

    pictures = sum(view.image_tokens(image_size(image)) for image in prompt.images)
    counted = None if tokens is None else tokens.of(prompt)
    if counted is None:
        return len(_text(prompt)) // CHARACTERS + CHAT + pictures, pictures, False
    assert tokens is not None
    missing = pictures - len(prompt.images) - tokens.of_pictures(prompt)  # of families without patch grids
    return counted + max(0, missing), pictures, True


def _text(prompt: Prompt) -> str:
    parts = [part for message in prompt.messages for part in message["content"]]
    return "".join(part["text"] for part in parts if part["type"] == "text")
