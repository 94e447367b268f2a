"""Every supported model family scores, learns and samples with shared prompts exactly as stock TRL does."""

from __future__ import annotations

from contextlib import nullcontext
from functools import partial, wraps
from types import SimpleNamespace
from typing import Any
from weakref import WeakKeyDictionary

import pytest
import torch
from peft import LoraConfig, get_peft_model
from torch.nn.attention import flex_attention as torch_flex
from transformers import GenerationConfig
from trl import GRPOTrainer
from trl.trainer.utils import add_fused_lm_head

from helpers import tiny_families
from vrft_aug.policy.prefix import attention, decode_groups, decoding, scoring
from vrft_aug.policy.prefix.features import FeatureCache, tower_version
from vrft_aug.policy.prefix.grouping import join_rows, split_rows
from vrft_aug.policy.prefix.packing import Ragged
from vrft_aug.policy.sampled_log_probs import generate_and_tell
from vrft_aug.training import prefix_sharing as sharing

IMAGES, WORDS, C = (1, 2, 1), (5, 12, 3), 7  # of three prompts; completion tokens
FAMILIES = pytest.mark.parametrize("family", list(tiny_families.FAMILIES))


def unwrapped(model: Any) -> Any:
    return model


ACCELERATOR = SimpleNamespace(autocast=nullcontext, unwrap_model=unwrapped)
TRAINER = SimpleNamespace(accelerator=ACCELERATOR)  # all that is needed of a trainer to score
stock_log_probs = partial(GRPOTrainer._get_per_token_logps_and_entropies.__wrapped__, TRAINER)
our_log_probs = partial(sharing._log_probs, TRAINER, stock_log_probs, WeakKeyDictionary())


def batch(family: str, copies: int) -> dict[str, Any]:
    """Three prompts of different length, each with `copies` completions of different length, shuffled."""
    generator = torch.Generator().manual_seed(copies)
    rows = split_rows(tiny_families.prompts(family, list(IMAGES), list(WORDS)), IMAGES)
    order = torch.randperm(3 * copies, generator=generator) // copies
    inputs = join_rows([rows[u] for u in order])
    ids = torch.randint(10, tiny_families.VOCABULARY, (3 * copies, C), generator=generator)
    mask = (torch.arange(C) < torch.randint(0, C + 1, (3 * copies, 1), generator=generator)).long()
    added = {"input_ids": ids, "attention_mask": mask}
    for name in {"input_ids", "attention_mask", "token_type_ids", "mm_token_type_ids"} & set(inputs):
        inputs[name] = torch.cat([inputs[name], added.get(name, torch.zeros_like(ids))], dim=1)
    return {**inputs, "logits_to_keep": C, "num_images": [IMAGES[u] for u in order]}


def scores_and_gradient(log_probs: Any, model: Any, inputs: dict[str, Any]) -> tuple[torch.Tensor, ...]:
    model.zero_grad()
    scores, entropy, _ = log_probs(model, compute_entropy=True, **inputs)
    weights = torch.randn(scores.shape, generator=torch.Generator().manual_seed(0))
    (scores * weights + 0.1 * entropy).sum().backward()
    gradient = torch.cat([p.grad.flatten().float() for p in model.parameters() if p.grad is not None])
    return scores.detach(), entropy.detach(), gradient


def flex_on_a_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """What GPUs take, uncompiled; its backward pass on a CPU is refused by a check alone."""
    monkeypatch.setattr(scoring, "takes_flex", lambda *_: True)
    monkeypatch.setattr(torch_flex, "_validate_device", lambda *_: None)
    monkeypatch.setattr(torch_flex, "_FLEX_ATTENTION_DISABLE_COMPILE_DEBUG", True)


def scoring_model(family: str) -> Any:
    model = tiny_families.build(family)
    add_fused_lm_head(model, outputs=("log_probs", "entropy"))
    return model.train()


