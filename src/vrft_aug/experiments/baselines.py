"""The arms that a recipe is compared with: equal data, model, seed and rollout budget, less of the method."""

from __future__ import annotations

from vrft_aug.errors import UserError
from vrft_aug.recipe.schema import Recipe
from vrft_aug.recipe.stage_config import RewardConfig, StageConfig
from vrft_aug.recipe.task_config import Injection

PLAIN_REWARDS = {"format": RewardConfig(weight=0.2), "accuracy": RewardConfig(weight=1.0)}


def untrained(recipe: Recipe) -> Recipe:
    """The start model under the recipe's own prompt."""
    return recipe.model_copy(update={"stages": ()})


def untold(recipe: Recipe) -> Recipe:
    """The start model under a prompt without knowledge: the base."""
    return untrained(_without_knowledge(recipe))


def rft(recipe: Recipe) -> Recipe:
    """Plain reinforcement fine-tuning: one GRPO stage on format and accuracy, as many steps as the recipe.

    The last stage of the recipe gives all other settings, so a step has as many rollouts.
    """
    stage = _plain(_all_steps(recipe, recipe.stages[-1]))
    return _without_knowledge(recipe).model_copy(update={"stages": (stage,)})


def rft_with_boxes(recipe: Recipe) -> Recipe:
    """Plain reinforcement fine-tuning that is given the box task too: the recipe's stages, the last plain.

    Raises UserError where no earlier stage of the recipe is on a localise task.
    """
    *before, last = recipe.stages
    boxed = [stage for stage in before if stage.task and recipe.tasks[stage.task].kind == "localise"]
    if not boxed:
        raise UserError(
            f"recipe {recipe.name} has no stage on a localise task before its last one; expected one for the "
            "arm that is given the box task"
        )
    told = [stage.model_copy(update={"injection": Injection()}) for stage in boxed]
    rest = [stage for stage in recipe.stages if stage not in boxed]
    steps = _all_steps(recipe.model_copy(update={"stages": tuple(rest)}), last)
    return _without_knowledge(recipe).model_copy(update={"stages": (*told, _plain(steps))})


def sft(recipe: Recipe, trainer: dict[str, object] | None = None, told: bool = False) -> Recipe:
    """Supervised fine-tuning on the answers: a labelled example for every rollout of the recipe.

    With `told` its prompts hold the knowledge that those of the recipe's last stage hold, in training and in
    evaluation.
    """
    last = recipe.stages[-1]
    stage = StageConfig(
        name=last.name,
        method="sft",
        task=last.task,
        steps=_all_steps(recipe, last).steps,
        prompts_per_step=last.prompts_per_step * last.generations,
        save_steps=last.save_steps,
        injection=last.injection if told else Injection(),
        trainer={"learning_rate": last.trainer.get("learning_rate", 1e-5), **(trainer or {})},
    )
    return (recipe if told else _without_knowledge(recipe)).model_copy(update={"stages": (stage,)})


def rollouts(recipe: Recipe) -> int:
    """How many completions a recipe's training samples or is shown in all."""
    return sum(
        s.steps * s.prompts_per_step * (s.generations if s.method == "grpo" else 1) for s in recipe.stages
    )


def _without_knowledge(recipe: Recipe) -> Recipe:
    return recipe.model_copy(
        update={"evaluation": recipe.evaluation.model_copy(update={"injection": Injection()})}
    )


def _plain(stage: StageConfig) -> StageConfig:
    return stage.model_copy(update={"injection": Injection(), "rewards": PLAIN_REWARDS})


def _all_steps(recipe: Recipe, last: StageConfig) -> StageConfig:
    """The last stage with as many steps as all stages' rollouts come to."""
    per_step = last.prompts_per_step * last.generations
    return last.model_copy(update={"steps": max(1, rollouts(recipe) // per_step)})
