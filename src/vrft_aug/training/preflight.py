"""What can go wrong in any stage is looked for before the first one starts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from vrft_aug.data.open_all import check_pictures, sampled_pictures
from vrft_aug.errors import UserError
from vrft_aug.policy.adapters import lora_config
from vrft_aug.policy.freezing import frozen_parts
from vrft_aug.policy.lengths import check_lengths
from vrft_aug.policy.load import Policy
from vrft_aug.policy.precision import check_precision
from vrft_aug.policy.thinking import opened_thinking
from vrft_aug.recipe.schema import Recipe
from vrft_aug.recipe.stage_config import StageConfig
from vrft_aug.tasks.demonstrations import taught_texts, with_demonstrations
from vrft_aug.tasks.frames import case_frame
from vrft_aug.tasks.label_coverage import refuse_unused_labels
from vrft_aug.tasks.look_probe import look_probe
from vrft_aug.tasks.pictures_needed import refuse_without_pictures
from vrft_aug.tasks.taskset import TaskSet, evaluation_taskset, load_taskset, stage_scorer
from vrft_aug.tasks.token_limits import check_picture_tokens
from vrft_aug.training.rehearsal import rehearse_stages
from vrft_aug.training.settings import grpo_settings, sft_settings


def check_run(recipe: Recipe, policy: Policy) -> tuple[list[tuple[TaskSet, ...]], TaskSet]:
    """Check settings, rewards, data, prompt lengths and some pictures of all stages and of the evaluation.

    All stages are built with their trainers on the policy's model, which must not be used afterwards.
    `preview.run_checks.check_settings` comes before. Gives what it has read: the taskset of every part of
    every stage, and that of the evaluation. Raises UserError for the first thing that is wrong.
    """
    lora_config(recipe.model)
    frozen_parts(policy.model, recipe.model.freeze)
    for stage in recipe.stages:
        check_precision(stage, recipe.model)
        settings = sft_settings if stage.method == "sft" else grpo_settings
        settings(stage, policy, Path(), recipe.seed, recipe.parallel)
    tasksets = [tuple(_taskset(recipe, part, policy) for part in stage.parts()) for stage in recipe.stages]
    for stage in recipe.stages:
        probe = look_probe(recipe, stage, policy.space)
        if probe is not None:
            check_lengths(policy, stage.place, probe.look.taskset, stage.max_new_tokens)
    for parts in tasksets:
        for taskset in parts:
            refuse_unused_labels(recipe, taskset.task, taskset.cases)
    judged = evaluation_taskset(recipe, policy.space)
    check_lengths(policy, "evaluation", judged, recipe.evaluation.max_new_tokens)
    read = [case for parts in tasksets for taskset in parts for case in taskset.cases]
    check_pictures(sampled_pictures([*read, *judged.cases]))
    for taskset in [*(taskset for parts in tasksets for taskset in parts), judged]:
        check_picture_tokens(recipe.model, taskset)
    rehearse_stages(recipe, tasksets, policy)
    return tasksets, judged


def _taskset(recipe: Recipe, part: StageConfig, policy: Policy) -> TaskSet:
    taskset = load_taskset(recipe, part.task, "train", part.injection, policy.space)
    if part.demonstrations is not None:
        task, path = taskset.task, recipe.root() / part.demonstrations
        taskset = with_demonstrations(taskset, path, lambda case: case_frame(task, case, policy.frame))
    refuse_without_pictures(part, taskset)
    if part.method == "grpo":
        stage_scorer(part, taskset)
    _check_thinking(part, taskset, policy)
    completion = part.max_new_tokens if part.method == "grpo" else _longest_target(policy, taskset)
    check_lengths(policy, part.place, taskset, completion, part.method == "grpo")
    return taskset


def _check_thinking(part: StageConfig, taskset: TaskSet, policy: Policy) -> None:
    """A template that opens the thinking leaves no room for an answer without any, or before it."""
    task = taskset.task
    wants = task.answer_format != "think-answer" and (part.method == "sft" or "format" in part.rewards)
    if wants and (opened := opened_thinking(policy.processor, policy.name)):
        raise UserError(
            f"stage {part.name!r}: the chat template of {policy.name} begins every completion by "
            f"{opened.strip()}, which task {task.name!r} does not with reasoning: {task.reasoning} in "
            f"answer_format: {'free' if task.answer_format == 'free' else 'tags'}; set tasks.{task.name}."
            "reasoning: before and answer_format: tags"
        )


def _longest_target(policy: Policy, taskset: TaskSet) -> int:
    """Tokens of the longest completion taught, with its end."""
    texts = taught_texts(taskset, lambda case: case_frame(taskset.task, case, policy.frame))
    encoded: Any = policy.processor.tokenizer(list(dict.fromkeys(texts)))["input_ids"]
    return max(map(len, encoded)) + 1
