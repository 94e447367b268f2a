"""Training in bfloat16 changes the weights as float32 does; what would lose the changes is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig, get_peft_model
from rich.console import Console

from helpers.shades import GRPO, SFT, shade_recipe
from vrft_aug.errors import UserError
from vrft_aug.policy.load import load_policy
from vrft_aug.policy.precision import check_precision
from vrft_aug.recipe.model_config import ModelConfig
from vrft_aug.recipe.stage_config import StageConfig
from vrft_aug.tasks.taskset import load_taskset
from vrft_aug.training.grpo import build_grpo
from vrft_aug.training.job import StageJob, run_trainer
from vrft_aug.training.preflight import check_run
from vrft_aug.training.sft import build_sft

Weights = dict[str, torch.Tensor]
STEPS = {
    **SFT, "steps": 2, "prompts_per_step": 8,
    "trainer": {"learning_rate": 1e-6, "lr_scheduler_type": "constant"},
}  # fmt: skip


@pytest.fixture(scope="module")
def start(random_policy: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model whose weights are bfloat16 numbers, as those on the hub are, with an adapter beside it."""
    folder = tmp_path_factory.mktemp("precision")
    policy = load_policy(ModelConfig(name=str(random_policy), device="cpu"))
    model = policy.model.to(torch.bfloat16).float()
    model.save_pretrained(folder)
    policy.processor.save_pretrained(folder)
    adapted = get_peft_model(model, LoraConfig(r=8, target_modules="all-linear", init_lora_weights=True))
    generator = torch.Generator().manual_seed(0)
    for name, weight in adapted.named_parameters():
        if "lora_B" in name:
            weight.data = torch.randn(weight.shape, generator=generator) * 0.02
    adapted.save_pretrained(folder / "adapter")
    return folder


def update(start: Path, folder: Path, trained: torch.dtype | None = None, **model: Any) -> Weights:
    """What two optimiser steps add to each weight; `trained` puts the weights into another type first."""
    recipe = shade_recipe(start, STEPS, model={"name": str(start), **model})
    policy, stage = load_policy(recipe.model, training=True), recipe.stages[0]
    if trained is not None:
        policy.model.to(trained)
    before = weights(policy.model)
    taskset = load_taskset(recipe, stage.task, "train", stage.injection, policy.space)
    console = Console(quiet=True)
    job = StageJob(stage, recipe.model, (taskset,), folder, folder / "checkpoints", 1, console)
    after = weights(run_trainer(build_sft(policy, job), None))
    return {name: after[name] - before[name] for name in before}


def weights(model: Any) -> Weights:
    return {n: w.detach().double().clone() for n, w in model.named_parameters() if w.requires_grad}


def cosine_and_moved(exact: Weights, other: Weights) -> tuple[float, float]:
    """Between the updates; the share of the weights that float32 moves that move here."""
    one, two = (torch.cat([w[name].flatten() for name in exact]) for w in (exact, other))
    cosine = torch.nn.functional.cosine_similarity(one, two, dim=0)
    return float(cosine), float((two[one != 0] != 0).double().mean())


def test_full_fine_tuning_in_bfloat16_moves_weights_as_float32_does(start: Path, tmp_path: Path) -> None:
    exact = update(start, tmp_path / "a")
    cosine, moved = cosine_and_moved(exact, update(start, tmp_path / "b", dtype="bfloat16"))
    assert cosine > 0.99 and moved > 0.999
    # What is refused: bfloat16 weights. The test can fail.
    cosine, moved = cosine_and_moved(
        exact, update(start, tmp_path / "c", dtype="bfloat16", trained=torch.bfloat16)
    )
    assert cosine < 0.5 and moved < 0.1


def test_an_adapter_over_a_bfloat16_base_moves_as_over_float32(start: Path, tmp_path: Path) -> None:
    adapter: dict[str, Any] = {"adapter": str(start / "adapter")}
    exact = update(start, tmp_path / "a", **adapter)
    assert all("lora" in name for name in exact)
    cosine, moved = cosine_and_moved(exact, update(start, tmp_path / "b", dtype="bfloat16", **adapter))
    assert cosine > 0.99 and moved > 0.999


def test_where_the_weights_lie(start: Path) -> None:
    def dtypes(training: bool, **settings: Any) -> set[torch.dtype]:
        config = ModelConfig(name=str(start), device="cpu", **settings)
        return {w.dtype for w in load_policy(config, training).model.parameters()}

    half, adapter = {"dtype": "bfloat16"}, {"adapter": str(start / "adapter")}
    assert dtypes(True, **half) == {torch.float32}
    assert dtypes(False, **half) == {torch.bfloat16}
    assert dtypes(True, **half, **adapter) == {torch.bfloat16, torch.float32}
    assert dtypes(True, **half, lora={"r": 4}) == {torch.bfloat16}  # the adapter comes with the trainer
    assert dtypes(False, dtype="float16") == {torch.float16}


def test_float16_is_for_inference_alone(random_policy: Path) -> None:
    with pytest.raises(UserError, match=r"model\.dtype is float16") as caught:
        load_policy(ModelConfig(name=str(random_policy), dtype="float16"), training=True)
    assert "\n" not in str(caught.value) and "bfloat16 or float32" in str(caught.value)


@pytest.mark.parametrize(
    ("model", "trainer", "message"),
    [
        (
            {"dtype": "bfloat16"},
            {"bf16": False},
            "remove trainer.bf16 .* model.lora .* model.dtype to float32",
        ),
        ({"dtype": "float32"}, {"fp16": True}, "trainer.fp16 trains in float16"),
    ],
)
def test_settings_that_lose_the_updates_are_refused(
    random_policy: Path, model: dict[str, Any], trainer: dict[str, Any], message: str
) -> None:
    recipe = shade_recipe(random_policy, {**GRPO, "trainer": trainer}, model=model)
    with pytest.raises(UserError, match=message) as caught:
        check_run(recipe, load_policy(recipe.model, training=True))
    assert len(str(caught.value)) < 500 and "\n" not in str(caught.value)
    allowed = StageConfig.model_validate({**GRPO, "trainer": {"bf16": False}})
    check_precision(allowed, ModelConfig(dtype="bfloat16", lora={"r": 4}))


def test_the_reference_of_the_kl_term_is_loaded_as_the_policy_is(random_policy: Path, tmp_path: Path) -> None:
    stage = {**GRPO, "trainer": {"beta": 0.1}}
    model = {"dtype": "bfloat16", "load": {"attn_implementation": "eager"}}
    recipe = shade_recipe(random_policy, stage, model=model)
    policy = load_policy(recipe.model, training=True)
    part = recipe.stages[0]
    taskset = load_taskset(recipe, part.task, "train", part.injection, policy.space)
    job = StageJob(part, recipe.model, (taskset,), tmp_path, tmp_path, 1, Console(quiet=True))
    trainer = build_grpo(policy, job).trainer
    reference, own = trainer.ref_model, trainer.model
    assert reference is not own and reference.dtype == own.dtype == torch.float32
    assert reference.config._attn_implementation == "eager" and not reference.training
    for one, other in zip(reference.parameters(), own.parameters(), strict=True):
        assert torch.equal(one, other) and one.data_ptr() != other.data_ptr()
