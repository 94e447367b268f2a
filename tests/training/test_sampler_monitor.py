"""The sampler's log-probabilities beside the trainer's: figures, every step, rollouts of another engine."""

from __future__ import annotations

import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from helpers.built_stage import built
from helpers.run_checks import lines
from helpers.shades import GRPO, shade_recipe
from vrft_aug.run.layout import METRICS
from vrft_aug.training.job import run_trainer
from vrft_aug.training.monitoring.sampler_monitor import MAX, MEAN, SAMPLE_SIZE, row_differences, step_figures

IMAGE_TOKEN = 1 / 400  # about what a random policy would give to the token that the sampler leaves out


def test_figures_of_known_differences() -> None:
    nan = math.nan
    sampler = torch.tensor([[-1.0, -2.0, 7.0], [-1.0, nan, -1.0]])
    trainer = torch.tensor([[-1.5, -1.5, -9.0], [-1.0, -1.0, -2.0]])
    mask = torch.tensor([[1, 1, 0], [1, 1, 1]])
    rows = row_differences(sampler, trainer, mask)
    assert torch.equal(rows, torch.tensor([[0.0, 1.0, 0.5, 2.0], [1.0, 1.0, 1.0, 2.0]]))
    figures = step_figures(torch.cat([rows, torch.zeros(3, 4)]))  # completions that are masked whole
    weights = torch.tensor([1.0, math.exp(-1)])
    assert figures[MEAN] == 0.5 and figures[MAX] == 1
    assert figures[SAMPLE_SIZE] == pytest.approx(float(weights.sum() ** 2 / (2 * (weights**2).sum())))
    assert step_figures(torch.zeros(3, 4)) == {}


def trained(policy: Path, folder: Path, dtype: str = "float32", **stage: Any) -> list[dict[str, Any]]:
    """The lines of metrics.jsonl of a stage."""
    recipe = shade_recipe(policy, {**GRPO, **stage}, model={"dtype": dtype})
    folder.mkdir()
    run_trainer(built(recipe, folder), None)
    return lines(folder / METRICS)


def test_every_step_tells_how_far_sampler_and_trainer_are_apart(random_policy: Path, tmp_path: Path) -> None:
    # TRL keeps the sampler from writing the image's token; that alone would set it apart by 1/420.
    trainer = {"learning_rate": 0.01, "generation_kwargs": {"suppress_tokens": None}}
    exact = trained(random_policy, tmp_path / "a", trainer=trainer)
    assert len(exact) == 3 and all(line[MAX] < 1e-5 for line in exact)
    half = trained(random_policy, tmp_path / "b", dtype="bfloat16", steps=1, trainer=trainer)
    assert all(line[MAX] < 0.02 and line[SAMPLE_SIZE] > 0.999 for line in half)
    cut = trained(random_policy, tmp_path / "c", steps=1, trainer={**trainer, "top_k": 4})
    assert cut[0][MEAN] > 1  # the other tokens have most of the distribution


def test_the_sampler_is_watched_without_prefix_sharing_and_over_several_passes(
    random_policy: Path, tmp_path: Path
) -> None:
    (plain,) = trained(random_policy, tmp_path / "a", steps=1, prefix_sharing=False)
    assert plain[MEAN] < 2 * IMAGE_TOKEN and plain[SAMPLE_SIZE] > 0.999
    twice = {"learning_rate": 0.01, "num_iterations": 2, "gradient_accumulation_steps": 2}
    first, second = trained(random_policy, tmp_path / "b", steps=2, trainer=twice)
    # In the second pass over the same completions the weights have moved; what is told is of the sampler.
    assert first[MEAN] == pytest.approx(second[MEAN], abs=1e-6) and first[MEAN] < 2 * IMAGE_TOKEN


class Engine:
    """Stands in for vLLM: it draws every token evenly from a few, and says so with an error."""

    def __init__(self, tokens: int, error: float) -> None:
        self.tokens, self.error = tokens, error

    def sync_weights(self) -> None: ...

    def generate(self, prompts: list[Any], **_: Any) -> tuple[Any, ...]:
        ids = torch.randint(10, 10 + self.tokens, (len(prompts), 6)).tolist()
        told = -math.log(self.tokens) + self.error
        return None, ids, [[[told] for _ in row] for row in ids], None


def test_rollouts_of_another_engine_have_truncated_importance_weights(
    random_policy: Path, tmp_path: Path
) -> None:
    """TRL's correction works with our scoring; the monitor tells of the engine."""
    recipe = shade_recipe(random_policy, {**GRPO, "steps": 1, "trainer": {}})
    trainer, found = built(recipe, tmp_path).trainer, []
    trainer.vllm_importance_sampling_mode = "token_truncate"
    trainer.vllm_importance_sampling_clip_max = 0.02
    trainer.use_vllm, trainer.vllm_generation = True, Engine(8, error=0.25)
    trainer._last_loaded_step = -1
    compute = trainer._compute_loss

    def kept(model: Any, inputs: Any) -> Any:
        found.append(SimpleNamespace(**inputs))
        return compute(model, inputs)

    trainer._compute_loss = kept
    trainer.train()
    (batch,), (line,) = found, [line for line in trainer.state.log_history if "loss" in line]
    ratio = (batch.old_per_token_logps - batch.sampling_per_token_logps).exp()
    assert torch.allclose(batch.importance_sampling_ratio, ratio.clamp(max=0.02), atol=1e-6)
    assert (ratio > 0.02).any() and (ratio < 0.02).any()
    assert line[MEAN] == pytest.approx(float(ratio.log().abs().mean()), rel=1e-4)
    assert 0 < line[SAMPLE_SIZE] < 1
