"""Noisy rollouts: what is distorted, who sees it, what is trained, and a run that is resumed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from pydantic import ValidationError
from rich.console import Console

from helpers.run_checks import interrupt, lines, same_run
from helpers.shades import GRPO, shade_recipe
from vrft_aug.experiments.run import train
from vrft_aug.policy.load import load_policy
from vrft_aug.recipe.perception_config import NoisyRollouts
from vrft_aug.recipe.stage_config import StageConfig
from vrft_aug.tasks.taskset import load_taskset
from vrft_aug.training.augmentations.distortions import WAYS, borne, borne_by_all, distorted
from vrft_aug.training.augmentations.noisy_rollouts import NoisySampler
from vrft_aug.training.grpo import build_grpo
from vrft_aug.training.job import StageJob

ON: dict[str, Any] = {**GRPO, "steps": 4, "noisy_rollouts": {"share": 0.5, "strength": 1.0, "until": 0.75}}
MIXED: dict[str, Any] = {
    **ON, "prompts_per_step": 4, "trainer": {"learning_rate": 0.01, "gradient_accumulation_steps": 2},
    "mix": {"spot": {"share": 0.25, "rewards": {"format": 1.0, "helpers.shades:spread": 1.0}}},
    "dynamic_sampling": {"mode": "resample", "budget": 2},
}  # fmt: skip


def picture(seed: int = 0) -> Image.Image:
    pixels = np.random.default_rng(seed).integers(40, 200, (60, 80, 3), dtype=np.uint8)
    return Image.fromarray(pixels)


@pytest.mark.parametrize("way", WAYS)
def test_a_distortion_changes_pixels_and_nothing_else(way: Any) -> None:
    image, before = picture(), picture().tobytes()
    whole = distorted(image, [way], 1.0, "key")
    assert image.tobytes() == before and (whole.size, whole.mode) == (image.size, "RGB")
    one, two = (np.asarray(each, dtype=float) for each in (image, whole))
    assert 2 < np.abs(one - two).mean() < 90
    weak = np.asarray(distorted(image, [way], 0.1, "key"), dtype=float)
    assert np.abs(one - weak).mean() < np.abs(one - two).mean()
    assert distorted(image, [way], 1.0, "key").tobytes() == whole.tobytes()
    # What was bright where stays bright there: nothing is moved or mirrored.
    gradient = Image.fromarray(np.linspace(0, 255, 60 * 80, dtype=np.uint8).reshape(60, 80)).convert("RGB")
    changed = np.asarray(distorted(gradient, [way], 1.0, "key"), dtype=float).mean(axis=2)
    assert np.corrcoef(changed.flatten(), np.asarray(gradient, dtype=float)[..., 0].flatten())[0, 1] > 0.8


def test_what_a_modality_bears() -> None:
    assert borne("fundus photograph") == borne("medical image") == ("noise", "blur", "brightness", "contrast")
    for measured in (
        "chest CT",
        "X-ray",
        "chest radiograph",
        "T2 MR image",
        "breast ultrasound",
        "Mammography",
    ):
        assert borne(measured) == ("noise", "blur"), measured
    assert borne("electron microscopy") == borne("fundus photograph")  # no CT in it
    assert borne_by_all(["fundus photograph", "CT"]) == ("noise", "blur")


def test_the_key_draws_which_one() -> None:
    found = {distorted(picture(), tuple(WAYS), 1.0, f"key {n}").tobytes() for n in range(20)}
    assert len(found) > 4


def test_the_strength_falls_to_none() -> None:
    sampler = NoisySampler(NoisyRollouts(share=0.5, strength=0.8, until=0.5), ("noise",), 2, 20, 1)
    assert [sampler.strength(step) for step in (0, 5, 10, 15)] == pytest.approx([0.8, 0.4, 0, 0])


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"noisy_rollouts": {"share": 0.1}}, "is 0 completions; expected at least one"),
        (
            {"noisy_rollouts": {"share": 0.95}},
            "is 4 completions; expected at least one, and one that is left",
        ),
        (
            {"noisy_rollouts": {"share": 0.5, "distortions": ["flip"]}},
            "'noise', 'blur', 'brightness' or 'contrast'",
        ),
        ({"noisy_rollouts": {"share": 0.5, "strength": 2}}, "less than or equal to 1"),
        ({"method": "sft", "noisy_rollouts": {"share": 0.5}}, "noisy_rollouts is what grpo alone can"),
    ],
)
def test_wrong_settings_are_refused(changed: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        StageConfig.model_validate({**GRPO, **changed})


@pytest.mark.parametrize("sharing", [True, False])
def test_the_last_members_see_another_picture_and_are_trained_on_the_true_one(
    random_policy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sharing: bool
) -> None:
    recipe = shade_recipe(random_policy, {**ON, "steps": 1, "prefix_sharing": sharing})
    policy = load_policy(recipe.model, training=True)
    (stage,) = recipe.stages
    taskset = load_taskset(recipe, "shade", "train", stage.injection, policy.space)
    job = StageJob(stage, recipe.model, (taskset,), tmp_path, tmp_path, 3, Console(quiet=True))
    trainer = build_grpo(policy, job).trainer
    model, drawn = trainer.model, []

    def generate(stock: Any = model.generate, **inputs: Any) -> Any:
        drawn.append(inputs)
        return stock(**inputs)

    monkeypatch.setattr(model, "generate", generate, raising=False)
    trained: list[torch.Tensor] = []
    model.model.visual.register_forward_hook(
        lambda _, args, kwargs, __: trained.append(
            (kwargs.get("hidden_states", args[0] if args else None)).detach()
        ),
        with_kwargs=True,
    )
    trainer.train()
    (inputs,) = drawn
    each = 64 * len(inputs["pixel_values"]) // len(inputs["image_grid_thw"]) // 64
    pictures = inputs["pixel_values"].view(-1, each, inputs["pixel_values"].shape[-1])
    whole = trained[-1].view(-1, each, trained[-1].shape[-1])  # of the loss's pass
    if sharing:  # each picture once, true and distorted, of two prompts
        assert len(pictures) == 4 and len(whole) == 2
        true, other = pictures[::2], pictures[1::2]
        assert sorted(inputs["group"].bincount().tolist()) == [2, 2, 2, 2]
    else:
        assert len(pictures) == len(whole) == 8
        members = pictures.view(2, 4, *pictures.shape[1:])
        assert torch.equal(members[:, 0], members[:, 1]) and torch.equal(members[:, 2], members[:, 3])
        true, other = members[:, 0], members[:, 2]
    assert all(not torch.equal(one, two) for one, two in zip(true, other, strict=True))
    for one in whole:
        assert any(torch.equal(one, each_) for each_ in true)
    # What the sampler tells of its own probabilities is compared under the true picture alone.
    told = trainer._buffered_inputs[0]["sampling_per_token_logps"].isnan()[:, 0]
    assert told.sum() == 4


@pytest.fixture(scope="module")
def whole(random_policy: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = tmp_path_factory.mktemp("noisy") / "whole"
    train(shade_recipe(random_policy, MIXED), run)
    return run


def test_a_run_tells_its_strength(whole: Path) -> None:
    steps = lines(whole / "metrics.jsonl")
    strengths = [line["noisy_rollouts/strength"] for line in steps]
    assert strengths == pytest.approx([1, 2 / 3, 1 / 3, 0], abs=1e-6)


@pytest.mark.slow
def test_a_run_resumes_exactly(
    whole: Path, random_policy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = shade_recipe(random_policy, MIXED)
    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        interrupt(patched, "rewards", 3)
        train(recipe, tmp_path / "run")
    train(recipe, tmp_path / "run", resume=True)
    same_run(whole, tmp_path / "run")
