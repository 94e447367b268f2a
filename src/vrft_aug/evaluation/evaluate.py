"""From a policy and a recipe to a report: generate, parse, measure."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from vrft_aug.errors import UserError
from vrft_aug.evaluation.blind import asks_blind, blanked
from vrft_aug.evaluation.measure import Source, Written, measure_rollouts
from vrft_aug.evaluation.metrics.case_metrics import named_metrics
from vrft_aug.evaluation.provenance import hash_folder
from vrft_aug.evaluation.report_data import Report, save_report
from vrft_aug.nouns import Prompt, Rollout
from vrft_aug.policy.drawn_together import draw_together
from vrft_aug.policy.generate import generate
from vrft_aug.policy.lengths import check_lengths
from vrft_aug.policy.load import Policy, load_policy, written_model
from vrft_aug.policy.out_of_memory import ran_out_of_memory
from vrft_aug.policy.progress_bar import watching
from vrft_aug.policy.together import in_each, join
from vrft_aug.policy.work_sharing import over_processes
from vrft_aug.processes import processes
from vrft_aug.recipe.model_config import ModelConfig
from vrft_aug.recipe.schema import Recipe
from vrft_aug.run.layout import EVALUATION, RUN_MODEL, RUN_RECIPE
from vrft_aug.run.lock import run_locked
from vrft_aug.run.own_recipe import own_recipe
from vrft_aug.tasks.frames import case_frame
from vrft_aug.tasks.taskset import TaskSet, evaluation_taskset, without_knowledge


def evaluate(policy: Policy, recipe: Recipe, taskset: TaskSet | None = None) -> Report:
    """Judge a policy as the recipe's evaluation says: greedy answers, and sampled ones for votes.

    Questions (choice, answer), and with `blank` all, are also asked with blank pictures, and all without
    knowledge where `untold` says so. `taskset` is that of the evaluation, where it has been read already.
    Several processes share the cases out, and all get the report, which is that of one process. Raises
    UserError where data is absent or wrong.
    """
    wanted, source = recipe.evaluation, Source(policy.name, model_hash(policy))
    named_metrics(recipe)  # what is wrong with them is said before anything is generated
    if taskset is None:
        draw_together(recipe, [(wanted.task, wanted.split)])
        taskset = evaluation_taskset(recipe, policy.space)
    check_lengths(policy, "evaluation", taskset, wanted.max_new_tokens)
    frames = [case_frame(taskset.task, case, policy.frame) for case in taskset.cases]
    greedy = [one for (one,) in written_answers(policy, taskset.prompts, recipe, "evaluating")]
    sampled = None
    if wanted.samples:
        sampled = written_answers(
            policy,
            taskset.prompts,
            recipe,
            f"sampling {wanted.samples} answers a case",
            samples=wanted.samples,
            temperature=wanted.temperature,
            names=[case.id for case in taskset.cases],
        )
    unseen = None
    if asks_blind(recipe):
        blank = blanked(taskset.prompts)
        unseen = [one for (one,) in written_answers(policy, blank, recipe, "asking without pictures")]
    untold = None
    if wanted.untold:
        bare = without_knowledge(taskset, policy.space)
        untold = [one for (one,) in written_answers(policy, bare, recipe, "asking without knowledge")]
    return measure_rollouts(recipe, taskset, Written(greedy, sampled, frames, unseen, untold), source)


def evaluate_path(source: str, recipe: Recipe | None = None, output: Path | None = None) -> Report:
    """Evaluate a run folder, a model folder or a hub name, and write the report to `output` if given.

    A run is judged by its own recipe, and then evaluation.json in it is renewed, unless another recipe is
    given. Anything else needs a recipe. Raises UserError where there is none or the run has no model yet.
    """
    run = Path(source).expanduser()
    if recipe is None:
        recipe, output = own_recipe(source), output or run / EVALUATION
    config = judged_model(source, recipe)
    join(config)
    if output != run / EVALUATION:
        return _evaluated(config, recipe, output)
    with run_locked(run, "vrft evaluate"):
        return _evaluated(config, recipe, output)


def judged_model(source: str, recipe: Recipe) -> ModelConfig:
    """The model of a run, or that of a folder or hub name, with the recipe's settings.

    Raises UserError where a run has no model yet.
    """
    run = Path(source).expanduser()
    if not (run / RUN_RECIPE).is_file():
        return recipe.model.model_copy(update={"name": source})
    if not (run / RUN_MODEL).is_dir():
        raise UserError(f"run {run} has no {RUN_MODEL} yet; finish it with `vrft train ... --resume`")
    return written_model(recipe.model, run / RUN_MODEL)


def _evaluated(config: ModelConfig, recipe: Recipe, output: Path | None) -> Report:
    report = evaluate(in_each(partial(load_policy, config)), recipe)
    if output is not None and processes().main:
        save_report(report, output)
    return report


def written_answers(
    policy: Policy,
    prompts: Sequence[Prompt],
    recipe: Recipe,
    what: str,
    *,
    samples: int = 1,
    temperature: float | None = None,
    names: Sequence[str] | None = None,
) -> list[list[Rollout]]:
    """What the policy writes to every prompt, `samples` each, as long as the recipe's evaluation allows.

    `what` is the progress bar's name, `names` are those of the prompts (see `generate`). Several processes
    share the prompts out, and all get what is written. Raises UserError where memory runs out.
    """
    wanted = recipe.evaluation
    try:
        with watching(what, len(prompts)) as done:
            return generate(
                policy,
                prompts,
                samples=samples,
                temperature=temperature,
                max_new_tokens=wanted.max_new_tokens,
                batch_size=wanted.batch_size,
                seed=recipe.seed,
                names=names,
                done=done,
                spread=over_processes,
            )
    except (RuntimeError, MemoryError) as error:
        if not ran_out_of_memory(error):
            raise
        raise UserError(
            f"{what} ran out of memory on {policy.device.type}: {wanted.batch_size} prompts at once, up to "
            f"{wanted.max_new_tokens} new tokens each; set evaluation.batch_size: "
            f"{max(1, wanted.batch_size // 4)} or a lower evaluation.max_new_tokens (a training goes on with "
            "--resume and evaluates anew)"
        ) from error


def model_hash(policy: Policy) -> str:
    """Of the files in a local folder; the revision for a model from the hub; "" where neither is known.

    With an adapter, its hash follows that of its base.
    """
    place = Path(str(policy.model.config._name_or_path))
    if place.is_dir():
        base = hash_folder(place)
    else:
        base = str(getattr(policy.model.config, "_commit_hash", None) or "")
    return base if policy.adapter is None else f"{base}+{hash_folder(policy.adapter)}"
