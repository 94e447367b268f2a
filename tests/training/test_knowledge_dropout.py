"""Prompts that go without knowledge: who is drawn, what is trained and told, and a run that is resumed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError
from rich.console import Console

from helpers.run_checks import interrupt, lines, same_run
from helpers.shades import GRPO, SFT, SHADE_TASK, SPOT_TASK, shade_recipe
from vrft_aug.evaluation.report_data import load_report
from vrft_aug.experiments.run import train
from vrft_aug.perception.spaces import BoxSpace
from vrft_aug.policy.load import load_policy
from vrft_aug.recipe.schema import Recipe
from vrft_aug.recipe.task_config import Injection
from vrft_aug.run.layout import BASE_EVALUATION, EVALUATION
from vrft_aug.tasks.taskset import load_taskset
from vrft_aug.training.job import StageJob
from vrft_aug.training.mixture import Mixture
from vrft_aug.training.order import case_order, with_dropout
from vrft_aug.training.sft import build_sft

BANK = (
    "name: shades\ntitle: Shades\nauthor: a\nreviewed: false\nsources: [x]\n"
    "classes: {dark: {definition: Black all over.}, bright: {definition: White all over.}}\n"
)
HALF = {"style": "definitions", "dropout": 0.5}
STAGE: dict[str, Any] = {
    **GRPO, "steps": 4, "injection": HALF, "rewards": {**GRPO["rewards"], "recitation": {"weight": 0.1}},
    "mix": {"spot": {"share": 0.25, "rewards": {"format": 1.0, "helpers.shades:spread": 1.0}}},
    "prompts_per_step": 4, "dynamic_sampling": {"mode": "resample", "budget": 2},
}  # fmt: skip


def recipe(model: Path, folder: Path, *stages: dict[str, Any], **evaluation: Any) -> Recipe:
    bank = folder / "shades.yaml"
    bank.write_text(BANK)
    tasks = {"shade": SHADE_TASK | {"knowledge": str(bank)}, "spot": SPOT_TASK}
    return shade_recipe(model, *stages, tasks=tasks, evaluation=evaluation)


def test_the_share_is_drawn_anew_for_every_pass_and_by_nothing_else() -> None:
    order = case_order(50, 5000, 3)
    drawn = with_dropout(order, lambda row: 0.3 if row % 2 else 0.0, 50, 7)
    assert [row % 50 for row in drawn] == order
    assert all(row < 50 for row in drawn if row % 2 == 0)
    dropped = sum(row >= 50 for row in drawn) / 2500
    assert dropped == pytest.approx(0.3, abs=0.03)
    assert with_dropout(order[:900], lambda row: 0.3 if row % 2 else 0.0, 50, 7) == drawn[:900]
    passes = [
        tuple(row >= 50 for row in drawn if row % 50 == 1),
        tuple(row >= 50 for row in drawn if row % 50 == 3),
    ]
    assert len(set(passes)) == 2 and all(len(set(one)) == 2 for one in passes)
    assert with_dropout(order, lambda _: 0.0, 50, 7) == order


def test_rows_without_knowledge_are_the_same_cases(random_policy: Path, tmp_path: Path) -> None:
    found = recipe(random_policy, tmp_path, STAGE)
    parts = tuple(
        load_taskset(found, part.task, "train", part.injection, BoxSpace("processed"))
        for part in found.stages[0].parts()
    )
    assert parts[0].untold and not parts[1].untold
    mixture = Mixture(parts)
    for row in (0, 3, 9):
        blind = row + 20
        assert (mixture.told(row), mixture.told(blind)) == (True, False)
        assert mixture.place(blind) == mixture.place(row) and mixture.case(blind) == mixture.case(row)
        assert "Black all over." in mixture.prompt(row).knowledge and not mixture.prompt(blind).knowledge
        assert "Black" not in str(mixture.prompt(blind).messages)
        assert mixture.prompt(blind).images == mixture.prompt(row).images
    assert (mixture.like(0, 5), mixture.like(20, 5), mixture.like(20, 25)) == (5, 25, 25)


@pytest.mark.parametrize(
    ("injection", "message"),
    [
        ({"dropout": 0.5}, "style none injects none"),
        ({"style": "definitions", "dropout": 1}, "less than 1"),
        ({"style": "definitions", "dropout": -0.1}, "greater than or equal to 0"),
    ],
)
def test_wrong_shares_are_refused(injection: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        Injection.model_validate(injection)


@pytest.mark.parametrize(
    ("evaluation", "message"),
    [
        ({"injection": HALF}, "is what stages alone have"),
        ({"untold": True}, "injects none"),
    ],
)
def test_an_evaluation_tells_all_or_nothing(
    random_policy: Path, tmp_path: Path, evaluation: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValidationError, match=message):
        recipe(random_policy, tmp_path, **evaluation)


@pytest.fixture(scope="module")
def whole(random_policy: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dropout")
    judged = {"injection": {"style": "definitions"}, "untold": True}
    train(recipe(random_policy, folder, STAGE, **judged), folder / "run")
    return folder / "run"


def test_whole_groups_go_without_and_the_run_says_which(whole: Path) -> None:
    rollouts = lines(whole / "rollouts.jsonl")
    groups = [rollouts[at : at + 4] for at in range(0, len(rollouts), 4)]
    assert all(len({(one["case"], one.get("told", True)) for one in group}) == 1 for group in groups)
    shade = [group[0] for group in groups if group[0]["task"] == "shade"]
    untold = [one for one in shade if not one.get("told", True)]
    assert 0 < len(untold) < len(shade)
    for one in shade:  # there is nothing to recite where nothing was told
        assert (one["terms"]["recitation"] is None) == (not one.get("told", True))
    names = {
        name for line in lines(whole / "metrics.jsonl") for name in line if name.startswith("knowledge/")
    }
    assert names == {"knowledge/right_told", "knowledge/right_untold"}


def test_what_was_absorbed_is_measured_before_and_after(whole: Path) -> None:
    for name in (EVALUATION, BASE_EVALUATION):
        metrics = load_report(whole / name).metrics
        told, untold, gain = (
            metrics[key].value for key in ("accuracy", "untold_accuracy", "gain_by_knowledge")
        )
        assert told is not None and untold is not None
        assert gain == pytest.approx(told - untold)
        assert metrics["gain_by_knowledge"].n == 4


def test_sft_goes_without_too(random_policy: Path, tmp_path: Path) -> None:
    found = recipe(random_policy, tmp_path, {**SFT, "injection": HALF})
    policy = load_policy(found.model, training=True)
    taskset = load_taskset(found, "shade", "train", found.stages[0].injection, policy.space)
    job = StageJob(found.stages[0], found.model, (taskset,), tmp_path, tmp_path, 3, Console(quiet=True))
    data = build_sft(policy, job).trainer.train_dataset
    asked = [str(row["prompt"]) for row in data]
    told = ["Black all over." in text for text in asked]
    assert True in told and False in told and len(told) == 12
    answers = [row["completion"][0]["content"][0]["text"] for row in data]
    cases = [taskset.cases[row % 10].target.label for row in data.order]
    assert all(str(label) in answer for label, answer in zip(cases, answers, strict=True))


@pytest.mark.slow
def test_a_run_resumes_exactly(
    whole: Path, random_policy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = recipe(random_policy, whole.parent, STAGE, injection={"style": "definitions"}, untold=True)
    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        interrupt(patched, "rewards", 3)
        train(found, tmp_path / "run")
    train(found, tmp_path / "run", resume=True)
    same_run(whole, tmp_path / "run")
