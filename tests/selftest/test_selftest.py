"""`vrft selftest`: what it finds on a fit machine, that it can fail, and what it tells."""

from __future__ import annotations

import getpass
import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.nn.attention import flex_attention as torch_flex
from typer.testing import CliRunner

from vrft_aug.bench.contenders import make_trainer
from vrft_aug.bench.presets import QUICK, SIZES, THREE_BILLION
from vrft_aug.cli import app
from vrft_aug.policy.load import load_policy
from vrft_aug.policy.prefix import flex
from vrft_aug.policy.prefix.decoding import DecodingAttention
from vrft_aug.policy.prefix.flex import Kind
from vrft_aug.recipe.model_config import ModelConfig
from vrft_aug.selftest import attention_roads, verdict
from vrft_aug.selftest.costs_of_a_step import counted
from vrft_aug.selftest.equality import drawn_and_scored
from vrft_aug.selftest.outcome import Finding, Machine, failure
from vrft_aug.selftest.small_run import SFT, random_model, recipe_of
from vrft_aug.selftest.training_roads import precision, update


def right(machine: Machine) -> list[Finding]:
    assert machine.room("a").is_dir()
    return [Finding("one", "a number", 0.5, 1.0), Finding("two", "another", 2.0, 1.0, at_most=False)]


def wrong(machine: Machine) -> list[Finding]:
    return [Finding("three", "a third", 2.0, 1.0)]


def broken(machine: Machine) -> list[Finding]:
    raise RuntimeError(f"no such file: {machine.folder}/secret.txt, by C:\\Users\\ada")


def test_a_number_keeps_its_limit_or_not() -> None:
    assert Finding("n", "told", 1.0, 1.0).passed and Finding("n", "told", 1.0, 1.0, at_most=False).passed
    assert not Finding("n", "told", 1.1, 1.0).passed and not Finding("n", "told", 0.9, 1.0, False).passed
    assert not Finding("n", "told", math.nan, 1.0).passed
    assert Finding("n", "a thing", 0.25, 1.0).line() == "ok   a thing: 0.25, at most 1"
    assert Finding("n", "a thing", math.nan, 2.0, False).line() == "FAIL a thing: no number, at least 2"
    told = failure("memory", RuntimeError("cannot read /home/ada/x.txt\nnor C:\\Users\\ada"))
    assert told.note == "RuntimeError: cannot read … nor …" and not told.passed


def test_results_are_a_page_without_names(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(verdict, "CHECKS", {"right": right, "broken": broken})
    file = tmp_path / "fit.json"
    ran = CliRunner().invoke(app, ["selftest", "--device", "cpu", "--json", str(file)])
    assert ran.exit_code == 1 and "not fit: broken" in ran.output
    text = file.read_text()
    result = json.loads(text)
    assert not result["passed"] and result["device"] == "cpu" and result["versions"]["trl"]
    assert [check["passed"] for check in result["checks"]] == [True, True, False]
    assert result["checks"][0] | {"seconds": 0} == {
        "name": "one", "told": "a number", "value": 0.5, "at_most": 1.0, "passed": True, "seconds": 0,
    }  # fmt: skip
    assert (
        result["checks"][2]["value"] is None and "ada" not in text and "/" not in result["checks"][2]["note"]
    )
    assert str(tmp_path) not in text and str(Path.home()) not in text
    assert f'"{getpass.getuser()}"' not in text


def test_exit_codes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verdict, "CHECKS", {"right": right})
    ran = CliRunner().invoke(app, ["selftest", "--device", "cpu"])
    assert ran.exit_code == 0 and "fit: 2 numbers keep their limits" in ran.output
    monkeypatch.setattr(verdict, "CHECKS", {"right": right, "wrong": wrong})
    assert CliRunner().invoke(app, ["selftest", "--device", "cpu"]).exit_code == 1
    unknown = CliRunner().invoke(app, ["selftest", "--device", "abacus"])
    assert unknown.exit_code == 2 and "--device 'abacus' is not known" in unknown.output
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    absent = CliRunner().invoke(app, ["selftest", "--device", "cuda"])
    assert absent.exit_code == 2 and "torch finds no such device" in absent.output


