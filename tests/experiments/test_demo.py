"""The demo's arms: one budget for all, the whole road on a few steps, and what its page says."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from vrft_aug.errors import UserError
from vrft_aug.evaluation.metrics.bootstrap import Metric
from vrft_aug.experiments import demo, demo_arms, demo_words
from vrft_aug.experiments.baselines import rft, rft_with_boxes, rollouts, sft, untold, untrained
from vrft_aug.recipe.file import load_recipe, save_recipe
from vrft_aug.recipe.schema import Recipe
from vrft_aug.report.demo_page import won_and_not

DEMOS = [modality.recipe for modality in demo_arms.MODALITIES]


@pytest.mark.parametrize("name", DEMOS)
def test_every_trained_arm_has_the_same_budget_data_and_model(name: str) -> None:
    recipe = load_recipe(name)
    for arm in (rft(recipe), rft_with_boxes(recipe), sft(recipe), sft(recipe, told=True)):
        assert rollouts(arm) == rollouts(recipe) > 0
        assert arm.tasks == recipe.tasks and arm.model == recipe.model and arm.seed == recipe.seed
        assert Recipe.model_validate(arm.model_dump(mode="json")) == arm


@pytest.mark.parametrize("name", DEMOS)
def test_arms_leave_out_what_they_say(name: str) -> None:
    recipe = load_recipe(name)
    assert {s.method for s in sft(recipe).stages} == {"sft"}
    plain, boxed = rft(recipe), rft_with_boxes(recipe)
    assert [s.task for s in plain.stages] == [recipe.stages[-1].task]
    assert [s.task for s in boxed.stages] == [s.task for s in recipe.stages]
    assert boxed.stages[0].rewards == recipe.stages[0].rewards
    for arm in (plain, boxed):
        assert set(arm.stages[-1].rewards) == {"format", "accuracy"}
        assert arm.stages[-1].injection.style == arm.evaluation.injection.style == "none"
    assert untrained(recipe).stages == untold(recipe).stages == ()
    assert untrained(recipe).evaluation.injection == recipe.evaluation.injection


def test_supervised_with_knowledge_is_told_in_training_and_evaluation() -> None:
    recipe = load_recipe("fundus-demo")
    told, bare = sft(recipe, told=True), sft(recipe)
    assert told.stages[0].injection == recipe.stages[-1].injection
    assert told.evaluation.injection == recipe.evaluation.injection
    assert bare.stages[0].injection.style == bare.evaluation.injection.style == "none"


def test_a_recipe_without_a_box_stage_has_no_arm_with_boxes() -> None:
    with pytest.raises(UserError, match="recipe vqa-demo has no stage on a localise task"):
        rft_with_boxes(load_recipe("vqa-demo"))


class _Arm:
    def __init__(self, metric: Metric) -> None:
        self.metric = metric

    def __str__(self) -> str:
        return str(self.metric)


class _Compared:
    """Only what the sentences read of a comparison."""

    def __init__(self, gains: dict[str, Metric], better: int = 1) -> None:
        from vrft_aug.evaluation.meanings import Meaning

        ours = {"kappa": _Arm(Metric(0.8, 100, 0.7, 0.9))}
        self.arms = dict.fromkeys([*gains, "ours"], ours)
        self.differences = {("ours", arm): {"kappa": gain} for arm, gain in gains.items()}
        self.meanings = {"kappa": Meaning("Quadratic kappa", "", better)}


def test_sentences_tell_wins_losses_and_ties_by_the_interval_of_the_difference() -> None:
    gains = {
        "RFT": Metric(0.2, 100, 0.1, 0.3),
        "SFT": Metric(-0.1, 100, -0.2, -0.05),
        "Base": Metric(0.01, 100, -0.05, 0.07),
    }
    won, lost = won_and_not(_Compared(gains), "ours", "kappa")  # type: ignore[arg-type]
    assert won.startswith("ours reaches a quadratic kappa of 0.80 [0.70, 0.90] and ")
    assert won.endswith(" is better than RFT by +0.20 [+0.10, +0.30].")
    assert lost.startswith("It is worse than SFT by -0.10 [-0.20, -0.05], ")
    assert lost.endswith(" and not apart from Base (+0.01 [-0.05, +0.07]).")
    won, lost = won_and_not(_Compared(gains, better=-1), "ours", "kappa")  # type: ignore[arg-type]
    assert "better than SFT" in won and "worse than RFT" in lost


def test_a_folder_with_another_recipes_run_is_refused(tmp_path: Path) -> None:
    cells = demo.demo_cells(tmp_path, 1)
    assert len({cell.run.name for cell in cells}) == len(cells) == 14  # recipes and logs are called by it
    cells[0].run.mkdir(parents=True)
    save_recipe(cells[0].recipe, cells[0].run / "recipe.yaml")
    demo.check_same(cells)
    save_recipe(cells[-1].recipe, cells[0].run / "recipe.yaml")
    with pytest.raises(
        UserError,
        match="holds a run of another recipe or start model than this demo's; give another --output",
    ):
        demo.check_same(cells)


SHOWN = ("Base", "SFT with knowledge", "VRFT-Aug")


@pytest.mark.slow
def test_demo_makes_tables_pages_and_markdown_and_keeps_finished_arms(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def few(name: str, overrides: Sequence[str] = ()) -> Recipe:
        recipe = load_recipe(name, ["evaluation.limit=6", "evaluation.bootstrap=100", *overrides])
        short = {"steps": 1, "prompts_per_step": 2, "generations": 2}
        return recipe.model_copy(update={"stages": tuple(s.model_copy(update=short) for s in recipe.stages)})

    monkeypatch.setattr(demo_arms, "load_recipe", few)
    for module in (demo, demo_words):
        monkeypatch.setattr(module, "ARMS", tuple(arm for arm in demo_arms.ARMS if arm.name in SHOWN))
    output = tmp_path / "demo"
    demo.run_demo(output, markdown=tmp_path / "demo.md")
    said = capsys.readouterr().out
    for modality in demo_arms.MODALITIES:
        for arm in SHOWN:
            assert arm in said
            run = output / f"{modality.name}-{arm.lower().replace(' ', '-')}-0"
            assert json.loads((run / "evaluation.json").read_text(encoding="utf-8"))["rows"]
        assert "<html" in (output / f"{modality.name}.html").read_text(encoding="utf-8")
    page = (output / "report.html").read_text(encoding="utf-8")
    assert page.count("VRFT-Aug reaches a") == 2 and 'href="chest.html"' in page
    text = (tmp_path / "demo.md").read_text(encoding="utf-8")
    assert text.count("| VRFT-Aug |") == 2 and "VRFT-Aug minus SFT with knowledge" in text
    demo.run_demo(output)
    assert "6 of 6 runs are done and kept" in capsys.readouterr().out
