"""Prefix sharing equals stock TRL: log-probabilities, gradients, completions and whole training runs."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from datasets import Dataset
from peft import LoraConfig
from PIL import Image
from transformers import AutoProcessor, GenerationConfig, Qwen2_5_VLForConditionalGeneration
from trl import GRPOConfig, GRPOTrainer

from helpers.random_policy import save_random_policy
from vrft_aug.policy.prefix import decode_groups
from vrft_aug.policy.prefix.family import Family
from vrft_aug.policy.prefix.grouping import group_rows, join_rows, same_inputs, split_rows
from vrft_aug.training import prefix_sharing as sharing
from vrft_aug.training.pictures.prompt_processing import OncePerPrompt
from vrft_aug.training.prefix_sharing import enable_prefix_sharing

C = 10  # completion tokens
WEIGHT_SCALE = 8


@pytest.fixture(scope="module")
def policy_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random policy with large weights: its outputs depend on every token, picture and position."""
    folder = save_random_policy(tmp_path_factory.mktemp("policy"))
    model = Qwen2_5_VLForConditionalGeneration.from_pretrained(folder)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(WEIGHT_SCALE if parameter.dim() > 1 else 1)
    model.save_pretrained(folder)
    return folder


@pytest.fixture
def processor(policy_folder: Path) -> Any:
    loaded = AutoProcessor.from_pretrained(policy_folder)
    # Let images keep about their own size, so that grids differ and the vision tower sees several windows.
    loaded.image_processor.size = {"shortest_edge": 32 * 32, "longest_edge": 160 * 160}
    return loaded


def picture(seed: int, *size: int) -> Image.Image:
    rng = np.random.default_rng(seed)
    height, width = size or rng.integers(48, 140, size=2)
    return Image.fromarray(rng.integers(0, 255, (height, width, 3), dtype=np.uint8))


def prompts() -> list[dict[str, Any]]:
    """Mixed lengths; none, one and two images; the first and the last differ in the picture alone."""
    words = (1, 6, 3, 9, 1)
    pictures = [[picture(0, 64, 96)], [picture(1), picture(2)], [picture(3)], [], [picture(4, 64, 96)]]
    return [
        {"prompt": [{"role": "user", "content": "none mild severe " * count}], "images": images}
        for count, images in zip(words, pictures, strict=True)
    ]


def make_trainer(folder: Path, processor: Any, output: Path, **settings: Any) -> GRPOTrainer:
    peft_config = settings.pop("peft_config", None)
    settings.setdefault("max_steps", 3)
    config = GRPOConfig(
        output_dir=str(output), per_device_train_batch_size=4, num_generations=4, max_completion_length=C,
        learning_rate=1e-3, bf16=False, use_cpu=True, gradient_checkpointing=False, report_to=[],
        save_strategy="no", logging_steps=1, disable_tqdm=True, **settings,
    )  # fmt: skip

    def reward(completion_ids: list[list[int]], **_: Any) -> list[float]:
        return [float(sum(ids) % 7) for ids in completion_ids]

    return GRPOTrainer(
        Qwen2_5_VLForConditionalGeneration.from_pretrained(folder),
        reward,
        config,
        train_dataset=Dataset.from_list([row for row in prompts() if row["images"]]),  # TRL needs one in each
        processing_class=processor,
        peft_config=peft_config,
    )


def model_inputs(processor: Any, copies: int, prompts: list[dict[str, Any]]) -> dict[str, Any]:
    chosen = [prompt for prompt in prompts for _ in range(copies)]
    conversations = [
        [
            {
                "role": "user",
                "content": [{"type": "image", "image": image} for image in row["images"]]
                + [{"type": "text", "text": row["prompt"][0]["content"]}],
            }
        ]
        for row in chosen
    ]
    return dict(
        processor.apply_chat_template(
            conversations,
            add_generation_prompt=True,
            tokenize=True,
            return_dict=True,
            processor_kwargs={"padding": True, "return_tensors": "pt"},
        )
    )


def scored_batch(processor: Any, copies: int, shuffle: bool) -> dict[str, Any]:
    """What TRL hands to `_get_per_token_logps_and_entropies`, with random completions of mixed length."""
    generator = torch.Generator().manual_seed(copies)
    inputs = model_inputs(processor, copies, prompts())
    count = len(inputs["input_ids"])
    num_images = [len(row["images"]) for row in prompts() for _ in range(copies)]
    rows = split_rows(inputs, num_images)
    if shuffle:
        order = torch.randperm(count, generator=generator).tolist()
        inputs, num_images = join_rows([rows[i] for i in order]), [num_images[i] for i in order]
    lengths = torch.randint(0, C, (count, 1), generator=generator)  # masked whole, up to almost whole
    mask = (torch.arange(C) < lengths).long()
    ids = torch.randint(10, 400, (count, C), generator=generator)
    types = inputs.pop("mm_token_type_ids")
    return {
        "input_ids": torch.cat([inputs.pop("input_ids"), ids], dim=1),
        "attention_mask": torch.cat([inputs.pop("attention_mask"), mask], dim=1),
        "mm_token_type_ids": torch.cat([types, torch.zeros_like(ids)], dim=1),
        "logits_to_keep": C,
        "num_images": num_images,
        **inputs,
    }


