"""Loading a policy, what it sees, what it writes, and TRL's settings for it."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from PIL import Image

from helpers.shades import GRPO, SFT, SHADE_TASK, SPOT_TASK, read
from vrft_aug.errors import UserError
from vrft_aug.nouns import Prompt
from vrft_aug.perception.spaces import BoxSpace
from vrft_aug.policy.adapters import lora_config
from vrft_aug.policy.generate import generate
from vrft_aug.policy.hardware import choose_device
from vrft_aug.policy.load import Policy, load_policy
from vrft_aug.recipe.model_config import ModelConfig
from vrft_aug.recipe.stage_config import StageConfig
from vrft_aug.recipe.task_config import Injection, TaskConfig
from vrft_aug.tasks.frames import case_frame
from vrft_aug.tasks.task import make_task
from vrft_aug.tasks.taskset import word_prompts
from vrft_aug.training.settings import generation_round, grpo_settings, sft_settings

SHADE = make_task("shade", TaskConfig.model_validate(SHADE_TASK))
SPOT = make_task("spot", TaskConfig.model_validate(SPOT_TASK))


@pytest.fixture(scope="module")
def policy(random_policy: Path) -> Policy:
    return load_policy(ModelConfig(name=str(random_policy), device="cpu"))


@pytest.fixture(scope="module")
def prompts(policy: Policy) -> tuple[Prompt, ...]:
    return word_prompts(SHADE, read(Path(), "train", SHADE, count=5), policy.space, Injection(), None)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("/no/such/folder", "model folder /no/such/folder does not exist"),
        ("./models/mine", r"model folder \./models/mine does not exist"),
    ],
)
def test_a_model_that_is_not_there_is_one_line(name: str, message: str) -> None:
    with pytest.raises(UserError, match=message) as caught:
        load_policy(ModelConfig(name=name))
    assert "\n" not in str(caught.value)


def test_the_device_is_the_best_there_is(monkeypatch: pytest.MonkeyPatch) -> None:
    there = {"cuda": False, "mps": False}
    monkeypatch.setattr(torch.cuda, "is_available", lambda: there["cuda"])
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: there["mps"])
    assert choose_device(ModelConfig(device="auto")) == "cpu"
    with pytest.raises(UserError, match=r"model\.device is mps, .* set model\.device to auto or cpu$"):
        choose_device(ModelConfig(device="mps"))
    there["mps"] = True
    assert choose_device(ModelConfig(device="auto")) == choose_device(ModelConfig(device="mps")) == "mps"
    there["cuda"] = True
    assert choose_device(ModelConfig(device="auto")) == "cuda"
    assert choose_device(ModelConfig(device="cpu")) == "cpu"


def test_a_name_that_the_hub_does_not_have_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(UserError, match="'nobody/nothing' cannot be loaded") as caught:
        load_policy(ModelConfig(name="nobody/nothing"))
    assert "\n" not in str(caught.value)


def test_weights_must_be_whole_and_safe(random_policy: Path, tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    weights = load_file(random_policy / "model.safetensors")
    shutil.copytree(random_policy, tmp_path / "part")
    kept = {name: weights[name] for name in sorted(weights)[:-3]}
    save_file(kept, tmp_path / "part" / "model.safetensors", {"format": "pt"})
    with pytest.raises(UserError, match="lacks 3 weights"):
        load_policy(ModelConfig(name=str(tmp_path / "part")))

    shutil.copytree(random_policy, tmp_path / "pickled")
    (tmp_path / "pickled" / "model.safetensors").unlink()
    torch.save(weights, tmp_path / "pickled" / "pytorch_model.bin")
    with pytest.raises(UserError, match="safetensors"):
        load_policy(ModelConfig(name=str(tmp_path / "pickled")))


def test_what_the_recipe_owns_is_refused_under_load(random_policy: Path) -> None:
    with pytest.raises(UserError, match=r"trust_remote_code is set by model\.trust_remote_code"):
        load_policy(ModelConfig(name=str(random_policy), load={"trust_remote_code": True}))


def test_lora_settings_are_checked() -> None:
    assert lora_config(ModelConfig()) is None
    made = lora_config(ModelConfig(lora={"r": 3}))
    assert made is not None and made.r == 3
    with pytest.raises(UserError, match="no setting 'lora_alfa'; did you mean 'lora_alpha'"):
        lora_config(ModelConfig(lora={"lora_alfa": 3}))


@pytest.mark.parametrize("size", [(112, 112), (640, 480), (50, 300), (28, 28)])
def test_the_processed_size_is_what_the_model_sees(policy: Policy, size: tuple[int, int]) -> None:
    width, height = policy.frame(size).processed
    patches = policy.processor.image_processor(images=[Image.new("RGB", size)], return_tensors="pt")
    assert width % 16 == height % 16 == 0
    assert (width // 8) * (height // 8) == len(patches["pixel_values"])
    assert (width > height) == (size[0] > size[1])


def test_the_recipe_bounds_the_pixels(random_policy: Path) -> None:
    small = load_policy(ModelConfig(name=str(random_policy), min_pixels=64 * 64, max_pixels=64 * 64))
    assert small.frame((300, 300)).processed == (64, 64)


def test_a_frame_is_made_for_boxes_alone(policy: Policy) -> None:
    case = read(Path(), "train", SPOT)[0]
    frame = case_frame(SPOT, case, policy.frame)
    assert frame is not None and frame.original == (120, 120) and frame.processed == (112, 112)
    assert case_frame(SHADE, case, policy.frame) is None


def test_greedy_generation_does_not_depend_on_the_batch(policy: Policy, prompts: tuple[Prompt, ...]) -> None:
    settings: dict[str, Any] = {"samples": 1, "temperature": None, "max_new_tokens": 8, "seed": 0}
    together = generate(policy, prompts, batch_size=5, **settings)
    alone = generate(policy, prompts, batch_size=1, **settings)
    assert together == alone and len(together) == 5
    for (rollout,) in together:
        assert rollout.finished or rollout.tokens == 8


def test_sampling_is_seeded_and_leaves_the_random_state(policy: Policy, prompts: tuple[Prompt, ...]) -> None:
    settings: dict[str, Any] = {"samples": 3, "temperature": 1.0, "max_new_tokens": 6, "batch_size": 6}
    state = torch.random.get_rng_state()
    first = generate(policy, prompts, seed=1, **settings)
    assert torch.equal(torch.random.get_rng_state(), state)
    assert (
        first
        == generate(policy, prompts, seed=1, **settings)
        != generate(policy, prompts, seed=2, **settings)
    )
    assert [len(rollouts) for rollouts in first] == [3] * 5
    assert len({rollout.completion for rollout in first[0]}) > 1
    assert not policy.model.training


def test_a_completion_ends_with_its_end_token(policy: Policy, prompts: tuple[Prompt, ...]) -> None:
    settings: dict[str, Any] = {
        "samples": 8,
        "temperature": 1.0,
        "max_new_tokens": 64,
        "batch_size": 16,
        "seed": 3,
    }
    rollouts = [rollout for group in generate(policy, prompts, **settings) for rollout in group]
    ended = [rollout for rollout in rollouts if rollout.finished]
    assert ended and all(rollout.tokens is not None and rollout.tokens <= 64 for rollout in ended)
    assert all("<|" not in rollout.completion for rollout in rollouts)


def stage(base: dict[str, Any], **trainer: object) -> StageConfig:
    return StageConfig.model_validate({**base, "trainer": trainer})


def test_a_step_is_prompts_times_generations(policy: Policy, tmp_path: Path) -> None:
    settings = grpo_settings(stage(GRPO), policy, tmp_path, seed=1)
    assert settings.per_device_train_batch_size == 8 and settings.gradient_accumulation_steps == 1
    assert settings.generation_batch_size == 8 and settings.report_to == [] and not settings.bf16
    assert generation_round(stage(GRPO), settings) == (1, 2, 3)
    split = grpo_settings(stage(GRPO, gradient_accumulation_steps=4), policy, tmp_path, seed=1)
    assert split.per_device_train_batch_size == 2 and split.generation_batch_size == 8
    assert sft_settings(stage(SFT), policy, tmp_path, seed=1).per_device_train_batch_size == 4


def test_checkpoints_do_not_fall_into_a_generation_round(policy: Policy, tmp_path: Path) -> None:
    twice = StageConfig.model_validate(
        {**GRPO, "steps": 6, "save_steps": 3, "trainer": {"num_iterations": 2}}
    )
    settings = grpo_settings(twice, policy, tmp_path, seed=1)
    assert settings.save_steps == 4 and generation_round(twice, settings) == (2, 2, 3)
    with pytest.raises(UserError, match="3 steps of 1 micro-batches are no whole number"):
        grpo_settings(stage(GRPO, num_iterations=2), policy, tmp_path, seed=1)


@pytest.mark.parametrize(
    ("trainer", "message"),
    [
        ({"learning_rat": 1.0}, "trl.GRPOConfig has no setting 'learning_rat'; did you mean 'learning_rate'"),
        ({"learning_rate": "fast"}, "trainer.learning_rate is 'fast'; expected a number"),
        ({"logging_steps": 5}, "trainer.logging_steps is set by nothing"),
        ({"gradient_accumulation_steps": 3}, r"expected a divisor of prompts_per_step x generations \(8\)"),
        ({"lr_scheduler_type": "wavy"}, "wavy"),
        ({"epsilon_high": 0.3, "generation_batch_size": 7}, "generation_batch_size"),
    ],
)
def test_settings_that_cannot_be_are_one_line(
    policy: Policy, tmp_path: Path, trainer: dict[str, Any], message: str
) -> None:
    with pytest.raises(UserError, match=message) as caught:
        grpo_settings(stage(GRPO, **trainer), policy, tmp_path, seed=1)
    assert str(caught.value).startswith("stages.rewards") and "\n" not in str(caught.value)


def test_the_recipe_may_choose_the_coordinates(random_policy: Path) -> None:
    config = ModelConfig(name=str(random_policy), device="cpu", coordinates="unit")
    assert load_policy(config).space.name == "unit"


def test_processed_pixels_need_a_family_that_tells_them(policy: Policy) -> None:
    silent = SimpleNamespace(image_processor=lambda images, return_tensors: {})
    other = replace(policy, processor=silent, sizes={})
    with pytest.raises(UserError, match=r"set model\.coordinates to thousandths, unit or original"):
        other.frame((30, 20))
    speaks_shares = replace(other, space=BoxSpace("unit"), sizes={})
    assert speaks_shares.frame((30, 20)).processed == (30, 20)
