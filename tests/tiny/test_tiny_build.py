"""The road of `vrft tiny build`, with so few steps that nothing is learned."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from transformers import AutoModelForImageTextToText, AutoProcessor

from vrft_aug.tiny import build as building
from vrft_aug.tiny.processor import SPECIAL


@pytest.mark.slow
def test_an_interrupted_build_goes_on_and_leaves_a_model_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(*given: object) -> None:
        raise KeyboardInterrupt

    output, work = tmp_path / "model", tmp_path / "model.work"
    with monkeypatch.context() as patch:
        patch.setattr(building, "train_pictures", stop)
        with pytest.raises(KeyboardInterrupt):
            building.build(output, scale=0.002)
    assert {file.stem for file in work.glob("*.safetensors")} == {"vision", "text"} and not output.exists()

    monkeypatch.setattr(building, "_vision", stop)  # stages that are done are not run again
    monkeypatch.setattr(building, "_text", stop)
    building.build(output, scale=0.002)
    assert not work.exists()
    model = AutoModelForImageTextToText.from_pretrained(output, dtype=torch.float32)
    processor = AutoProcessor.from_pretrained(output)
    assert model.config.model_type == "qwen2_5_vl"
    assert all(torch.isfinite(weight).all() for weight in model.parameters())
    assert processor.tokenizer.convert_tokens_to_ids(SPECIAL[0]) != processor.tokenizer.unk_token_id