def assert_equal(ours: tuple[torch.Tensor, ...], stock: tuple[torch.Tensor, ...]) -> None:
    torch.testing.assert_close(ours[0], stock[0], atol=1e-5, rtol=0)
    torch.testing.assert_close(ours[1], stock[1], atol=1e-5, rtol=0)
    assert (ours[2] - stock[2]).norm() < 1e-5 * stock[2].norm()


@FAMILIES
def test_scores_and_gradients_equal_stock(family: str, monkeypatch: pytest.MonkeyPatch) -> None:
    model = scoring_model(family)
    for copies, size in ((1, None), (4, 5), (16, None)):
        inputs = batch(family, copies) | {"batch_size": size}
        stock = scores_and_gradient(stock_log_probs, model, inputs)
        assert_equal(scores_and_gradient(our_log_probs, model, inputs), stock)
    monkeypatch.setattr(attention, "merges", lambda query: False)  # what devices other than the CPU take
    assert_equal(scores_and_gradient(our_log_probs, model, inputs), stock)
    flex_on_a_cpu(monkeypatch)
    assert_equal(scores_and_gradient(our_log_probs, model, inputs), stock)
    model.activation_checkpointing_enable(activation_checkpointing_kwargs={"use_reentrant": False})
    assert_equal(scores_and_gradient(our_log_probs, model, inputs), stock)


@FAMILIES
def test_adapters_and_checkpointing_equal_stock(family: str) -> None:
    targets = r".*(language_model|text_model).*(q_proj|v_proj|down_proj)"
    model = scoring_model(family)
    model = get_peft_model(model, LoraConfig(r=4, init_lora_weights=False, target_modules=targets))
    inputs = batch(family, 4)
    causal = model.get_base_model()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ACCELERATOR, "unwrap_model", lambda wrapped: causal)
        stock = scores_and_gradient(stock_log_probs, model, inputs)
        assert_equal(scores_and_gradient(our_log_probs, model, inputs), stock)
        causal.activation_checkpointing_enable(activation_checkpointing_kwargs={"use_reentrant": False})
        assert_equal(scores_and_gradient(our_log_probs, model, inputs), stock)


@FAMILIES
def test_bfloat16_is_as_near_to_float32_as_stock(family: str) -> None:
    model, rounded = scoring_model(family), scoring_model(family).to(torch.bfloat16)
    squares = torch.zeros(2, 2)  # errors of stock, ours; in scores, gradient; over batches
    for copies in (4, 6, 8):
        inputs = batch(family, copies)
        exact, _, direction = scores_and_gradient(stock_log_probs, model, inputs)
        for arm, log_probs in enumerate((stock_log_probs, our_log_probs)):
            scores, _, gradient = scores_and_gradient(log_probs, rounded, inputs)
            squares[arm] += torch.stack([(scores.float() - exact).norm(), (gradient - direction).norm()]) ** 2
    stock, ours = squares.sqrt()
    assert (ours < 1.25 * stock).all()


@FAMILIES
def test_autocast_is_as_near_to_float32_as_stock(family: str) -> None:
    """Weights in float32 that compute in bfloat16: rotated queries come in another type than values."""
    model = scoring_model(family)
    squares = torch.zeros(2, 2)  # errors of stock, ours; in scores, gradient; over batches
    for copies in (4, 6, 8):
        inputs = batch(family, copies)
        exact, _, direction = scores_and_gradient(stock_log_probs, model, inputs)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(ACCELERATOR, "autocast", partial(torch.autocast, "cpu", torch.bfloat16))
            for arm, log_probs in enumerate((stock_log_probs, our_log_probs)):
                scores, _, gradient = scores_and_gradient(log_probs, model, inputs)
                errors = (scores.float() - exact).norm(), (gradient - direction).norm()
                squares[arm] += torch.stack(errors) ** 2
    stock, ours = squares.sqrt()
    assert (stock > 0).all() and (ours < 1.25 * stock).all()


