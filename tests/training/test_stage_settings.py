"""Settings of TRL and PEFT are known without importing them; the tables say what the libraries say."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from helpers.shades import GRPO, SFT
from vrft_aug.errors import UserError
from vrft_aug.recipe.model_config import ModelConfig
from vrft_aug.recipe.stage_config import StageConfig
from vrft_aug.training.library_settings import TABLE, Range, known_settings
from vrft_aug.training.stage_settings import (
    LORA_RANGES,
    NO_PLACE,
    OTHER_RANGES,
    TRAINER_RANGES,
    check_lora,
    check_trainer,
    needs_rehearsal,
)

ROOT = Path(__file__).parents[2]


def stage(method: dict[str, Any] = GRPO, **trainer: Any) -> StageConfig:
    return StageConfig.model_validate({**method, "trainer": trainer})


def test_the_table_is_what_the_installed_libraries_say(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "scripts"))
    sys.modules.pop("library_settings", None)
    from importlib import import_module

    table = import_module("library_settings").table()
    assert json.loads(TABLE.read_text("utf-8")) == table, "run python scripts/library_settings.py"


def test_what_is_said_of_settings_names_settings_that_there_are() -> None:
    trainer = {*known_settings("GRPOConfig"), *known_settings("SFTConfig")}
    assert {*TRAINER_RANGES, *OTHER_RANGES, *NO_PLACE} <= trainer
    assert set(LORA_RANGES) <= set(known_settings("LoraConfig"))


@pytest.mark.parametrize(
    ("method", "trainer", "message"),
    [
        (GRPO, {"learning_rat": 1.0}, "has no setting 'learning_rat'; did you mean 'learning_rate'"),
        (GRPO, {"learning_rate": "abc"}, "trainer.learning_rate is 'abc'; expected a number, like 1e-06"),
        (GRPO, {"learning_rate": -1}, "trainer.learning_rate is -1; expected a number from 0 to 10"),
        (GRPO, {"learning_rate": float("nan")}, "trainer.learning_rate is nan; expected a number from 0"),
        (GRPO, {"learning_rate": True}, "trainer.learning_rate is true; expected a number"),
        (GRPO, {"num_iterations": 1.5}, "trainer.num_iterations is 1.5; expected a whole number, like 1"),
        (GRPO, {"temperature": 0}, "trainer.temperature is 0; expected a number above 0 to 100"),
        (GRPO, {"top_p": 1.2}, "trainer.top_p is 1.2; expected a number above 0 to 1"),
        (GRPO, {"optim": "adam"}, "trainer.optim is 'adam'; expected one of adamw_torch"),
        (GRPO, {"loss_type": "nll"}, "trainer.loss_type is 'nll'; expected one of grpo, bnpo"),
        (SFT, {"loss_type": "grpo"}, "trainer.loss_type is 'grpo'; expected one of nll, dft"),
        (SFT, {"beta": 0.1}, "trl.SFTConfig has no setting 'beta'"),
        (GRPO, {"push_to_hub": True}, "trainer.push_to_hub is True: a run stays on this machine; remove it"),
        (GRPO, {"eval_strategy": "steps"}, "the recipe's evaluation judges the model"),
        (GRPO, {"chat_template_kwargs": {"enable_thinking": False}}, "prompts are the same in training"),
        (GRPO, {"max_steps": 5}, "stages"),
        (GRPO, {"save_steps": 5}, "trainer.save_steps is set by stages"),
        (GRPO, {"gradient_accumulation_steps": 3}, r"expected a divisor of prompts_per_step x generations"),
    ],
)  # fmt: skip
def test_a_wrong_setting_is_one_line(method: dict[str, Any], trainer: dict[str, Any], message: str) -> None:
    with pytest.raises(Exception, match=message) as caught:
        check_trainer(stage(method, **trainer))
    if isinstance(caught.value, UserError):  # else of the schema, whose messages are tested there
        assert len(str(caught.value)) < 500 and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("lora", "message"),
    [
        ({"rank": 4}, "peft.LoraConfig has no setting 'rank'"),
        ({"r": 0}, "model.lora.r is 0; expected a number from 1 to 8192"),
        ({"r": "many"}, "model.lora.r is 'many'; expected a whole number, like 8"),
        ({"lora_dropout": 1.0}, "model.lora.lora_dropout is 1.0; expected a number from 0 below 1"),
        ({"bias": "some"}, "model.lora.bias is 'some'; expected one of none, all, lora_only"),
        ({"peft_type": "IA3"}, "model.lora.peft_type is set by nothing"),
    ],
)
def test_a_wrong_adapter_is_one_line(lora: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        check_lora(ModelConfig(lora=lora))


def test_what_is_right_passes_and_only_what_tables_cannot_judge_loads_trl() -> None:
    model = ModelConfig()
    usual = {"learning_rate": 1e-5, "scale_rewards": "none", "beta": 0.04, "optim": "adamw_torch"}
    for trainer in (usual, {"scale_rewards": False}, {"eval_strategy": "no"}, {"min_p": None}):
        check_trainer(stage(GRPO, **trainer))
    check_lora(ModelConfig(lora={"r": 8, "target_modules": ["q_proj"], "init_lora_weights": "gaussian"}))
    assert not needs_rehearsal(stage(GRPO, **usual), model)
    assert not needs_rehearsal(stage(GRPO), ModelConfig(lora={"r": 8, "lora_alpha": 16}))
    assert needs_rehearsal(stage(GRPO, optim="lomo"), model)
    assert needs_rehearsal(stage(GRPO, num_iterations=2), model)
    assert needs_rehearsal(stage(GRPO), ModelConfig(lora={"target_modules": ["q"]}))


def test_ranges_know_their_ends() -> None:
    assert 0 in Range(0, 1) and 1 in Range(0, 1) and float("inf") not in Range(0)
    assert 0 not in Range(0, open_low=True) and 1 not in Range(0, 1, open_high=True)
    assert str(Range(1)) == "a number from 1 up" and str(Range(0, 1, open_high=True)).endswith("0 below 1")


def test_ways_to_start_an_adapter_are_known() -> None:
    with pytest.raises(UserError, match="init_lora_weights is 'gausian'; did you mean 'gaussian'"):
        check_lora(ModelConfig(lora={"init_lora_weights": "gausian"}))
    check_lora(ModelConfig(lora={"init_lora_weights": "pissa_niter_4"}))
