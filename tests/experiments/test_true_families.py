"""Every family behind the processor that it ships with: trained, judged, resumed, asked about boxes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from rich.console import Console

from helpers import family_works, true_families
from helpers.run_checks import lines
from vrft_aug.policy.chat import chat_with_images, encode_chats
from vrft_aug.policy.load import load_policy
from vrft_aug.policy.prefix import why_not_model
from vrft_aug.tasks.task import make_task
from vrft_aug.tasks.taskset import load_taskset, word_prompts
from vrft_aug.training.grpo import build_grpo
from vrft_aug.training.job import StageJob, run_trainer

FAMILIES = pytest.mark.parametrize("family", true_families.FAMILIES)
Folder = Callable[[str], Path]


@pytest.fixture(scope="module")
def model_of(tmp_path_factory: pytest.TempPathFactory) -> Folder:
    """The folder of a family's model, made when it is first asked for."""
    made: dict[str, Path] = {}

    def folder(family: str) -> Path:
        if (reason := true_families.why_absent(family)) is not None:
            pytest.skip(reason)
        if family not in made:
            made[family] = true_families.save_family(family, tmp_path_factory.mktemp("family") / family)
        return made[family]

    return folder


@FAMILIES
def test_a_step_on_two_pictures_a_case(family: str, model_of: Folder, tmp_path: Path) -> None:
    model = model_of(family)
    recipe = family_works.recipe_of(model, "float32", {**family_works.BOXES, "steps": 1})
    policy = load_policy(recipe.model, training=True)
    assert why_not_model(policy.model) is None
    task = make_task("spot", recipe.tasks["spot"])
    family_works.boxes_there_and_back(policy, task)
    cases = family_works.read(Path(), "train", task, 2)
    injection = recipe.evaluation.injection
    (one, two) = (
        encode_chats(policy, [chat_with_images(prompt)])["input_ids"][0].tolist()
        for prompt in word_prompts(task, cases, policy.space, injection, None)
    )
    image = policy.model.config.image_token_id
    assert one.count(image) == two.count(image) > 0
    text = policy.processor.tokenizer.decode(one)
    assert text.index("You read medical images") < text.index("Where is the spot?")
    stage = recipe.stages[0]
    taskset = load_taskset(recipe, stage.task, "train", stage.injection, policy.space)
    console = Console(quiet=True)
    job = StageJob(stage, recipe.model, (taskset,), tmp_path, tmp_path / "boxes", 1, console)
    run_trainer(build_grpo(policy, job), None)
    (step,) = lines(tmp_path / "metrics.jsonl")
    assert step["grad_norm"] > 0 and len(lines(tmp_path / "rollouts.jsonl")) == 8


@pytest.mark.slow
@FAMILIES
@pytest.mark.parametrize("dtype", family_works.DTYPES)
@pytest.mark.parametrize("work", family_works.WORKS)
def test_every_work(family: str, work: str, dtype: str, model_of: Folder, tmp_path: Path) -> None:
    assert family_works.WORKS[work](model_of(family), dtype, tmp_path)


def test_absent_processors_are_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(true_families, "MODELS", tmp_path)
    assert "VRFT_TEST_MODELS" in (true_families.why_absent("qwen3-vl") or "")
    assert true_families.why_absent("gemma3") is None
