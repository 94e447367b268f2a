"""The short step of decoding: what the model's own forward computes, or the model's own forward."""

from __future__ import annotations

import logging
from functools import partial
from typing import Any

import pytest
import torch
from peft import LoraConfig, get_peft_model
from transformers import GenerationConfig

from helpers import tiny_families
from vrft_aug.policy.prefix import decode_groups, decoder_step
from vrft_aug.policy.prefix.decoder_step import DecoderStep

SHORT = ("qwen2_vl", "qwen2_5_vl", "qwen3_vl", "smolvlm", "idefics3")
LORA = partial(LoraConfig, r=4, init_lora_weights=False, target_modules="all-linear")
GROUP = torch.tensor([0, 0, 0, 1, 1, 2])


def drawn(
    model: Any, family: str, monkeypatch: pytest.MonkeyPatch, steps: int = 40
) -> tuple[torch.Tensor, int]:
    """What a seed draws, rows ending at different times, and how many steps were short."""
    prompts, how = tiny_families.prompts(family, [1, 2, 1], [5, 12, 3]), {"custom_generate": decode_groups}
    taken = []
    stock = DecoderStep.logits

    def counted(self: DecoderStep, token: torch.Tensor) -> torch.Tensor:
        taken.append(len(token))
        return stock(self, token)

    config = GenerationConfig(
        max_new_tokens=steps, do_sample=True, top_k=0, pad_token_id=0, eos_token_id=list(range(7, 14)),
        suppress_tokens=[tiny_families.IMAGE],
    )  # fmt: skip
    torch.manual_seed(4)
    with monkeypatch.context() as patch:
        patch.setattr(DecoderStep, "logits", counted)
        found = model.generate(**prompts, generation_config=config, group=GROUP, **how)
    return found, len(taken)


def steps_of(found: torch.Tensor, family: str) -> int:
    return found.shape[1] - tiny_families.prompts(family, [1, 2, 1], [5, 12, 3])["input_ids"].shape[1]


def own_way(model: Any, family: str, monkeypatch: pytest.MonkeyPatch) -> torch.Tensor:
    with monkeypatch.context() as patch:
        patch.setattr("vrft_aug.policy.prefix.sampling.decoder_step", lambda *_: None)
        found, short = drawn(model, family, monkeypatch)
    assert short == 0
    return found


@pytest.mark.parametrize("lora", [False, True], ids=["full", "lora"])
@pytest.mark.parametrize("family", SHORT)
def test_a_short_step_draws_what_the_models_own_forward_draws(
    family: str, lora: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = tiny_families.build(family).eval()
    if lora:
        torch.manual_seed(0)
        model = get_peft_model(model, LORA()).get_base_model().eval()
    expected = own_way(model, family, monkeypatch)
    for _ in range(2):  # held against the model's own forward, then without
        found, short = drawn(model, family, monkeypatch)
        assert torch.equal(found, expected)
        assert short in (steps_of(found, family) - 1, steps_of(found, family))  # one more to be held
    ends = (found[:, -1] == 0).sum()
    assert ends > 1  # rows have left


def test_what_is_told_does_not_depend_on_when_a_step_is_held(monkeypatch: pytest.MonkeyPatch) -> None:
    """A resumed run holds its model's step anew, in the middle of what the whole run draws: bit for bit."""
    model = tiny_families.build("qwen2_5_vl").eval()
    told: list[torch.Tensor] = []
    prompts = tiny_families.prompts("qwen2_5_vl", [1, 2, 1], [5, 12, 3])
    config = GenerationConfig(max_new_tokens=9, do_sample=True, top_k=0, pad_token_id=0)
    for _ in range(2):
        torch.manual_seed(4)
        more = {"custom_generate": decode_groups, "log_probs": told}
        model.generate(**prompts, generation_config=config, group=GROUP, **more)
    assert decoder_step.held(model) and torch.equal(*told)


@pytest.mark.parametrize("copies", [True, False], ids=["joined", "as they are"])
@pytest.mark.parametrize("family", SHORT)
def test_logits_of_a_short_step(family: str, copies: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if not copies:
        monkeypatch.setattr(decoder_step, "COPIES", 0)
    model, apart = tiny_families.build(family).eval(), []
    monkeypatch.setattr("vrft_aug.policy.prefix.sampling.held", lambda model: False)

    def kept(model: Any, ours: torch.Tensor, own: torch.Tensor) -> bool:
        apart.append(float((ours - own).abs().max() / own.abs().max()))
        return True

    monkeypatch.setattr("vrft_aug.policy.prefix.sampling.agrees", kept)
    drawn(model, family, monkeypatch)
    assert len(apart) > 10 and max(apart) < 1e-5


def unlike(name: str) -> Any:
    """A model that the short step does not know, in one way."""
    model = tiny_families.build("qwen2_5_vl").eval()
    if name == "a hook":
        model.get_decoder().layers[1].mlp.register_forward_hook(lambda *_: None)
    elif name == "a projection of another kind":
        mlp = model.get_decoder().layers[0].mlp
        mlp.up_proj = torch.nn.Sequential(mlp.up_proj)
    elif name == "dropout of an adapter":
        model = get_peft_model(model, LORA(lora_dropout=0.5)).train().get_base_model()
    elif name == "DoRA":
        model = get_peft_model(model, LORA(use_dora=True)).get_base_model().eval()
    elif name == "a part saved beside an adapter":
        model = get_peft_model(
            model, LORA(target_modules=["q_proj"], modules_to_save=["mlp"])
        ).get_base_model()
    elif name == "an adapter on bfloat16":
        model = get_peft_model(model.to(torch.bfloat16), LORA()).get_base_model().eval()
    return model


@pytest.mark.parametrize(
    "name",
    [
        "a hook", "a projection of another kind", "dropout of an adapter", "DoRA",
        "a part saved beside an adapter", "an adapter on bfloat16",
    ],
)  # fmt: skip
def test_a_model_that_is_unlike_decodes_by_its_own_forward(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert drawn(unlike(name), "qwen2_5_vl", monkeypatch, steps=4)[1] == 0


def test_autocast_and_other_families_decode_by_their_own_forward(monkeypatch: pytest.MonkeyPatch) -> None:
    assert drawn(tiny_families.build("gemma3").eval(), "gemma3", monkeypatch, steps=4)[1] == 0
    with torch.autocast("cpu", torch.bfloat16):
        assert drawn(tiny_families.build("qwen2_5_vl").eval(), "qwen2_5_vl", monkeypatch, steps=4)[1] == 0


def test_a_step_that_does_not_agree_is_not_taken(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    model = tiny_families.build("qwen2_5_vl").eval()
    expected = own_way(model, "qwen2_5_vl", monkeypatch)
    norm = decoder_step._norm
    monkeypatch.setattr(decoder_step, "_norm", lambda *given: 1.1 * norm(*given))
    with caplog.at_level(logging.WARNING):
        for tried in (1, 0):
            found, short = drawn(model, "qwen2_5_vl", monkeypatch)
            assert torch.equal(found, expected) and short == tried
    assert "sampling goes through the model's own forward" in caplog.text
