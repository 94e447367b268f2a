"""A folder that is no model, or not a whole one, ends in one line that says what is missing."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from helpers.true_families import save_family
from vrft_aug.errors import UserError
from vrft_aug.policy.load import load_policy
from vrft_aug.recipe.model_config import ModelConfig


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_family("smolvlm", tmp_path_factory.mktemp("whole"))


def line(name: str | Path) -> str:
    with pytest.raises(UserError) as caught:
        load_policy(ModelConfig(name=str(name), device="cpu"))
    told = str(caught.value)
    assert "\n" not in told and len(told) < 500 + len(str(name)) and str(name) in told
    return told


@pytest.mark.parametrize(
    ("missing", "told"),
    [
        ("config.json", "holds no config.json"),
        ("processor_config.json", "holds no processor_config.json or preprocessor_config.json"),
        ("tokenizer.json", "holds no tokenizer.json"),
        ("model.safetensors", r"holds no \*.safetensors"),
    ],
)
def test_a_missing_file_is_named(whole: Path, tmp_path: Path, missing: str, told: str) -> None:
    folder = shutil.copytree(whole, tmp_path / "part")
    (folder / missing).unlink()
    with pytest.raises(UserError, match=told):
        load_policy(ModelConfig(name=str(folder), device="cpu"))
    line(folder)


@pytest.mark.parametrize(
    ("file", "text", "told"),
    [
        ("config.json", "a thesis", "not a valid JSON file"),
        ("config.json", "[]", "model_type"),
        ("config.json", '{"model_type": "nope"}', "`nope`"),
        ("config.json", '{"model_type": "llama"}', "LlamaConfig"),
        ("processor_config.json", "{", "not a valid JSON file"),
        ("processor_config.json", '{"processor_class": "Nope"}', "no image processor"),
        ("tokenizer.json", "{}", "cannot be loaded"),
        ("model.safetensors", "weights", "header"),
    ],
)
def test_a_broken_file_is_one_line(whole: Path, tmp_path: Path, file: str, text: str, told: str) -> None:
    folder = shutil.copytree(whole, tmp_path / "broken")
    (folder / file).write_text(text)
    assert told in line(folder)


def test_a_gated_name_without_a_network_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    assert "a gated one wants `hf auth login`" in line("meta-llama/Llama-3.2-11B-Vision-Instruct")


def test_what_a_processor_needs_of_other_packages_is_one_line(
    whole: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("transformers.models.smolvlm.processing_smolvlm.num2words", None)
    assert "num2words" in line(whole)
