"""FSDP2 and ZeRO: their settings, what is refused, and runs on two processes that come out as on one.

ZeRO needs DeepSpeed, which the tests' environment does not have: its cases are skipped there, and were run by
hand for docs/how-to/several-processes.md.
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file

from helpers.launched import launch
from helpers.run_checks import lines, without_times
from helpers.shades import GRPO, SFT, SHADE_TASK, shade_recipe
from vrft_aug.errors import UserError
from vrft_aug.policy.load import load_policy
from vrft_aug.recipe.file import load_recipe, save_recipe
from vrft_aug.recipe.model_config import ModelConfig
from vrft_aug.recipe.parallel_config import ParallelConfig
from vrft_aug.recipe.schema import Recipe
from vrft_aug.training.processes.blank_picture import always_look
from vrft_aug.training.processes.parallel import check_look, check_parallel
from vrft_aug.training.processes.sharding import strategy_settings

SGD = {"optim": "sgd", "learning_rate": 1.0, "max_grad_norm": 0.0, "lr_scheduler_type": "constant"}
# Ends every process once the first checkpoint is marked.
CUT = """
import os, sys
from vrft_aug.training.checkpoint_mark import CheckpointMark
mark = CheckpointMark.on_save
def on_save(self, args, state, control, **more):
    mark(self, args, state, control, **more)
    from vrft_aug.policy.together import wait_for_all
    wait_for_all()
    os._exit(9)