def scores_and_gradients(trainer: GRPOTrainer, batch: dict[str, Any]) -> tuple[torch.Tensor, ...]:
    trainer.model.train()
    trainer.model.zero_grad()
    log_probs, entropy, _ = trainer._get_per_token_logps_and_entropies(
        trainer.model, compute_entropy=True, **batch
    )
    weights = torch.randn(log_probs.shape, generator=torch.Generator().manual_seed(0))
    (log_probs * weights + 0.1 * entropy).sum().backward()
    gradients = [p.grad.flatten() for p in trainer.model.parameters() if p.grad is not None]
    return log_probs.detach(), entropy.detach(), torch.cat(gradients)


@pytest.mark.parametrize("lora", [False, True], ids=["full", "lora"])
def test_log_probs_and_gradients_equal_stock(
    policy_folder: Path, processor: Any, tmp_path: Path, lora: bool
) -> None:
    adapters = LoraConfig(
        r=4, init_lora_weights=False, target_modules=["q_proj", "k_proj", "v_proj", "down_proj", "qkv"]
    )
    settings = {"peft_config": adapters} if lora else {}
    trainer = make_trainer(policy_folder, processor, tmp_path, **settings)
    cases = [
        scored_batch(processor, copies, shuffle) | {"batch_size": size}
        for copies, shuffle, size in ((1, False, 2), (4, False, None), (4, True, 6), (8, True, None))
    ]
    stock = [scores_and_gradients(trainer, case) for case in cases]
    assert enable_prefix_sharing(trainer)
    for case, (log_probs, entropy, gradient) in zip(cases, stock, strict=True):
        ours = scores_and_gradients(trainer, case)
        torch.testing.assert_close(ours[0], log_probs, atol=1e-5, rtol=0)
        torch.testing.assert_close(ours[1], entropy, atol=1e-5, rtol=0)
        assert (ours[2] - gradient).norm() < 1e-5 * gradient.norm()


