"""Adapters: kept in PEFT's format, gone on with, merged within the error that is told, read by plain PEFT."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any, Literal

import pytest
import torch
from safetensors.torch import load_file, save_file

from helpers.run_checks import interrupt, lines, same_run
from helpers.shades import GRPO, SFT, shade_recipe
from vrft_aug.errors import UserError
from vrft_aug.evaluation.evaluate import evaluate_path
from vrft_aug.experiments.run import train
from vrft_aug.policy.load import load_policy
from vrft_aug.recipe.model_config import ModelConfig

LORA = {"r": 4, "lora_alpha": 8}


@pytest.fixture(scope="module")
def run(random_policy: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """SFT, then GRPO with a KL term, on one adapter over a bfloat16 base; nothing merged."""
    folder = tmp_path_factory.mktemp("adapters") / "run"
    model = {"lora": LORA, "dtype": "bfloat16", "merge": False}
    train(shade_recipe(random_policy, SFT, GRPO | KL, model=model), folder)
    return folder


KL = {"trainer": {"learning_rate": 0.01, "beta": 0.1}}
IDS = torch.arange(40, 60)[None]


def log_probs(model: Any) -> torch.Tensor:
    with torch.no_grad():
        logits: torch.Tensor = model(input_ids=IDS).logits.float()
    return logits.log_softmax(dim=-1)


def adapter_weights(folder: Path) -> dict[str, torch.Tensor]:
    weights: dict[str, torch.Tensor] = load_file(folder / "adapter_model.safetensors")
    return weights


def test_each_stage_leaves_an_adapter_alone_and_the_next_goes_on_with_it(run: Path) -> None:
    first, last = (run / "checkpoints" / stage / "model" for stage in ("answers", "rewards"))
    for folder in (first, last, run / "model"):
        assert not list(folder.glob("*.safetensors")) and (folder / "tokenizer.json").is_file()
        assert {w.dtype for w in adapter_weights(folder / "adapter").values()} == {torch.float32}
    before, after = adapter_weights(first / "adapter"), adapter_weights(last / "adapter")
    assert before.keys() == after.keys() and any((before[k] != after[k]).any() for k in before)
    settings = json.loads((run / "model" / "adapter" / "adapter_config.json").read_text())
    assert settings["r"] == LORA["r"]  # one adapter, not a second beside it
    steps = [line for line in lines(run / "metrics.jsonl") if line["stage"] == "rewards"]
    assert steps[0]["kl"] == pytest.approx(0, abs=1e-6) and steps[-1]["kl"] > 0  # against the stage's start


def test_plain_peft_loads_it_and_says_the_same(run: Path, random_policy: Path) -> None:
    from peft import PeftModel
    from transformers import AutoModelForImageTextToText

    base = AutoModelForImageTextToText.from_pretrained(random_policy, dtype=torch.bfloat16)
    plain = PeftModel.from_pretrained(base, run / "model" / "adapter").eval()
    config = ModelConfig(name=str(run / "model"), dtype="bfloat16", device="cpu")  # the name is an adapter's
    ours = load_policy(config).model.eval()
    assert torch.equal(log_probs(plain), log_probs(ours))
    without = AutoModelForImageTextToText.from_pretrained(random_policy, dtype=torch.bfloat16).eval()
    assert (log_probs(without) - log_probs(ours)).abs().max() > 0.05


def test_evaluation_is_of_the_base_with_its_adapter(run: Path) -> None:
    report = evaluate_path(str(run))
    base, _, adapter = report.provenance.model.partition("+")
    assert len(base) == len(adapter) == 12 and "adapter" in report.provenance.model_name


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_a_merged_model_equals_its_adapter_within_the_error_told(
    random_policy: Path, tmp_path: Path, dtype: Literal["float32", "bfloat16"]
) -> None:
    model = {"lora": LORA, "dtype": dtype}
    train(shade_recipe(random_policy, {**SFT, "steps": 2}, model=model), tmp_path / "run")
    folder = tmp_path / "run" / "model"
    told = json.loads((folder / "merge.json").read_text())
    assert told["dtype"] == dtype
    base = load_policy(ModelConfig(name=str(random_policy), dtype=dtype, device="cpu")).model.state_dict()
    merged = load_policy(ModelConfig(name=str(folder), dtype=dtype, device="cpu")).model.state_dict()
    adapter = adapter_weights(folder / "adapter")
    lost = change = 0.0
    for name, weight in adapter.items():
        if "lora_A" not in name:
            continue
        delta = 2 * adapter[name.replace("lora_A", "lora_B")].double() @ weight.double()  # alpha / r
        own = name.removeprefix("base_model.model.").replace("lora_A.weight", "weight")
        lost += float((merged[own].double() - base[own].double() - delta).square().sum())
        change += float(delta.square().sum())
    measured = (lost / change) ** 0.5
    assert measured == pytest.approx(told["lost"], rel=0.02, abs=1e-6)
    assert measured < 1e-5 if dtype == "float32" else 1e-4 < measured < 0.5
    alone = load_policy(ModelConfig(name=str(folder / "adapter"), dtype=dtype, device="cpu"))
    whole = load_policy(ModelConfig(name=str(folder), dtype=dtype, device="cpu"))
    assert alone.adapter is not None and whole.adapter is None
    limit = 1e-5 if dtype == "float32" else 0.1
    torch.testing.assert_close(log_probs(whole.model), log_probs(alone.model), atol=limit, rtol=0)


@pytest.mark.slow
def test_a_run_starts_from_an_adapter_and_resumes(
    run: Path, random_policy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    start = run / "model" / "adapter"
    recipe = shade_recipe(random_policy, GRPO | KL, model={"adapter": str(start)})
    train(recipe, tmp_path / "whole")
    before, after = adapter_weights(start), adapter_weights(tmp_path / "whole" / "model" / "adapter")
    assert before.keys() == after.keys()
    moved = max(float((before[k] - after[k]).abs().max()) for k in before)
    assert 0 < moved < 0.05  # three steps of 0.01 from where it stood
    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        interrupt(patched, "rewards", 3)
        train(recipe, tmp_path / "cut")
    train(recipe, tmp_path / "cut", resume=True)
    same_run(tmp_path / "whole", tmp_path / "cut")


def test_a_kl_term_loads_no_second_model(run: Path, random_policy: Path, monkeypatch: Any) -> None:
    from trl.trainer import grpo_trainer

    def refused(*_: Any, **__: Any) -> Any:
        raise AssertionError("a second model was loaded")

    monkeypatch.setattr(grpo_trainer, "create_model_from_path", refused)
    folder = run.parent / "kl"
    train(shade_recipe(random_policy, {**GRPO, **KL, "steps": 1}, model={"lora": LORA}), folder)
    assert lines(folder / "metrics.jsonl")[0]["kl"] == pytest.approx(0, abs=1e-6)


def test_what_is_no_adapter_is_one_line(run: Path, random_policy: Path, tmp_path: Path) -> None:
    def refused(message: str, **settings: Any) -> None:
        with pytest.raises(UserError, match=message) as caught:
            load_policy(ModelConfig(**{"name": str(random_policy), "device": "cpu"} | settings))
        assert "\n" not in str(caught.value) and len(str(caught.value)) < 500

    refused(r"holds no adapter_config\.json", adapter=str(random_policy))
    (tmp_path / "half").mkdir()
    shutil.copy(run / "model" / "adapter" / "adapter_config.json", tmp_path / "half")
    refused("expected safetensors weights", adapter=str(tmp_path / "half"))
    weights = {k: torch.zeros(3, 3) for k in adapter_weights(run / "model" / "adapter")}
    save_file(weights, tmp_path / "half" / "adapter_model.safetensors")
    refused("cannot be put on Qwen2_5_VLForConditionalGeneration", adapter=str(tmp_path / "half"))
    settings = json.loads((tmp_path / "half" / "adapter_config.json").read_text())
    del settings["base_model_name_or_path"]
    (tmp_path / "half" / "adapter_config.json").write_text(json.dumps(settings))
    refused("names no base model", name=str(tmp_path / "half"))
    with pytest.raises(ValueError, match="brings its own settings"):
        ModelConfig(adapter="somewhere", lora=LORA)