CheckpointMark.on_save = on_save
from vrft_aug.cli import main
sys.argv = ["vrft", *sys.argv[2:]]
main()
"""
LORA = {"lora": {"r": 4, "target_modules": ["q_proj", "v_proj"]}}


def parallel(**settings: Any) -> ParallelConfig:
    return ParallelConfig.model_validate(settings)


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"strategy": "fsdp2", "bucket_cap_mb": 25}, "no setting of fsdp2; it has reshard_after_forward"),
        ({"strategy": "fsdp2", "reshard_after_foward": True}, "did you mean 'reshard_after_forward'"),
        ({"strategy": "fsdp2", "cpu_offload": 1}, "cpu_offload is 1; expected true or false"),
        ({"strategy": "fsdp2", "transformer_layer_cls_to_wrap": []}, "is a list; expected a list of names"),
        ({"strategy": "zero2", "zero_optimisation": {}}, "did you mean 'zero_optimization'"),
        ({"strategy": "zero2", "zero_optimization": {"stage": 3}}, r"strategy \(zero2\) says which stage"),
        ({"strategy": "zero3", "zero_optimization": 3}, "zero_optimization is 3; expected a mapping"),
        ({"strategy": "zero1", "gradient_predivide_factor": 0}, "is 0; expected a number above 0"),
        ({"strategy": "ddp", "cpu_offload": True}, "no setting of ddp"),
    ],
)
def test_wrong_settings_are_one_line(
    given: dict[str, Any], told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vrft_aug.training.processes.parallel.find_spec", lambda name: object())
    with pytest.raises(UserError, match=told):
        check_parallel(parallel(**given))


def test_zero_without_deepspeed_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vrft_aug.training.processes.parallel.find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"zero2, which needs DeepSpeed.*vrft-aug\[deepspeed\].*fsdp2"):
        check_parallel(parallel(strategy="zero2"))
    check_parallel(parallel(strategy="fsdp2", reshard_after_forward=False))


@pytest.mark.parametrize("strategy", ["fsdp2", "zero1", "zero2", "zero3"])
def test_a_look_monitor_beside_shared_weights_is_refused_by_check(strategy: str) -> None:
    chosen = [f"parallel.strategy={strategy}", "stages.grade.look.every=5"]
    with pytest.raises(UserError, match=rf"^stages.grade.look asks in one process.*{strategy}.*every: 0"):
        check_look(load_recipe("fundus-demo", chosen))
    check_look(load_recipe("fundus-demo", chosen[:1]))
    check_look(load_recipe("fundus-demo", ["parallel.strategy=ddp", *chosen[1:]]))


def test_what_the_engines_are_told(random_policy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = load_policy(ModelConfig(name=str(random_policy), device="cpu")).model
    alone = strategy_settings(parallel(strategy="fsdp2"), model)
    assert not any("fsdp" in name for name in alone)  # one process has nothing to share with
    for name, value in (("RANK", "0"), ("LOCAL_RANK", "0"), ("WORLD_SIZE", "2")):
        monkeypatch.setenv(name, value)
    fsdp = strategy_settings(parallel(strategy="fsdp2", reshard_after_forward=False), model)
    assert fsdp["fsdp_config"] == {
        "transformer_layer_cls_to_wrap": ["Qwen2_5_VLDecoderLayer"],  # no units in the vision tower
        "reshard_after_forward": False,
        "version": 2,
        "state_dict_type": "SHARDED_STATE_DICT",
    }
    offload = {"offload_optimizer": {"device": "cpu"}}
    zero = strategy_settings(parallel(strategy="zero2", zero_optimization=offload), model)["deepspeed"]
    assert zero["zero_optimization"] == {**offload, "stage": 2}
    assert zero["gradient_clipping"] == zero["train_batch_size"] == "auto"
    assert all(name.startswith("ddp_") for name in strategy_settings(parallel(), model))


def trained(
    policy: Path,
    folder: Path,
    stage: dict[str, Any],
    count: int,
    strategy: str,
    model: dict[str, Any] | None = None,
    task: dict[str, Any] | None = None,
) -> Path:
    """A run of `vrft train` in `count` processes."""
    if strategy.startswith("zero") and find_spec("deepspeed") is None:
        pytest.skip("needs DeepSpeed")
    folder.mkdir()
    recipe = shade_recipe(policy, stage, model=model or {}, parallel={"strategy": strategy})
    if task is not None:
        recipe = Recipe.model_validate({**recipe.model_dump(), "tasks": {"shade": task}})
    save_recipe(recipe, folder / "recipe.yaml")
    call = ["-m", "vrft_aug", "train", str(folder / "recipe.yaml"), "--output", str(folder / "run")]
    said = launch(call, count, limit=240)
    assert [one.code for one in said] == [0] * count, [one.err[-2000:] for one in said]
    return folder / "run"


def change(policy: Path, run: Path) -> np.ndarray[Any, Any]:
    """What training has changed, all weights in one vector."""
    start, end = (load_file(folder / "model.safetensors") for folder in (policy, run / "model"))
    assert start.keys() == end.keys()
    return np.concatenate([(end[name].astype("f8") - start[name]).ravel() for name in sorted(end)])


def apart(one: np.ndarray[Any, Any], two: np.ndarray[Any, Any]) -> float:
    return float(np.linalg.norm(one - two) / np.linalg.norm(two))


@pytest.mark.slow
@pytest.mark.parametrize("strategy", ["fsdp2", "zero2", "zero3"])
@pytest.mark.parametrize("case", ["whole", "adapter"])
def test_gradients_with_prefix_sharing_are_those_of_one_process(
    random_policy: Path, tmp_path: Path, strategy: str, case: str
) -> None:
    """One step of SGD at rate 1 changes the weights by the gradient; with LoRA also checkpointed."""
    checkpointing = {"gradient_checkpointing": True} if case == "adapter" else {}
    stage = {**GRPO, "steps": 1, "trainer": {**SGD, **checkpointing}}
    model = LORA if case == "adapter" else {}
    one = trained(random_policy, tmp_path / "one", stage, 1, "fsdp2", model)
    two = trained(random_policy, tmp_path / "two", stage, 2, strategy, model)
    texts = [[line["completion"] for line in lines(run / "rollouts.jsonl")] for run in (one, two)]
    assert texts[0] == texts[1] and len(texts[0]) == 8
    if case == "adapter":  # what merging adds is of second order; the adapter itself is the gradient
        name = "model/adapter/adapter_model.safetensors"
        first, second = (load_file(run / name) for run in (one, two))
        grown = [key for key in first if "lora_B" in key]  # begins at zero
        pairs = [np.concatenate([of[key].astype("f8").ravel() for key in grown]) for of in (second, first)]
        assert apart(*pairs) < 1e-5 and np.linalg.norm(pairs[1]) > 0
    else:
        assert apart(change(random_policy, two), change(random_policy, one)) < 1e-5


KL: dict[str, Any] = {
    "prompts_per_step": 4,
    "steps": 5,
    "trainer": {"learning_rate": 0.001, "beta": 0.1},
    "dynamic_sampling": {"mode": "resample", "budget": 3},
}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("strategy", "count", "adapter"),
    [("fsdp2", 4, False), ("zero2", 4, False), ("zero1", 2, False), ("zero1", 2, True)],
)
def test_five_steps_are_those_of_one_process(
    random_policy: Path, tmp_path: Path, strategy: str, count: int, adapter: bool
) -> None:
    """With KL and dynamic sampling, or with LoRA and checkpointing: the completions and the weights."""
    checkpointing = {"learning_rate": 0.001, "gradient_checkpointing": True}
    stage = {**GRPO, **KL, **({"trainer": checkpointing, "dynamic_sampling": {}} if adapter else {})}
    model = LORA if adapter else {}
    one = trained(random_policy, tmp_path / "one", stage, 1, strategy, model)
    several = trained(random_policy, tmp_path / "several", stage, count, strategy, model)
    said = [[line["completion"] for line in lines(run / "rollouts.jsonl")] for run in (one, several)]
    assert said[0] == said[1]
    first, second = (load_file(run / "model" / "model.safetensors") for run in (one, several))
    of_one, of_several = (
        np.concatenate([of[name].astype("f8").ravel() for name in sorted(of)]) for of in (first, second)
    )
    print(f"{strategy}, {count} processes, adapter {adapter}: {apart(of_several, of_one):.1e}")
    assert apart(of_several, of_one) < 1e-4


@pytest.mark.slow
@pytest.mark.parametrize(
    ("strategy", "method"),
    [("fsdp2", "sft"), ("zero3", "sft"), ("zero1", "sft"), ("fsdp2", "grpo"), ("zero2", "grpo")],
)
def test_a_sharded_run_that_was_cut_off_goes_on_as_if_it_had_not_been(
    random_policy: Path, tmp_path: Path, strategy: str, method: str
) -> None:
    """The checkpoint is in parts, its mark comes last, and the model at the end is a normal folder."""
    stage = SFT if method == "sft" else {**GRPO, "save_steps": 2, "steps": 4}
    whole = trained(random_policy, tmp_path / "whole", stage, 2, strategy)
    (folder := tmp_path / "cut").mkdir()
    recipe = shade_recipe(random_policy, stage, parallel={"strategy": strategy})
    save_recipe(recipe, folder / "recipe.yaml")
    call = ["-m", "vrft_aug", "train", str(folder / "recipe.yaml"), "--output", str(folder / "run")]
    said = launch(["-c", CUT, *call[1:]], 2, limit=240)
    assert all(one.code for one in said)
    checkpoint = folder / "run" / "checkpoints" / recipe.stages[0].name / "checkpoint-2"
    assert (checkpoint / "complete.json").is_file()
    if strategy in ("fsdp2", "zero3"):
        assert not list(checkpoint.glob("*.safetensors"))
    said = launch([*call, "--resume"], 2, limit=240)
    assert [one.code for one in said] == [0, 0], [one.err[-2000:] for one in said]
    one, two = (load_file(run / "model" / "model.safetensors") for run in (whole, folder / "run"))
    assert one.keys() == two.keys() and all(np.array_equal(one[name], two[name]) for name in one)
    assert without_times(whole) == without_times(folder / "run")
    assert load_policy(ModelConfig(name=str(whole / "model"), device="cpu")).model.dtype == torch.float32


@pytest.mark.slow
@pytest.mark.parametrize("strategy", ["fsdp2", "zero1", "zero2", "zero3"])
@pytest.mark.parametrize("method", ["grpo", "sft"])
def test_a_process_without_any_picture_does_not_keep_the_others_waiting(
    random_policy: Path, tmp_path: Path, strategy: str, method: str
) -> None:
    """The tower trains, and in some steps one process has no picture: still within `launch`'s time limit."""
    task = {**SHADE_TASK, "data": {"reader": "helpers.shades:read_some_blank"}}
    rate = {"trainer": {"learning_rate": 0.001}, "prompts_per_step": 2}
    stage = {**(GRPO if method == "grpo" else SFT), **rate, "steps": 3}
    one = trained(random_policy, tmp_path / "one", stage, 1, strategy, task=task)
    two = trained(random_policy, tmp_path / "two", stage, 2, strategy, task=task)
    assert apart(change(random_policy, two), change(random_policy, one)) < 1e-3


def test_the_blank_picture_counts_nothing(random_policy: Path) -> None:
    """Without pictures the scores are the same, and each weight of the tower has a gradient: zero."""
    policy = load_policy(ModelConfig(name=str(random_policy), device="cpu"), training=True)
    ids = torch.arange(20, 32)[None]
    plain = policy.model(input_ids=ids).logits
    engine = SimpleNamespace(
        is_fsdp_enabled=True, is_deepspeed_enabled=False, model=policy.model,
        processing_class=policy.processor,
    )  # fmt: skip
    always_look(engine)
    logits = policy.model(input_ids=ids).logits
    assert torch.equal(logits, plain)
    logits.sum().backward()
    tower = dict(policy.model.model.visual.named_parameters())
    assert tower and all(weight.grad is not None and not weight.grad.any() for weight in tower.values())
    assert not policy.model.get_input_embeddings()._forward_hooks
    with torch.no_grad():  # a step of decoding is left alone
        assert policy.model(input_ids=ids[:, :1]).logits.shape[1] == 1
