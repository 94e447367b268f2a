"""`model.freeze`: what is frozen neither learns nor leaves evaluation mode, what is not trains as ever."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig, get_peft_model

from helpers import tiny_families
from helpers.run_checks import interrupt, same_run
from helpers.shades import GRPO, SFT, shade_recipe
from vrft_aug.errors import UserError
from vrft_aug.experiments.run import train
from vrft_aug.policy.freezing import freeze
from vrft_aug.policy.load import load_policy
from vrft_aug.policy.prefix.features import tower_version
from vrft_aug.recipe.model_config import Freeze
from vrft_aug.training.preflight import check_run

FAMILIES = pytest.mark.parametrize("family", list(tiny_families.FAMILIES))


def trained_names(model: Any) -> set[str]:
    return {name for name, weight in model.named_parameters() if weight.requires_grad}


@FAMILIES
def test_tower_and_projector_are_found_in_every_family(family: str) -> None:
    names = {}
    for setting in ("vision", "projector"):
        model = tiny_families.build(family).requires_grad_(True)  # the photo base's tower comes frozen
        before = trained_names(model)
        freeze(model, Freeze.model_validate({setting: True}))
        names[setting] = before - trained_names(model)
    language = {id(weight) for weight in model.get_decoder().parameters()}
    language |= {id(weight) for weight in model.get_output_embeddings().parameters()}
    outside = {name for name, weight in model.named_parameters() if id(weight) not in language}
    assert names["vision"] and names["projector"] and not names["vision"] & names["projector"]
    assert names["vision"] | names["projector"] == outside
    projecting = ("merger", "projector", "connector", "image_newline")
    assert all(any(part in name for part in projecting) for name in names["projector"])
    assert not any(any(part in name for part in projecting) for name in names["vision"])


def test_layers_and_names() -> None:
    model = tiny_families.build("qwen2_5_vl")
    count = freeze(model, Freeze(layers_below=2, names=("layers.2.mlp", "*.blocks.1.*.proj", "norm.weight")))
    frozen = {name for name, _ in model.named_parameters()} - trained_names(model)
    assert {name.split("language_model.")[1].split(".")[1] for name in frozen if ".layers." in name} == set(
        "012"
    )
    assert "model.language_model.layers.2.mlp.up_proj.weight" in frozen
    assert "model.language_model.layers.2.self_attn.q_proj.weight" not in frozen
    assert "model.visual.blocks.1.attn.proj.weight" in frozen
    assert "model.language_model.norm.weight" in frozen
    total = sum(weight.numel() for weight in model.parameters())
    left = sum(weight.numel() for weight in model.parameters() if weight.requires_grad)
    assert (count.trained, count.parameters) == (left, total) and 0 < left < total
    assert str(count).startswith(f"trains {left:,} of {total:,} parameters (")
    assert str(count).endswith("frozen: layers below 2, layers.2.mlp, *.blocks.1.*.proj, norm.weight")


def test_what_is_frozen_stays_in_evaluation_mode() -> None:
    model = tiny_families.build("qwen2_5_vl")
    dropping = model.model.visual.blocks[0]
    dropping.attn.register_module("noise", torch.nn.Dropout(0.5))
    freeze(model, Freeze(vision=True, layers_below=1))
    for mode in (True, False, True):
        model.train(mode)
        assert not dropping.training and not dropping.attn.noise.training
        assert not model.get_decoder().layers[0].mlp.training
        assert model.get_decoder().layers[1].training is mode
        assert model.model.visual.merger.training is mode
    other = copy.deepcopy(model)  # as the KL reference is
    other.model.visual.blocks[0].training = True
    assert not dropping.training


def test_features_are_kept_where_dropout_is_frozen_and_never_where_the_tower_trains() -> None:
    model = tiny_families.build("qwen2_5_vl")
    model.model.visual.blocks[0].register_module("noise", torch.nn.Dropout(0.5))
    freeze(model, Freeze(vision=True))
    model.train()
    assert tower_version(model.base_model) is None  # the projector trains
    freeze(model, Freeze(vision=True, projector=True))
    model.train()
    assert tower_version(model.base_model) is not None
    adapted = get_peft_model(tiny_families.build("qwen2_5_vl"), LoraConfig(r=2, target_modules="all-linear"))
    adapted.train()
    assert tower_version(adapted.get_base_model().base_model) is None  # the adapter lies in the tower too
    count = freeze(adapted, Freeze(vision=True, projector=True))
    assert tower_version(adapted.get_base_model().base_model) is not None
    assert count.trained and all("language_model" in name for name in trained_names(adapted))


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        ({"layers_below": 3}, "layers_below is 3, but the language model has 2 layers"),
        ({"names": ["visul"]}, "has no part 'visul'; did you mean 'visual'"),
        ({"names": ["*"]}, "leaves nothing to train of"),
    ],
)
def test_what_cannot_be_frozen_is_one_line(random_policy: Path, wanted: dict[str, Any], message: str) -> None:
    recipe = shade_recipe(random_policy, GRPO, model={"freeze": wanted})
    policy = load_policy(recipe.model, training=True)
    with pytest.raises(UserError) as caught:
        check_run(recipe, policy)
        freeze(policy.model, recipe.model.freeze)
    assert message in str(caught.value) and "\n" not in str(caught.value) and len(str(caught.value)) < 500


@pytest.mark.parametrize("lora", [None, {"r": 2}], ids=["full", "lora"])
def test_training_leaves_frozen_weights_alone_and_resumes_exactly(
    random_policy: Path, tmp_path: Path, lora: dict[str, Any] | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = {"freeze": {"vision": True, "projector": True, "layers_below": 1}, "lora": lora}
    recipe = shade_recipe(random_policy, {**SFT, "steps": 2}, {**GRPO, "steps": 4}, model=model)
    train(recipe, tmp_path / "whole")
    with monkeypatch.context() as patch:
        interrupt(patch, "rewards", 3)
        with pytest.raises(KeyboardInterrupt):
            train(recipe, tmp_path / "cut")
    train(recipe, tmp_path / "cut", resume=True)
    same_run(tmp_path / "whole", tmp_path / "cut")
    before = load_policy(recipe.model).model.state_dict()
    after = load_policy(recipe.model.model_copy(update={"name": str(tmp_path / "whole/model"), "lora": None}))
    moved = {
        name for name, weight in after.model.state_dict().items() if not torch.equal(weight, before[name])
    }
    assert moved and not any("visual" in name or "layers.0." in name for name in moved)
    told = (tmp_path / "whole" / "parameters.json").read_text()
    assert told == (tmp_path / "cut" / "parameters.json").read_text()
    assert told.count('"layers below 1"') == 2 and '"answers"' in told and '"rewards"' in told
