"""What is plainly image tokens in a causal model shares prompts unnamed; what only looks so is found out."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from helpers import tiny_families
from vrft_aug.policy.prefix import structure, why_not_model
from vrft_aug.policy.prefix.families import FAMILIES

UNNAMED = [name for name in tiny_families.FAMILIES if name not in FAMILIES]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("family", UNNAMED)
def test_a_plain_family_needs_no_name(family: str, dtype: torch.dtype) -> None:
    model = tiny_families.build(family).to(dtype).train()
    state = torch.random.get_rng_state()
    assert why_not_model(model) is None
    assert model.training and torch.equal(torch.random.get_rng_state(), state)


def test_named_families_are_known_by_more_than_their_structure() -> None:
    assert UNNAMED and "llava_next" in FAMILIES
    assert structure.why_not_plain(tiny_families.build("llava_next")) is None
    for family, told in (("gemma3", "token_type_ids"), ("qwen3_vl", "image_grid_thw")):
        reason = structure.why_not_plain(tiny_families.build(family))
        assert reason is not None and told in reason


def mixes_tokens(module: Any, args: Any, output: Any) -> Any:
    return output + output.mean(dim=1, keepdim=True)


def looks_at_the_next(module: Any, args: Any, output: Any) -> Any:
    """As attention both ways does, in a token's own neighbourhood."""
    return output + 0.1 * output.roll(-1, dims=1)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("hook", [mixes_tokens, looks_at_the_next])
def test_mixing_outside_of_attention_is_found_out(hook: Callable[..., Any], dtype: torch.dtype) -> None:
    model = tiny_families.build("llava").to(dtype)
    model.get_decoder().layers[1].mlp.register_forward_hook(hook)
    reason = why_not_model(model)
    assert reason is not None and "differ from its own by" in reason


def test_both_ways_inside_an_image_is_found_out() -> None:
    model = tiny_families.build("llava")
    decoder, image = model.get_decoder(), model.config.image_token_id
    stock = decoder.forward
    model.base_model.register_forward_pre_hook(
        lambda _, args, kwargs: setattr(model, "seen", kwargs["input_ids"]), with_kwargs=True
    )

    def forward(**inputs: Any) -> Any:
        ids = model.seen
        place = torch.arange(ids.shape[1])
        inside = (ids == image)[0]
        mask = (place <= place[:, None]) | (inside & inside[:, None])
        return stock(**{**inputs, "attention_mask": mask[None, None]})

    decoder.forward = forward
    reason = why_not_model(model)
    assert reason is not None and "differ from its own by" in reason


def test_a_model_that_fails_is_no_plain_one() -> None:
    model = tiny_families.build("llava")
    model.get_decoder().forward = lambda **_: SimpleNamespace()
    reason = why_not_model(model)
    assert reason is not None and "takes no features" in reason