@FAMILIES
def test_completions_equal_stock(family: str) -> None:
    model = tiny_families.build(family).eval()
    prompts = tiny_families.prompts(family, list(IMAGES), list(WORDS))
    length, steps = prompts["input_ids"].shape[1], 40  # past the first growth of what rows write
    shared = {"max_new_tokens": steps, "pad_token_id": 0, "suppress_tokens": [tiny_families.IMAGE]}
    config = GenerationConfig(**shared, do_sample=False)
    endless = model.generate(**prompts, generation_config=config, min_new_tokens=steps)
    ends = [int(endless[row, length + 6 * row + 2]) for row in range(2)]  # rows end at different times
    config.eos_token_id = ends
    stock = model.generate(**prompts, generation_config=config)
    group = torch.tensor([2, 0, 0, 1, 2])
    ours = model.generate(**prompts, generation_config=config, custom_generate=decode_groups, group=group)
    assert torch.equal(ours, stock[group])

    rows, order = split_rows(prompts, IMAGES), [0, 0, 0, 1, 1, 1, 2, 2, 2]
    inputs, images = join_rows([rows[u] for u in order]), [IMAGES[u] for u in order]
    config = GenerationConfig(**shared, do_sample=True, top_k=0, min_new_tokens=steps)
    drawn = []
    for generate in (model.generate, partial(sharing.generate_shared, model, model.generate, images, None)):
        torch.manual_seed(3)
        drawn.append(generate(generation_config=config, **inputs))
    assert torch.equal(*drawn)


@FAMILIES
def test_the_sampler_tells_what_stock_scores(family: str) -> None:
    """Log-probabilities of the tokens drawn: those of the plain loop, of ours, and of scoring agree."""
    model = scoring_model(family).eval()
    rows = split_rows(tiny_families.prompts(family, list(IMAGES), list(WORDS)), IMAGES)
    order = [0, 0, 1, 1, 2, 2]
    inputs, images = join_rows([rows[u] for u in order]), [IMAGES[u] for u in order]
    length = inputs["input_ids"].shape[1]
    model.generation_config.eos_token_id = None
    config = GenerationConfig(max_new_tokens=C, pad_token_id=0, do_sample=True, top_k=0)
    plain: list[torch.Tensor] = []
    ours: list[torch.Tensor] = []
    shared = partial(sharing.generate_shared, model, model.generate, images, None)
    for generate, told in ((model.generate, plain), (shared, ours)):
        torch.manual_seed(3)
        drawn = generate_and_tell(generate, told, None, config, **inputs)
    completion = drawn[:, length:]
    readable = completion.masked_fill(completion == tiny_families.IMAGE, 10)
    added = {"input_ids": readable, "attention_mask": torch.ones_like(readable)}
    for name in {"input_ids", "attention_mask", "token_type_ids", "mm_token_type_ids"} & set(inputs):
        inputs[name] = torch.cat([inputs[name], added.get(name, torch.zeros_like(readable))], dim=1)
    with torch.no_grad():
        scores, _, _ = stock_log_probs(model, **inputs, logits_to_keep=C, num_images=images)
    # Behind the end of a row, or the token of a picture that is not there, nothing is meant.
    before = (completion > tiny_families.VIDEO).cumprod(dim=1).bool()
    assert before.float().mean() > 0.5
    for (one,) in (plain, ours):
        torch.testing.assert_close(one[before], scores[before], atol=2e-5, rtol=0)