def test_each_prompt_goes_through_the_model_once(
    policy_folder: Path, processor: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainer = make_trainer(policy_folder, processor, tmp_path)
    enable_prefix_sharing(trainer)
    seen = []
    embed = trainer.model.get_input_embeddings()
    embed.register_forward_hook(lambda _, args, __: seen.append(tuple(args[0].shape)))
    grids = []
    trainer.model.model.visual.register_forward_hook(
        lambda _, __, kwargs, ___: grids.append(len(kwargs["grid_thw"])), with_kwargs=True
    )
    batch = scored_batch(processor, copies=8, shuffle=True)
    length = batch["input_ids"].shape[1] - C
    scores_and_gradients(trainer, batch)
    tokens = int(batch["attention_mask"].sum())  # prompts eight times, completions with their last tokens
    once = int(batch["attention_mask"][:, :length].sum()) // 8
    lengths = batch["attention_mask"][:, length:].sum(dim=1)
    assert seen == [(1, once + int((lengths - 1).clamp(min=0).sum()))]
    assert seen[0][1] < tokens / 4
    assert grids == [5]


@pytest.mark.parametrize(
    ("steps", "lora"),
    [
        pytest.param(3, False, id="full"),
        pytest.param(3, True, id="lora"),
        pytest.param(20, False, id="long", marks=pytest.mark.slow),
    ],
)
def test_training_run_equals_stock(
    policy_folder: Path, processor: Any, tmp_path: Path, steps: int, lora: bool
) -> None:
    """Sampling, old and reference log-probabilities, KL, micro-batches: every logged number is stock's."""
    settings: dict[str, Any] = {
        "gradient_accumulation_steps": 2, "steps_per_generation": 4, "num_iterations": 2, "beta": 0.1,
        "generation_kwargs": {"min_new_tokens": C},  # until a completion ends, random numbers are stock's too
        "max_steps": steps,
    }  # fmt: skip
    if lora:
        settings["peft_config"] = LoraConfig(r=4, target_modules=["q_proj", "v_proj"])
    histories = []
    for shared in (False, True):
        trainer = make_trainer(policy_folder, processor, tmp_path, **settings)
        assert enable_prefix_sharing(trainer) if shared else True
        trainer.train()
        histories.append([line for line in trainer.state.log_history if "loss" in line])
    assert len(histories[0]) == steps
    for stock, ours in zip(*histories, strict=True):
        assert set(ours) == set(stock)
        # Extremes over micro-batches alone depend on which completions of a step share one.
        for name in set(stock) - {"step_time", "clip_ratio/low_min", "clip_ratio/high_max"}:
            assert ours[name] == pytest.approx(stock[name], rel=1e-4, abs=1e-6), name


def test_the_last_rounds_images_are_gone_while_the_next_one_is_drawn(
    policy_folder: Path, processor: Any, tmp_path: Path
) -> None:
    trainer = make_trainer(
        policy_folder, processor, tmp_path, gradient_accumulation_steps=2, num_iterations=2, max_steps=4
    )
    enable_prefix_sharing(trainer)
    generate, held = trainer._generate, []

    def watched(*arguments: Any) -> Any:
        held.append(trainer._buffered_inputs)
        return generate(*arguments)

    trainer._generate = watched
    trainer.train()
    assert held == [None, None]  # two rounds of two passes
    assert trainer._buffered_inputs is not None


@pytest.mark.parametrize("penalty", [None, 1.1], ids=["shared", "stock sampling"])
def test_a_round_holds_the_images_of_each_group_once(
    policy_folder: Path, processor: Any, tmp_path: Path, penalty: float | None
) -> None:
    """Also where sampling or scoring falls back to stock, which wants the images of every row."""
    settings: dict[str, Any] = {"gradient_accumulation_steps": 4, "beta": 0.1, "max_steps": 1}
    if penalty is not None:
        settings["repetition_penalty"] = penalty
    stock = make_trainer(policy_folder, processor, tmp_path, **settings)
    trainer = make_trainer(policy_folder, processor, tmp_path, **settings)
    enable_prefix_sharing(trainer)
    for one in (stock, trainer):
        torch.manual_seed(1)
        one.train()
    held = [image for group in trainer._vrft_group_images for image in group["image_grid_thw"]]
    assert len(held) == 5  # of four prompts, one with two
    assert all("pixel_values" not in batch for batch in trainer._buffered_inputs)
    whole = sharing.whole_batches(trainer)
    assert sum(len(batch["image_grid_thw"]) for batch in whole) == 4 * 5
    scores = []
    for one, batches in ((stock, whole), (trainer, trainer._buffered_inputs)):
        one.model.load_state_dict(stock.model.state_dict())
        with torch.no_grad():
            scores.append([float(one._compute_loss(one.model, dict(batch))) for batch in batches])
    assert scores[1] == pytest.approx(scores[0], abs=1e-6)


@pytest.fixture
def model(policy_folder: Path) -> Any:
    return Qwen2_5_VLForConditionalGeneration.from_pretrained(policy_folder).eval()


def test_greedy_completions_equal_stock(processor: Any, model: Any) -> None:
    inputs = model_inputs(processor, 1, prompts())
    length = inputs["input_ids"].shape[1]
    greedy = {"max_new_tokens": C, "do_sample": False, "pad_token_id": 0}
    endless = model.generate(**inputs, generation_config=GenerationConfig(eos_token_id=None, **greedy))
    ends = [
        int(endless[row, length + row + 1]) for row in range(3)
    ]  # tokens that end rows at different times
    config = GenerationConfig(eos_token_id=ends, **greedy)
    stock = model.generate(**inputs, generation_config=config)
    assert len({int(row.count_nonzero()) - length for row in stock}) > 2
    group = torch.tensor([2, 0, 0, 4, 3, 1, 2, 1])
    ours = model.generate(**inputs, generation_config=config, custom_generate=decode_groups, group=group)
    assert torch.equal(ours, stock[group])


@pytest.mark.parametrize("settings", [{}, {"top_k": 20, "temperature": 0.7}, {"top_p": 0.6}, {"min_p": 0.2}])
def test_samples_equal_stock_for_the_same_seed(processor: Any, model: Any, settings: dict[str, Any]) -> None:
    inputs = model_inputs(processor, 2, prompts())
    config = GenerationConfig(max_new_tokens=C, do_sample=True, eos_token_id=None, pad_token_id=0, **settings)
    torch.manual_seed(3)
    stock = model.generate(**inputs, generation_config=config)
    torch.manual_seed(3)
    counts = [len(row["images"]) for row in prompts() for _ in range(2)]
    ours = sharing.generate_shared(model, model.generate, counts, None, generation_config=config, **inputs)
    assert torch.equal(ours, stock)


def test_processor_handles_equal_rows_once(processor: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = model_inputs(processor, 3, prompts())
    handled = []
    image_processor = type(processor.image_processor)
    original: Callable[..., Any] = image_processor.preprocess

    def counted(self: Any, images: Any, *args: Any, **kwargs: Any) -> Any:
        result = original(self, images, *args, **kwargs)
        handled.append(len(result["image_grid_thw"]))
        return result

    monkeypatch.setattr(image_processor, "preprocess", counted)
    remembering = OncePerPrompt(processor, Family())
    once = model_inputs(remembering, 3, prompts())
    assert sum(handled) == 5  # pictures of the five prompts
    again = model_inputs(remembering, 3, prompts())  # TRL asks twice
    assert sum(handled) == 5
    assert torch.equal(again["pixel_values"], plain["pixel_values"])
    assert set(once) == set(plain)
    assert all(torch.equal(once[name], plain[name]) for name in plain)


def test_a_call_leaves_model_and_trainer_as_they_were(
    policy_folder: Path, processor: Any, tmp_path: Path
) -> None:
    trainer = make_trainer(policy_folder, processor, tmp_path)
    enable_prefix_sharing(trainer)
    scores_and_gradients(trainer, scored_batch(processor, 2, shuffle=False))
    trainer._generate_and_score_completions([row for row in prompts()[:1] for _ in range(4)])
    assert "forward" not in vars(trainer.model.model)
    assert "generate" not in vars(trainer.model)
    assert trainer.processing_class is processor


@pytest.mark.parametrize("reentrant", [False, True])
def test_gradient_checkpointing_equals_stock(
    policy_folder: Path, processor: Any, tmp_path: Path, reentrant: bool
) -> None:
    """Layers run a second time in the backward pass, after the call: they must attend as in the first run."""
    trainer = make_trainer(policy_folder, processor, tmp_path)
    batch = scored_batch(processor, 4, shuffle=True)
    stock = scores_and_gradients(trainer, batch)
    enable_prefix_sharing(trainer)
    settings = {"use_reentrant": reentrant}
    trainer.model.activation_checkpointing_enable(activation_checkpointing_kwargs=settings)
    ran = []
    hook = trainer.model.get_decoder().layers[0].mlp.register_forward_pre_hook(lambda *_: ran.append(1))
    ours = scores_and_gradients(trainer, batch | {"batch_size": 7})
    hook.remove()
    assert len(ran) == 6  # three micro-batches, twice
    torch.testing.assert_close(ours[0], stock[0], atol=1e-5, rtol=0)
    assert (ours[2] - stock[2]).norm() < 1e-5 * stock[2].norm()


def test_falls_back_and_says_why_once(
    policy_folder: Path, processor: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    sharing._say_once.cache_clear()
    trainer = make_trainer(policy_folder, processor, tmp_path)
    batch = scored_batch(processor, 2, shuffle=False)
    stock = scores_and_gradients(trainer, batch)
    enable_prefix_sharing(trainer)
    batch["attention_mask"][:, -C - 1] = 0  # the prompts' last token: as if they were padded on the right
    with caplog.at_level(logging.WARNING):
        for _ in range(2):
            ours = scores_and_gradients(trainer, batch)
    assert ours[0].shape == stock[0].shape
    assert [r.message for r in caplog.records if "prefix sharing" in r.message] == [
        "log-probabilities run without prefix sharing: prompts are not padded on the left"
    ]


def test_unknown_family_stays_stock(
    policy_folder: Path, processor: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    sharing._say_once.cache_clear()
    trainer = make_trainer(policy_folder, processor, tmp_path)
    trainer.model.config.model_type = "some_new_vl"
    with caplog.at_level(logging.WARNING):
        assert not enable_prefix_sharing(trainer)
    assert "model family 'some_new_vl' is not among" in caplog.text
    assert "_get_per_token_logps_and_entropies" not in vars(trainer)


def test_rows_are_split_grouped_and_joined(processor: Any, model: Any) -> None:
    inputs = model_inputs(processor, 2, prompts())
    images = [1, 1, 2, 2, 1, 1, 0, 0, 1, 1]
    rows = split_rows(inputs, images)
    groups = group_rows(rows, same_inputs)
    assert groups.first == (0, 2, 4, 6, 8)
    assert groups.index == (0, 0, 1, 1, 2, 2, 3, 3, 4, 4)  # 0 and 4: the same words, different pictures
    joined = join_rows(rows)
    assert all(torch.equal(joined[name], inputs[name]) for name in inputs)
    with pytest.raises(ValueError, match="lines, expected"):
        split_rows(inputs, [1, 1, 2, 2, 1, 1, 0, 0, 1, 0])
    assert group_rows("abcabb", str.__eq__).index == (0, 1, 2, 0, 1, 1)