def test_what_samples_is_what_trains_and_the_check_can_fail(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shape = replace(QUICK, prompt=80, completion=12, generations=3)
    trainer = make_trainer(shape, True, tmp_path)
    trainer.train()
    assert float(drawn_and_scored(trainer, half=False).abs().max()) < 2e-5
    stock = DecodingAttention.attend

    def sharper(self: Any, layer: int, query: Any, *args: Any, **settings: Any) -> Any:
        return stock(self, layer, 1.05 * query, *args, **settings)

    monkeypatch.setattr(DecodingAttention, "attend", sharper)
    assert float(drawn_and_scored(trainer, half=False).abs().max()) > 2e-5


def test_the_update_check_can_fail(tmp_path: Path) -> None:
    """Another learning rate's direction is not the same steps: what the cosine is of is the update."""
    model = random_model(tmp_path / "model")
    stage = {**SFT, "steps": 1, "prompts_per_step": 2}
    one = update(recipe_of(model, "cpu", stage), tmp_path / "one")
    assert one and all(change.dtype == torch.float64 for change in one.values())
    assert max(float(change.abs().max()) for change in one.values()) == pytest.approx(1e-6, rel=0.2)


def test_the_three_billion_shape_is_one() -> None:
    from vrft_aug.bench.contenders import _model

    with torch.device("meta"):
        model = _model(THREE_BILLION)
    assert 3.4e9 < sum(weight.numel() for weight in model.parameters()) < 4.1e9
    assert model.dtype == torch.bfloat16 and SIZES["3B"].layers == 36


def test_an_adapter_over_bfloat16_takes_a_step_in_both_arms(tmp_path: Path) -> None:
    shape = replace(QUICK, prompt=80, completion=6, generations=2, adapter=True, checkpointing=True)
    for arm in (False, True):
        trainer = make_trainer(shape, arm, tmp_path)
        weights = {n: w.detach().clone() for n, w in trainer.model.named_parameters() if w.requires_grad}
        trainer.train()
        assert all("lora" in name for name in weights)
        assert any(
            not torch.equal(w, weights[n]) for n, w in trainer.model.named_parameters() if n in weights
        )


@pytest.mark.slow
def test_this_machine_is_fit() -> None:
    result = verdict.run_selftest(ModelConfig(device="cpu"), lambda line: None)
    assert [check["name"] for check in result["checks"] if not check["passed"]] == []
    assert len(json.dumps(result, indent=1).splitlines()) < 200


@pytest.mark.slow
def test_bare_bfloat16_would_be_found_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Weights that lie in bfloat16 do not move: the numbers say so."""
    stock = load_policy

    def bare(config: ModelConfig, training: bool = False) -> Any:
        policy = stock(config, training)
        if config.dtype == "bfloat16":
            policy.model.to(torch.bfloat16)
        return policy

    monkeypatch.setattr("vrft_aug.selftest.training_roads.load_policy", bare)
    found = {finding.name: finding for finding in precision(Machine("cpu", tmp_path))}
    assert not found["bfloat16_full_cosine"].passed and not found["bfloat16_full_moved"].passed


def test_roads_of_attention_are_compared_where_there_are_two(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert attention_roads.attention(Machine("cpu", tmp_path)) == []
    cpu = torch.device("cpu")
    kind, packed = Kind(cpu, torch.float32, 4, 2, 8), attention_roads._packed(cpu, 2, 30, 3, 9)
    assert packed.prompts.lengths.tolist() == [30, 30] and packed.completions.size == 6 * 8
    (refused,) = attention_roads.compared_roads(kind, packed)  # on a CPU it has no backward pass
    assert refused.passed and refused.value == 0 and "does not support backward" in refused.note
    monkeypatch.setattr(torch_flex, "_validate_device", lambda *_: None)
    monkeypatch.setattr(torch_flex, "_FLEX_ATTENTION_DISABLE_COMPILE_DEBUG", True)
    monkeypatch.setattr(flex, "TRIALS", flex.TRIALS[:1])
    monkeypatch.setattr(attention_roads, "TRIALS", flex.TRIALS[:1])
    road, exact, speed = attention_roads.compared_roads(kind, packed)
    assert road.value == 1 and exact.passed and exact.value < 1e-6
    assert speed.value > 0 and "ms a layer" in speed.note


def test_a_timed_step_comes_with_what_it_computed() -> None:
    """What `vrft plan --selftest` paces a card by, of the shape that a GPU is tested with."""
    figures = counted(THREE_BILLION, 3.5)
    assert figures["step_seconds"] == 3.5
    read, rows = THREE_BILLION.prompts * 600, THREE_BILLION.prompts * THREE_BILLION.generations
    assert figures["decoding_calls"] == 36 * THREE_BILLION.completion
    assert 2 * 3.4e9 * rows * 128 > figures["decoding_flops"] > 2 * 2.7e9 * rows * 128
    assert figures["flops"] > 2 * 2.7e9 * (read + rows * 128)
    finding = Finding("speed", "x", 2.0, 1.0, at_most=False, figures=figures)
    (told,) = verdict.run_selftest(ModelConfig(device="cpu"), print, {"x": lambda _: [finding]})["checks"]
    assert told["figures"] == figures
