"""Peak memory of one planned setting, in this process: what scripts/plan_page.py starts for each of them.

Counted are the model's weights and what torch allocates beside them until the stage's last step is done: the
running sum of the allocations and frees that torch's profiler records, and its maximum. On a CPU that is what
`torch.cuda.max_memory_allocated` is on a GPU: Python, the libraries, their scratch space and what the
allocator keeps for itself are not in it.
"""

from __future__ import annotations

import json
import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from rich.console import Console

from vrft_aug.bench.profile import silent_stderr

SEED = 7


def random_model(folder: Path, size: dict[str, Any]) -> Path:
    """The embedded model's processor before a random Qwen2.5-VL of another size, in float32."""
    from transformers import AutoConfig, AutoModelForImageTextToText

    from vrft_aug.policy.load import load_policy
    from vrft_aug.recipe.model_config import ModelConfig
    from vrft_aug.recipe.model_folder import TINY_FOLDER

    config = AutoConfig.from_pretrained(TINY_FOLDER)
    text, vision = config.text_config, config.vision_config
    for name, value in size.get("text", {}).items():
        setattr(text, name, value)
    text.layer_types = ["full_attention"] * text.num_hidden_layers
    for name, value in size.get("vision", {}).items():
        setattr(vision, name, value)
    vision.out_hidden_size = text.hidden_size
    vision.fullatt_block_indexes = list(range(vision.depth))
    half = text.hidden_size // text.num_attention_heads // 2
    text.rope_parameters["mrope_section"] = [half // 4, 3 * half // 8, half - half // 4 - 3 * half // 8]
    torch.manual_seed(SEED)
    AutoModelForImageTextToText.from_config(config, dtype=torch.float32).save_pretrained(folder)
    load_policy(ModelConfig(name="tiny", device="cpu")).processor.save_pretrained(folder)
    return folder


def loaded(recipe: Any) -> tuple[Any, int]:
    """The policy as `vrft train` loads it, and the bytes of its weights."""
    from vrft_aug.policy.load import load_policy

    policy = load_policy(recipe.model, training=True)
    kept = {weight.untyped_storage().data_ptr(): weight for weight in policy.model.parameters()}
    return policy, sum(weight.untyped_storage().nbytes() for weight in kept.values())


def train(recipe: Any, policy: Any, folder: Path) -> None:
    """The recipe's stage, as `vrft train` runs it."""
    from vrft_aug.tasks.taskset import load_taskset
    from vrft_aug.training.job import StageJob, run_trainer
    from vrft_aug.training.rehearsal import METHODS

    stage = recipe.stages[0]
    cases = load_taskset(recipe, stage.task, "train", stage.injection, policy.space)
    job = StageJob(stage, recipe.model, (cases,), folder, folder / "checkpoints", 1, Console(quiet=True))
    run_trainer(METHODS[stage.method](policy, job), None)


def peak(recipe: Any, folder: Path) -> tuple[int, dict[str, int]]:
    """Bytes at the highest, and at the highest within each of sampling, the two passes, and the optimiser."""
    from torch.profiler import ProfilerActivity, profile

    policy, weights = loaded(recipe)
    with (
        silent_stderr(),
        marked(),
        profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiler,
    ):
        train(recipe, policy, folder)
    kineto: Any = profiler.profiler
    events = sorted(kineto.kineto_results.events(), key=lambda event: event.start_ns())
    spans = [(e.start_ns(), e.start_ns() + e.duration_ns(), e.name()) for e in events if e.name() in MARKS]
    now = most = weights
    phases = dict.fromkeys(MARKS, 0)
    for event in events:
        if event.name() != "[memory]":
            continue
        now += event.nbytes()
        most = max(most, now)
        for start, end, name in spans:
            if start <= event.start_ns() < end:
                phases[name] = max(phases[name], now)
    return most, phases


MARKS = ("sampling", "passes", "optimiser")


@contextmanager
def marked():
    """While open, parts of a step leave their names in a profile."""
    from trl import GRPOTrainer

    stock = [
        (GRPOTrainer, "_generate_and_score_completions", "sampling"),
        (GRPOTrainer, "training_step", "passes"),
    ]
    kept = []

    def named(function: Any, name: str) -> Any:
        def run(*args: Any, **kwargs: Any) -> Any:
            with torch.profiler.record_function(name):
                return function(*args, **kwargs)

        return run

    optimisers = [torch.optim.AdamW]
    for owner, method, name in [*stock, *((one, "step", "optimiser") for one in optimisers)]:
        kept.append((owner, method, getattr(owner, method)))
        setattr(owner, method, named(getattr(owner, method), name))
    try:
        yield
    finally:
        for owner, method, function in kept:
            setattr(owner, method, function)


def main() -> None:
    """A recipe in, {peak, phases} out."""
    from vrft_aug.recipe.schema import Recipe

    recipe = Recipe.model_validate(json.loads(sys.argv[1]))
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        most, phases = peak(recipe, Path(folder))
    print(json.dumps({"peak": most, **phases}))


if __name__ == "__main__":
    main()
