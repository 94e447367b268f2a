"""From a policy and a recipe to a report: generate, parse, measure."""

from __future__ import annotations

from pathlib import Path

from vrft_aug.errors import UserError
from vrft_aug.evaluation.generate import generate
from vrft_aug.evaluation.judge import Source, Written, judge
from vrft_aug.evaluation.provenance import hash_folder
from vrft_aug.evaluation.report_data import FILE_NAME, Report, save_report
from vrft_aug.evaluation.watch import watching
from vrft_aug.nouns import Rollout
from vrft_aug.recipe import ModelConfig, Recipe
from vrft_aug.recipe_file import RUN_RECIPE, load_recipe
from vrft_aug.training.lengths import check_lengths
from vrft_aug.training.material import Material, evaluation_material
from vrft_aug.training.policy import Policy, case_frame, load_policy, written_model

RUN_MODEL = "model"  # in a run folder


def evaluate(policy: Policy, recipe: Recipe, material: Material | None = None) -> Report:
    """Judge a policy as the recipe's evaluation says: greedy answers, and sampled ones for votes.

    `material` is that of the evaluation, where it has been read already. Raises UserError where data is
    absent or wrong.
    """
    wanted, source = recipe.evaluation, Source(policy.name, _model_hash(policy))
    material = material or evaluation_material(recipe, policy.space)
    check_lengths(policy, "evaluation", material, wanted.max_new_tokens)
    frames = [case_frame(policy, material.task, case) for case in material.cases]
    greedy = [one for (one,) in _generate(policy, material, recipe, samples=1, temperature=None)]
    sampled = None
    if wanted.samples:
        sampled = _generate(policy, material, recipe, samples=wanted.samples, temperature=wanted.temperature)
    return judge(recipe, material, Written(greedy, sampled, frames), source)


def evaluate_path(source: str, recipe: Recipe | None = None, output: Path | None = None) -> Report:
    """Evaluate a run folder, a model folder or a hub name, and write the report to `output` if given.

    A run is judged by its own recipe, and then evaluation.json in it is renewed, unless another recipe is
    given. Anything else needs a recipe. Raises UserError where there is none or the run has no model yet.
    """
    run = Path(source).expanduser()
    if (run / RUN_RECIPE).is_file():
        model = run / RUN_MODEL
        if not model.is_dir():
            raise UserError(f"run {run} has no {RUN_MODEL} yet; finish it with `vrft train ... --resume`")
        if recipe is None:
            recipe, output = load_recipe(str(run / RUN_RECIPE)), output or run / FILE_NAME
        return _evaluated(written_model(recipe.model, model), recipe, output)
    if recipe is None:
        raise UserError(
            f"{source} is not a run folder; a model needs a recipe that says what to evaluate it on"
        )
    return _evaluated(recipe.model.model_copy(update={"name": source}), recipe, output)


def _evaluated(config: ModelConfig, recipe: Recipe, output: Path | None) -> Report:
    report = evaluate(load_policy(config), recipe)
    if output is not None:
        save_report(report, output)
    return report


def _generate(
    policy: Policy, material: Material, recipe: Recipe, *, samples: int, temperature: float | None
) -> list[list[Rollout]]:
    wanted = recipe.evaluation
    what = "evaluating" if temperature is None else f"sampling {samples} answers a case"
    with watching(what, len(material.prompts)) as done:
        return generate(
            policy,
            material.prompts,
            samples=samples,
            temperature=temperature,
            max_new_tokens=wanted.max_new_tokens,
            batch_size=wanted.batch_size,
            seed=recipe.seed,
            done=done,
        )


def _model_hash(policy: Policy) -> str:
    """Of the files in a local folder; the revision for a model from the hub; "" where neither is known."""
    place = Path(str(policy.model.config._name_or_path))
    if place.is_dir():
        return hash_folder(place)
    return str(getattr(policy.model.config, "_commit_hash", None) or "")
