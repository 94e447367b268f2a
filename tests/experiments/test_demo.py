"""The demo's arms: one budget for all, and the whole road on a few steps."""

from __future__ import annotations

from pathlib import Path

import pytest

from vrft_aug.experiments import demo
from vrft_aug.experiments.baselines import rft, rollouts, sft, untold, untrained
from vrft_aug.recipe.file import load_recipe
from vrft_aug.recipe.schema import Recipe

FEW = [
    "stages.localise.steps=1", "stages.localise.prompts_per_step=2", "stages.localise.generations=2",
    "stages.grade.steps=1", "stages.grade.prompts_per_step=2", "stages.grade.generations=2",
    "evaluation.limit=6", "evaluation.bootstrap=100",
]  # fmt: skip


def test_every_trained_arm_has_the_same_budget_data_and_model() -> None:
    recipe = load_recipe("fundus-demo")
    for arm in (rft(recipe), sft(recipe)):
        assert rollouts(arm) == rollouts(recipe) > 0
        assert arm.tasks == recipe.tasks and arm.model == recipe.model and arm.seed == recipe.seed
        assert Recipe.model_validate(arm.model_dump(mode="json")) == arm


def test_arms_leave_out_what_they_say() -> None:
    recipe = load_recipe("fundus-demo")
    assert {s.method for s in sft(recipe).stages} == {"sft"}
    plain = rft(recipe)
    assert [s.task for s in plain.stages] == [recipe.stages[-1].task]
    assert set(plain.stages[0].rewards) == {"format", "accuracy"}
    assert plain.stages[0].injection.style == plain.evaluation.injection.style == "none"
    assert untrained(recipe).stages == untold(recipe).stages == ()
    assert untrained(recipe).evaluation.injection == recipe.evaluation.injection


@pytest.mark.slow
def test_demo_makes_table_page_and_markdown_and_keeps_finished_arms(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(demo, "load_recipe", lambda name, overrides=(): load_recipe(name, [*FEW, *overrides]))
    page = demo.run_demo(tmp_path / "demo", markdown=tmp_path / "demo.md")
    text = capsys.readouterr().out
    for arm in demo.ARMS:
        assert arm.name in text
        assert (tmp_path / "demo" / f"{arm.name.lower().replace(' ', '-')}-0" / "evaluation.json").is_file()
    assert "VRFT-Aug minus RFT" in text
    assert "<html" in page.read_text(encoding="utf-8")
    assert "| VRFT-Aug |" in (tmp_path / "demo.md").read_text(encoding="utf-8")
    demo.run_demo(tmp_path / "demo")
    assert capsys.readouterr().out.count("done, kept") == len(demo.ARMS)
