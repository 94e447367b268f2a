"""What `vrft train` would refuse besides data and rewards, found without a model's weights.

Settings of TRL and PEFT, the model's files, lengths, the folder and its room. TRL is loaded, which takes
seconds, only where a stage has settings that the tables in `training/stage_settings.py` cannot vouch for.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from vrft_aug.errors import UserError
from vrft_aug.nouns import Prompt
from vrft_aug.policy.precision import check_precision
from vrft_aug.preview.prompt_tokens import PromptTokens
from vrft_aug.recipe.model_config import ModelConfig
from vrft_aug.recipe.model_files import ModelFiles, model_files
from vrft_aug.recipe.schema import Recipe
from vrft_aug.recipe.stage_config import StageConfig
from vrft_aug.run.layout import RUN_RECIPE
from vrft_aug.run.place import check_place, check_room, in_words, run_bytes
from vrft_aug.tasks.demonstrations import taught_texts
from vrft_aug.tasks.frames import frames_without_model
from vrft_aug.tasks.taskset import TaskSet
from vrft_aug.tasks.token_limits import check_picture_tokens, refuse_too_long
from vrft_aug.training.processes.parallel import check_look, check_parallel
from vrft_aug.training.rollouts.rollout_settings import check_rollouts
from vrft_aug.training.stage_settings import check_lora, check_trainer, needs_rehearsal

SAMPLED = 16  # pictures that are asked for their size


def check_settings(recipe: Recipe, output: Path) -> ModelFiles | None:
    """Everything that needs no data: trainer settings, the model's files, the folder; gives the files.

    Raises UserError for the first thing that is wrong.
    """
    files = model_files(recipe.model)
    check_lora(recipe.model)
    check_parallel(recipe.parallel)
    check_look(recipe)
    for stage in recipe.stages:
        check_precision(stage, recipe.model)
        check_trainer(stage)
        check_rollouts(stage, recipe.model, files)
    if recipe.stages:
        check_place(output)
        if files is not None and not (output / RUN_RECIPE).exists():
            check_room(recipe, output, files.parameters)
    return files


def check_stages(recipe: Recipe, tasksets: Sequence[tuple[TaskSet, ...]]) -> None:
    """Build what the tables cannot vouch for, as training will; UserError where a library refuses it."""
    doubtful = [
        (stage, parts)
        for stage, parts in zip(recipe.stages, tasksets, strict=True)
        if needs_rehearsal(stage, recipe.model)
    ]
    if not doubtful:
        return
    from vrft_aug.training.rehearsal import rehearse_lora, rehearse_without_model  # takes seconds

    if recipe.model.lora is not None and model_files(recipe.model) is not None:
        rehearse_lora(recipe.model)
    for stage, parts in doubtful:
        rehearse_without_model(stage, parts)


def check_prompts(
    recipe: Recipe, files: ModelFiles | None, tasksets: Sequence[tuple[TaskSet, ...]], judged: TaskSet
) -> int | None:
    """Whether prompts and completions fit the model's context; gives the tokens of the longest prompt.

    None where the model is not on this disk. Raises UserError for what does not fit, and for pixel limits
    that leave one visual token.
    """
    parts = [
        (part.place, part, taskset)
        for stage, own in zip(recipe.stages, tasksets, strict=True)
        for part, taskset in zip(stage.parts(), own, strict=True)
    ]
    for taskset in [*(taskset for _, _, taskset in parts), judged]:
        check_picture_tokens(recipe.model, taskset)
    if files is None:
        return None
    tokens = PromptTokens(recipe.model, files)
    longest = [
        _check_length(who, own, _completion(recipe, part, own, tokens), tokens, part.method == "grpo")
        for who, part, own in parts
    ]
    longest.append(_check_length("evaluation", judged, recipe.evaluation.max_new_tokens, tokens))
    return max((one for one in longest if one is not None), default=None)


def _completion(recipe: Recipe, part: StageConfig, taskset: TaskSet, tokens: PromptTokens) -> int:
    """How many tokens a stage's completions have at most, as far as the files tell."""
    if part.method == "grpo":
        return part.max_new_tokens
    texts = taught_texts(taskset, frames_without_model(taskset.task, recipe.model))
    return max(map(tokens.count, dict.fromkeys(texts))) + 1 if tokens.count is not None else 0


def _check_length(
    who: str, taskset: TaskSet, completion: int, tokens: PromptTokens, generated: bool = True
) -> int | None:
    """Text is measured for every distinct prompt, pictures for some, as `policy.lengths` does."""
    if tokens.count is None:
        return None
    count = tokens.count
    lengths = [sum(map(count, _texts(prompt))) for prompt in taskset.prompts]
    longest = max(range(len(lengths)), key=lengths.__getitem__)
    stride = max(1, len(lengths) // SAMPLED)
    most = 0
    for index in dict.fromkeys([longest, *range(0, len(lengths), stride)]):
        used = tokens.of(taskset.prompts[index])
        if used is None:
            return None
        used += lengths[longest] - lengths[index]
        most = max(most, used)
    if (limit := tokens.files.context) is not None:
        refuse_too_long(who, taskset, longest, most, completion, tokens.config.name, limit, generated)
    return most


def _texts(prompt: Prompt) -> list[str]:
    parts = [part for message in prompt.messages for part in message["content"]]
    return [part["text"] for part in parts if part["type"] == "text"]


def model_line(recipe: Recipe, files: ModelFiles | None, longest: int | None, output: Path) -> str:
    """One line on the model, the room that a run of it takes, and whether its device is here."""
    lacks = _lacking_device(recipe.model)
    if files is None:
        return (
            f"model {recipe.model.name}: not on this disk, so its files, lengths and the room for a run were "
            f"not checked; training downloads it{lacks}"
        )
    context = f", context {files.context:,} tokens" if files.context else ""
    prompt = f", longest prompt {longest:,}" if longest else ""
    room = "; no stages, so there is nothing to train: vrft evaluate alone takes it"
    if recipe.stages:
        room = f"; a run takes about {in_words(run_bytes(recipe, files.parameters))} in {output}"
    return (
        f"model {recipe.model.name}: {files.parameters / 1e6:,.1f} M parameters{context}{prompt}{room}{lacks}"
    )


def _lacking_device(config: ModelConfig) -> str:
    """What a recipe for another machine is told; torch, which takes seconds, is asked only for a device."""
    if config.device in ("auto", "cpu"):
        return ""
    from vrft_aug.policy.hardware import choose_device

    try:
        choose_device(config)
    except UserError as error:
        return f"; warning: it cannot run on this machine, as {error}"
    return ""