@pytest.mark.parametrize("cast", [False, True], ids=["", "autocast"])
def test_decoding_in_bfloat16_has_its_softmax_in_float32(cast: bool) -> None:
    """Scores of about 42: rounded to bfloat16 before the softmax they would miss by percents."""
    generator = torch.Generator().manual_seed(0)
    rows, heads, shared, size, steps = 6, 2, 3, 16, 5
    prompt, lengths = torch.tensor([1, 0, 0, 1, 0, 1]), torch.tensor([40, 37])

    def drawn(*shape: int) -> torch.Tensor:
        numbers = torch.randn(*shape, generator=generator) / 2
        numbers[..., 0] += 6.5
        return numbers.to(torch.bfloat16)

    keys, values = drawn(2, heads, 40, size), torch.randn(2, heads, 40, size, generator=generator).bfloat16()
    attention = decoding.DecodingAttention([(keys, values)], Ragged(0, lengths), prompt)
    written = [(drawn(rows, heads, 1, size), drawn(rows, heads, 1, size)) for _ in range(steps)]
    for key, value in written:
        attention.written += 1
        query = drawn(rows, heads * shared, 1, size)
        with torch.autocast("cpu", torch.bfloat16, enabled=cast):
            ours, _ = attention(SimpleNamespace(layer_idx=0), query, key, value, None, scaling=1.0)
    hidden = torch.arange(40) >= lengths[:, None]
    every = [
        torch.cat([x[prompt], *(step[i] for step in written)], dim=2) for i, x in ((0, keys), (1, values))
    ]
    asked = query.view(rows, heads, shared, size).double()
    scores = asked @ every[0].double().transpose(2, 3)
    scores[..., :40].masked_fill_(hidden[prompt][:, None, None], -torch.inf)
    exact = (scores.softmax(-1) @ every[1].double()).view(rows, 1, heads * shared, size)
    rounded = (scores.bfloat16().double().softmax(-1) @ every[1].double()).view_as(exact)
    error = (ours.double() - exact).norm() / exact.norm()
    assert ours.dtype == torch.bfloat16 and error < 0.004 < 0.03 < (rounded - exact).norm() / exact.norm()


@FAMILIES
def test_frozen_tower_runs_once_for_each_image(family: str) -> None:
    model = scoring_model(family)
    language = {
        id(p) for p in [*model.get_decoder().parameters(), *model.get_output_embeddings().parameters()]
    }
    for parameter in model.parameters():
        parameter.requires_grad_(id(parameter) in language)
    assert tower_version(model.base_model) is not None
    backbone, ran = model.base_model, []
    computed = sum(IMAGES) * (2 if family in ("smolvlm", "idefics3") else 1)  # these cut images into tiles
    stock_features = backbone.get_image_features
    inputs = batch(family, 4)
    stock = scores_and_gradient(stock_log_probs, model, inputs)

    @wraps(stock_features)
    def counted(*args: Any, **kwargs: Any) -> Any:
        ran.append(1)
        return stock_features(*args, **kwargs)

    backbone.get_image_features = counted
    cache = FeatureCache()
    with cache.serving(backbone):
        for _ in range(2):
            assert_equal(scores_and_gradient(our_log_probs, model, inputs), stock)
        prompts = tiny_families.prompts(family, list(IMAGES), list(WORDS))
        config = GenerationConfig(max_new_tokens=3, do_sample=False, pad_token_id=0)
        group = torch.arange(3)
        ours = model.generate(**prompts, generation_config=config, custom_generate=decode_groups, group=group)
    assert len(ran) == computed
    assert torch.equal(ours, model.generate(**prompts, generation_config=config))
    with torch.no_grad():
        next(p for p in backbone.parameters() if not p.requires_grad).add_(1)  # as loading weights does
    ran.clear()
    with cache.serving(backbone):
        scores_and_gradient(our_log_probs, model, inputs)
    assert len(ran) == computed


def test_features_are_bounded_and_trained_towers_are_not_kept() -> None:
    model = scoring_model("gemma3")
    assert tower_version(model.base_model) is None
    ran = []

    def features(pixel_values: torch.Tensor, **_: Any) -> SimpleNamespace:
        ran.append(len(pixel_values))
        return SimpleNamespace(pooler_output=pixel_values.flatten(1)[:, :4])

    backbone = model.base_model.requires_grad_(False)
    backbone.get_image_features = features
    cache, pictures = FeatureCache(limit=32), torch.randn(3, 3, 2, 2)  # two images of four numbers
    with cache.serving(backbone):
        for chosen in ([0, 1], [1, 0, 1], [2], [1, 2], [0]):
            served = backbone.get_image_features(pictures[chosen]).pooler_output
            assert torch.equal(served, pictures[chosen].flatten(1)[:, :4])
    assert ran == [1, 1, 1, 1]  # each alone; the third image took the place of the first
