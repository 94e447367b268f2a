"""What can go wrong in any stage is looked for before the first one starts."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from vrft_aug.errors import UserError
from vrft_aug.nouns import Case, Prompt
from vrft_aug.recipe import Recipe, StageConfig
from vrft_aug.scorer import Scorer
from vrft_aug.training.material import Material, load_material
from vrft_aug.training.policy import (
    Policy,
    case_frame,
    chat_with_images,
    context_length,
    encode_chats,
    lora_config,
)
from vrft_aug.training.targets import target_completion
from vrft_aug.training.trainer_settings import grpo_settings, sft_settings

SAMPLED_PICTURES = 16  # opened to see how many tokens a picture takes


def check_run(recipe: Recipe, policy: Policy) -> None:
    """Settings, rewards, data and prompt lengths of all stages, and the data of the evaluation.

    Raises UserError for the first thing that is wrong.
    """
    lora_config(recipe.model)
    for stage in recipe.stages:
        settings = sft_settings if stage.method == "sft" else grpo_settings
        settings(stage, policy, Path(), recipe.seed)
    for stage in recipe.stages:
        material = load_material(recipe, stage.task, "train", stage.injection, policy.space)
        if stage.method == "grpo":
            Scorer(material.task, stage.rewards)
        check_lengths(policy, stage, material)
    wanted = recipe.evaluation
    load_material(recipe, wanted.task, wanted.split, wanted.injection, policy.space, wanted.limit)


def check_lengths(policy: Policy, stage: StageConfig, material: Material) -> None:
    """Raise UserError where a prompt and its completion are longer than the model's context.

    Text is measured for every case. Pictures are opened for some: resizing bounds the tokens of all.
    """
    limit = context_length(policy)
    tokens = _text_tokens(policy, material.prompts)
    longest = max(range(len(tokens)), key=tokens.__getitem__)
    completion = stage.max_new_tokens if stage.method == "grpo" else _longest_target(policy, material)
    stride = max(1, len(tokens) // SAMPLED_PICTURES)
    for index in dict.fromkeys([longest, *range(0, len(tokens), stride)]):
        encoded = encode_chats(policy, [chat_with_images(material.prompts[index])])
        used = encoded["input_ids"].shape[1] - tokens[index] + tokens[longest]
        if used + completion > limit:
            raise UserError(
                f"stage {stage.name!r}, case {material.cases[longest].id}: its prompt takes {used} tokens "
                f"and the completion up to {completion}, but {policy.name} was made for {limit}; lower "
                f"model.max_pixels or max_new_tokens, or inject less knowledge"
            )


def _text_tokens(policy: Policy, prompts: Sequence[Prompt]) -> list[int]:
    """Tokens of the text of every prompt, without pictures and the chat's own tokens."""
    texts = [_text(prompt) for prompt in prompts]
    distinct = list(dict.fromkeys(texts))
    encoded: Any = policy.processor.tokenizer(distinct)["input_ids"]
    lengths = dict(zip(distinct, map(len, encoded), strict=True))
    return [lengths[text] for text in texts]


def _text(prompt: Prompt) -> str:
    parts = [part for message in prompt.messages for part in message["content"]]
    return "\n".join(part["text"] for part in parts if part["type"] == "text")


def _longest_target(policy: Policy, material: Material) -> int:
    """Tokens of the longest target completion with its end; of boxes, that of the case with the most."""
    cases: Sequence[Case] = material.cases
    if material.task.kind == "localise":
        cases = [max(cases, key=lambda case: len(case.target.boxes or ()))]
    targets = [
        target_completion(case, material.task, case_frame(policy, material.task, case)) for case in cases
    ]
    encoded: Any = policy.processor.tokenizer(list(dict.fromkeys(targets)))["input_ids"]
    return max(map(len, encoded)) + 1
