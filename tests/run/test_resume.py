"""A resume with a corrected recipe keeps what still holds, and puts aside what it replaces."""

import json
from pathlib import Path
from typing import Any

import pytest

from helpers.run_checks import lines, same_run
from helpers.shades import GRPO, SFT, shade_recipe
from vrft_aug.errors import UserError
from vrft_aug.experiments.run import train
from vrft_aug.recipe.file import save_recipe
from vrft_aug.recipe.schema import Recipe
from vrft_aug.run.layout import RUN_RECIPE, stage_model
from vrft_aug.run.resume import ResumePlan, plan_resume

FASTER = {**GRPO, "trainer": {**GRPO["trainer"], "learning_rate": 0.02}}


def planned(old: Recipe, new: Recipe, run: Path, from_stage: str | None = None) -> ResumePlan:
    save_recipe(old, run / RUN_RECIPE)
    return plan_resume(new, run, from_stage)


def recipe_of(*stages: dict[str, Any], **more: Any) -> Recipe:
    return shade_recipe(Path("policy"), *stages, **more)


def test_the_same_recipe_replaces_nothing(tmp_path: Path) -> None:
    plan = planned(recipe_of(SFT, GRPO), recipe_of(SFT, GRPO), tmp_path)
    assert plan.kept == ("answers", "rewards") and not plan.replaces and plan.change == ""


def test_a_change_in_a_later_stage_keeps_the_earlier(tmp_path: Path) -> None:
    plan = planned(recipe_of(SFT, GRPO), recipe_of(SFT, FASTER), tmp_path)
    assert (plan.kept, plan.anew, plan.gone) == (("answers",), ("rewards",), ("rewards",))
    assert (
        plan.evaluate
        and plan.change == "stages.rewards.trainer.learning_rate was 0.01, the recipe now says 0.02"
    )


def test_a_further_stage_keeps_all_before_it(tmp_path: Path) -> None:
    plan = planned(recipe_of(SFT), recipe_of(SFT, GRPO), tmp_path)
    assert (plan.kept, plan.anew, plan.gone, plan.evaluate) == (("answers",), ("rewards",), (), True)


def test_a_stage_taken_away_leaves_the_model_of_the_one_before(tmp_path: Path) -> None:
    plan = planned(recipe_of(SFT, GRPO), recipe_of(SFT), tmp_path)
    assert (plan.kept, plan.anew, plan.gone, plan.evaluate) == (("answers",), (), ("rewards",), True)


def test_another_evaluation_keeps_all_stages(tmp_path: Path) -> None:
    other = recipe_of(SFT, GRPO, evaluation={"bootstrap": 200})
    plan = planned(recipe_of(SFT, GRPO), other, tmp_path)
    assert plan.kept == ("answers", "rewards") and plan.evaluate and not (plan.anew or plan.gone)


def test_the_start_model_is_judged_anew_only_where_it_would_be_judged_otherwise(tmp_path: Path) -> None:
    old = recipe_of(SFT, GRPO)
    assert not planned(old, recipe_of(SFT, FASTER), tmp_path).evaluate_base  # another stage, the same start
    assert planned(old, recipe_of(SFT, GRPO, evaluation={"bootstrap": 200}), tmp_path).evaluate_base
    unjudged = planned(old, recipe_of(SFT, GRPO, evaluation={"base": False}), tmp_path)
    assert not (unjudged.evaluate or unjudged.evaluate_base)


def test_what_changes_memory_alone_keeps_a_stage_that_has_begun(tmp_path: Path) -> None:
    less = {**GRPO, "save_steps": 1, "trainer": {**GRPO["trainer"], "gradient_accumulation_steps": 2}}
    plan = planned(recipe_of(SFT, GRPO), recipe_of(SFT, less), tmp_path)
    assert plan.kept == ("answers", "rewards") and not plan.replaces and plan.change


@pytest.mark.parametrize(
    "changes",
    [{"seed": 7}, {"data_root": "elsewhere"}, {"model": {"name": "other"}}],
    ids=lambda c: next(iter(c)),
)
def test_what_all_stages_rest_on_keeps_none(tmp_path: Path, changes: dict[str, Any]) -> None:
    old = recipe_of(SFT, GRPO)
    data = old.model_dump(mode="json")
    for key, value in changes.items():
        data[key] = {**data[key], **value} if isinstance(value, dict) else value
    with pytest.raises(UserError, match=r"nothing trained can be kept: resume with .*recipe\.yaml"):
        planned(old, Recipe.model_validate(data), tmp_path)


def test_a_stage_may_be_asked_to_run_anew(tmp_path: Path) -> None:
    recipe = recipe_of(SFT, GRPO)
    assert planned(recipe, recipe, tmp_path, "rewards").anew == ("rewards",)
    assert planned(recipe, recipe, tmp_path, "answers").anew == ("answers", "rewards")
    with pytest.raises(UserError, match="has no stage 'reward'; did you mean 'rewards'"):
        planned(recipe, recipe, tmp_path, "reward")


@pytest.mark.slow
def test_a_corrected_second_stage_gives_what_a_whole_run_gives(
    random_policy: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The first stage is not trained again, the old second one lies aside, and the end is that of one go."""
    train(shade_recipe(random_policy, SFT, GRPO), tmp_path / "run")
    first = stage_model(tmp_path / "run", "answers") / "model.safetensors"
    before, old_lines = first.stat().st_mtime_ns, lines(tmp_path / "run" / "metrics.jsonl")
    capsys.readouterr()
    corrected = shade_recipe(random_policy, SFT, FASTER)
    train(corrected, tmp_path / "run", resume=True)
    said = capsys.readouterr().err
    assert "kept as finished: answers" in said and "run anew: rewards" in said
    assert first.stat().st_mtime_ns == before
    aside = tmp_path / "run" / "superseded" / "1"
    assert lines(aside / "metrics.jsonl") == old_lines
    for name in ("recipe.yaml", "evaluation.json", "report.html", "model", "checkpoints/rewards/model"):
        assert (aside / name).exists()
    train(corrected, tmp_path / "whole")
    same_run(tmp_path / "run", tmp_path / "whole")
    facts = json.loads((tmp_path / "run" / "run.json").read_text())
    assert facts["finished"] and facts["stages"]["rewards"]["steps"] == GRPO["steps"]
    train(corrected, tmp_path / "run", overwrite=True)
    assert not (tmp_path / "run" / "superseded").exists()
