"""Memory or numbers that run out end in one line, and the run goes on from its last checkpoint."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from helpers.run_checks import lines, same_run
from helpers.shades import GRPO, SFT, shade_recipe
from vrft_aug.errors import UserError
from vrft_aug.experiments.run import train
from vrft_aug.policy.out_of_memory import ran_out_of_memory
from vrft_aug.recipe.stage_config import StageConfig
from vrft_aug.training.policy_trainer import PolicyTrainer
from vrft_aug.training.stopped import memory_error

STEPS = {"steps": 4, "save_steps": 2}
CPU = "[enforce fail at alloc_cpu.cpp:121] DefaultCPUAllocator: can't allocate memory: you tried 9 bytes"


def stage(**changes: Any) -> StageConfig:
    return StageConfig.model_validate({**GRPO, **changes})


def plant(monkeypatch: pytest.MonkeyPatch, step: int, act: Callable[[Any], None], method: str) -> None:
    """Let `act` happen when a trainer of GRPO calls a method in a step."""
    stock = getattr(PolicyTrainer, method)

    def planted(self: Any, *arguments: Any, **settings: Any) -> Any:
        if self.state.global_step + 1 == step:
            act(self)
        return stock(self, *arguments, **settings)

    monkeypatch.setattr(PolicyTrainer, method, planted)


def raises(error: Exception) -> Callable[[Any], None]:
    def act(_: Any) -> None:
        raise error

    return act


def test_every_backends_words_for_it_are_known() -> None:
    for error in (torch.OutOfMemoryError("CUDA out of memory."), MemoryError(), RuntimeError(CPU)):
        assert ran_out_of_memory(error)
    assert ran_out_of_memory(RuntimeError("MPS backend out of memory (MPS allocated: 8 GB)"))
    assert not ran_out_of_memory(RuntimeError("shapes do not fit")) and not ran_out_of_memory(ValueError())


def test_the_two_settings_are_those_that_are_left(tmp_path: Path) -> None:
    error = torch.OutOfMemoryError("CUDA out of memory.")
    first = str(memory_error(error, stage(), "cuda", 70, False, tmp_path))
    assert (
        "stages.rewards ran out of memory on cuda: a micro-batch of 8 (prompts of about 70 tokens, " in first
    )
    assert "completions of up to 12, in groups of 4); no checkpoint of this stage was due yet; set " in first
    assert "gradient_accumulation_steps: 2 and stages.rewards.trainer.gradient_checkpointing: true" in first
    assert "the run comes out as it would have" in first and len(first) < 500
    split = stage(trainer={"gradient_accumulation_steps": 8})
    last = str(memory_error(error, split, "cuda", 70, True, tmp_path))
    assert (
        "a micro-batch of 1 " in last and "prompts_per_step: 1 and stages.rewards.max_new_tokens: 6" in last
    )
    assert "this one may be run anew" in last and len(last) < 500


@pytest.mark.slow
def test_memory_that_runs_out_is_one_line_and_the_run_goes_on_with_what_it_names(
    random_policy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = shade_recipe(random_policy, {**GRPO, **STEPS})
    with monkeypatch.context() as patched:
        plant(patched, 4, raises(torch.OutOfMemoryError("CUDA out of memory.")), "_compute_loss")
        with pytest.raises(UserError, match=r"a micro-batch of 8 .*; the checkpoint of step 2 is kept; set "):
            train(recipe, tmp_path / "run")
    trainer = {**GRPO["trainer"], "gradient_accumulation_steps": 2, "gradient_checkpointing": True}
    lighter = shade_recipe(random_policy, {**GRPO, **STEPS, "trainer": trainer})
    train(lighter, tmp_path / "run", resume=True)
    assert [line["step"] for line in lines(tmp_path / "run" / "metrics.jsonl")] == [1, 2, 3, 4]
    assert not (tmp_path / "run" / "superseded").exists()


@pytest.mark.slow
def test_memory_that_runs_out_while_sampling_says_so_and_resumes_exactly(
    random_policy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = shade_recipe(random_policy, {**GRPO, **STEPS})
    with monkeypatch.context() as patched:
        plant(patched, 4, raises(RuntimeError(CPU)), "_generate_single_turn")
        wanted = r"sampling 8 completions .*of step 2 is kept; set stages.rewards.prompts_per_step: 1"
        with pytest.raises(UserError, match=wanted):
            train(recipe, tmp_path / "run")
    train(recipe, tmp_path / "run", resume=True)
    train(recipe, tmp_path / "whole")
    same_run(tmp_path / "whole", tmp_path / "run")


def nan_weights(trainer: Any) -> None:
    with torch.no_grad():
        next(p for p in trainer.model.parameters() if p.requires_grad).fill_(float("nan"))


@pytest.mark.slow
def test_no_nan_is_saved_and_the_last_good_checkpoint_stays(
    random_policy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = shade_recipe(random_policy, {**GRPO, **STEPS})
    wanted = r"rewards stopped at step 4, before anything of it was saved: the weights .* and loss is nan"
    with monkeypatch.context() as patched:
        plant(patched, 4, nan_weights, "_compute_loss")
        with pytest.raises(UserError, match=wanted) as caught:
            train(recipe, tmp_path / "run")
    assert "the checkpoint of step 2 is kept" in str(caught.value) and len(str(caught.value)) < 500
    folder = tmp_path / "run" / "checkpoints" / "rewards"
    assert [path.name for path in folder.glob("checkpoint-*")] == ["checkpoint-2"]
    train(recipe, tmp_path / "run", resume=True)
    train(recipe, tmp_path / "whole")
    same_run(tmp_path / "whole", tmp_path / "run")


def test_weights_are_looked_at_before_they_are_saved(
    random_policy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = shade_recipe(random_policy, {**SFT, "steps": 2, "save_steps": 2})

    def broken(self: Any, *_: Any, model: Any = None, **__: Any) -> None:
        nan_weights(type("T", (), {"model": model}))

    monkeypatch.setattr("transformers.TrainerCallback.on_optimizer_step", broken)
    with pytest.raises(UserError, match=r"stages\.answers stopped at step \d.*(no longer numbers|is nan)"):
        train(recipe, tmp_path / "run")
    assert not list((tmp_path / "run").rglob("*.safetensors"))
