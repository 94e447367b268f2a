"""What can go wrong in any stage is looked for before the first one starts."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from vrft_aug.nouns import Case
from vrft_aug.recipe import Recipe, StageConfig
from vrft_aug.training.demonstrations import with_demonstrations
from vrft_aug.training.lengths import check_lengths
from vrft_aug.training.material import Material, evaluation_material, load_material, stage_scorer
from vrft_aug.training.policy import Policy, case_frame, lora_config
from vrft_aug.training.targets import target_completion
from vrft_aug.training.trainer_settings import grpo_settings, sft_settings


def check_run(recipe: Recipe, policy: Policy) -> tuple[list[tuple[Material, ...]], Material]:
    """Check settings, rewards, data and prompt lengths of all stages and of the evaluation.

    Gives what it has read: the material of every part of every stage, and that of the evaluation. Raises
    UserError for the first thing that is wrong.
    """
    lora_config(recipe.model)
    for stage in recipe.stages:
        settings = sft_settings if stage.method == "sft" else grpo_settings
        settings(stage, policy, Path(), recipe.seed)
    materials = [tuple(_material(recipe, part, policy) for part in stage.parts()) for stage in recipe.stages]
    judged = evaluation_material(recipe, policy.space)
    check_lengths(policy, "evaluation", judged, recipe.evaluation.max_new_tokens)
    return materials, judged


def _material(recipe: Recipe, part: StageConfig, policy: Policy) -> Material:
    material = load_material(recipe, part.task, "train", part.injection, policy.space)
    if part.demonstrations is not None:
        task, path = material.task, recipe.root() / part.demonstrations
        material = with_demonstrations(material, path, lambda case: case_frame(policy, task, case))
    if part.method == "grpo":
        stage_scorer(part, material)
    completion = part.max_new_tokens if part.method == "grpo" else _longest_target(policy, material)
    check_lengths(policy, f"stage {part.name!r}", material, completion)
    return material


def _longest_target(policy: Policy, material: Material) -> int:
    """Tokens of the longest completion taught, with its end; of bare boxes, of the case with the most."""
    if material.completions is not None:
        return _longest(policy, material.completions)
    cases: Sequence[Case] = material.cases
    if material.task.kind == "localise":
        cases = [max(cases, key=lambda case: len(case.target.boxes or ()))]
    targets = [
        target_completion(case, material.task, case_frame(policy, material.task, case)) for case in cases
    ]
    return _longest(policy, targets)


def _longest(policy: Policy, completions: Sequence[str]) -> int:
    encoded: Any = policy.processor.tokenizer(list(dict.fromkeys(completions)))["input_ids"]
    return max(map(len, encoded)) + 1
