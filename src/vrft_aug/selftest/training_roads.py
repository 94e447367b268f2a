"""Training as users run it: steps in bfloat16 against float32, an adapter, a run that is cut and goes on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from safetensors.torch import load_file

from vrft_aug.policy.load import load_policy, written_model
from vrft_aug.recipe.model_config import ModelConfig
from vrft_aug.recipe.schema import Recipe
from vrft_aug.run.layout import stage_model
from vrft_aug.selftest.outcome import Finding, Machine
from vrft_aug.selftest.small_run import GRPO, SFT, cases_of, random_model, recipe_of, trained
from vrft_aug.training.checkpoints import publish_model
from vrft_aug.training.monitoring.progress import RunLog
from vrft_aug.training.stage import train_stage

Weights = dict[str, torch.Tensor]
WAYS: tuple[tuple[str, str, bool], ...] = (
    ("full", "full fine-tuning", False),
    ("adapter", "an adapter over a bfloat16 base", True),
)


def precision(machine: Machine) -> list[Finding]:
    """Two optimiser steps at the rate of reinforcement learning, in each way that bfloat16 is allowed."""
    model, found = random_model(machine.room("precision") / "model"), []
    for name, told, adapts in WAYS:
        settings = {"adapter": str(model / "adapter")} if adapts else {}
        exact, half = (
            update(
                recipe_of(model, machine.device, SFT, dtype=dtype, **settings),
                machine.room(f"{name}-{dtype}"),
            )
            for dtype in ("float32", "bfloat16")
        )
        one, two = (torch.cat([w[key].flatten() for key in exact]) for w in (exact, half))
        cosine = float(torch.nn.functional.cosine_similarity(one, two, dim=0))
        moved = float((two[one != 0] != 0).double().mean())
        found += [
            Finding(
                f"bfloat16_{name}_cosine", f"two steps of {told} in bfloat16 go where float32 goes: cosine",
                cosine, 0.99, at_most=False,
            ),
            Finding(
                f"bfloat16_{name}_moved", f"share of the weights that move in float32 and move too, {told}",
                moved, 0.99, at_most=False,
            ),
        ]  # fmt: skip
    return found


def update(recipe: Recipe, folder: Path) -> Weights:
    """What the stage adds to each trained weight."""
    policy = load_policy(recipe.model, training=True)
    before = _weights(policy.model)
    after = _weights(trained(recipe, policy, folder))
    return {name: after[name] - before[name] for name in before}


def _weights(model: Any) -> Weights:
    return {n: w.detach().double().cpu() for n, w in model.named_parameters() if w.requires_grad}


def adapter(machine: Machine) -> list[Finding]:
    """An adapter is trained, written, read and merged."""
    folder = machine.room("adapter")
    stage = {**SFT, "trainer": {"learning_rate": 1e-3}}
    recipe = recipe_of(random_model(folder / "model"), machine.device, stage, lora={"r": 4})
    policy = load_policy(recipe.model, training=True)
    model = trained(recipe, policy, folder / "run")
    own = log_probs(model)
    publish_model(model, policy.processor, folder / "written", recipe.model, last=True)
    read = log_probs(load_policy(written_model(recipe.model, folder / "written", training=True)).model)
    merged = log_probs(load_policy(ModelConfig(name=str(folder / "written"), device=machine.device)).model)
    start = log_probs(load_policy(recipe.model).model)
    return [
        Finding(
            "adapter_read", "an adapter that is written and read says the same: largest difference",
            float((read - own).abs().max()), 1e-4,
        ),
        Finding(
            "adapter_merged", "the adapter merged into its base says the same: largest difference",
            float((merged - own).abs().max()), 1e-3,
        ),
        Finding(
            "adapter_trained", "and not what the base says: largest difference",
            float((start - own).abs().max()), 1e-3, at_most=False,
        ),
    ]  # fmt: skip


def log_probs(model: Any) -> torch.Tensor:
    """Of some tokens, (T, V)."""
    ids = torch.arange(40, 72, device=model.device)[None]
    model.eval()
    with torch.no_grad():
        logits: torch.Tensor = model(input_ids=ids).logits[0].float()
    return logits.log_softmax(dim=-1).cpu()


def resume(machine: Machine) -> list[Finding]:
    """A stage that is cut after its second step goes on to the weights of one that was not.

    To the bit on a CPU; GPUs add numbers in an order of their own, so there it is steps without sampling.
    """
    exact = machine.device == "cpu"
    folder = machine.room("resume")
    stage = GRPO if exact else {**SFT, "steps": 3}
    recipe = recipe_of(random_model(folder / "model"), machine.device, stage)
    tasksets = (cases_of(recipe, load_policy(recipe.model)),)
    console = Console(quiet=True)
    train_stage(recipe, 0, tasksets, folder / "whole", console)
    try:
        with_interruption(2, lambda: train_stage(recipe, 0, tasksets, folder / "cut", console))
    except KeyboardInterrupt:
        train_stage(recipe, 0, tasksets, folder / "cut", console)
    name = recipe.stages[0].name
    one, two = (load_file(stage_model(folder / run, name) / "model.safetensors") for run in ("whole", "cut"))
    difference = max(float((one[key].float() - two[key].float()).abs().max()) for key in one)
    return [
        Finding(
            "resume", "a run that is cut and goes on ends as an uncut one: largest difference of a weight",
            difference, 0.0 if exact else 1e-6,
        )
    ]  # fmt: skip


def with_interruption(step: int, run: Any) -> None:
    """Run, and raise KeyboardInterrupt as Ctrl-C would after this step was logged."""
    stock = RunLog.on_log

    def on_log(self: RunLog, args: Any, state: Any, control: Any, **more: Any) -> None:
        stock(self, args, state, control, **more)
        if state.global_step == step:
            raise KeyboardInterrupt

    setattr(RunLog, "on_log", on_log)  # noqa: B010  # a method of a class is no attribute to mypy
    try:
        run()
    finally:
        setattr(RunLog, "on_log", stock)  # noqa: B010
