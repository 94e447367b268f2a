"""Evaluation of a model behind an OpenAI-compatible server: with the prompts, parser and metrics of any."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from pathlib import Path

from rich.console import Console

from vrft_aug.endpoint import Endpoint
from vrft_aug.evaluation.judge import Source, Written, judge
from vrft_aug.evaluation.report_data import Report
from vrft_aug.evaluation.watch import watching
from vrft_aug.nouns import Case, Prompt, Rollout
from vrft_aug.perception.view import model_view
from vrft_aug.recipe import Recipe
from vrft_aug.training.material import Material, evaluation_material

CONCURRENCY = 8  # requests under way at once


def default_cache() -> Path:
    """Where replies are kept: `vrft-aug/endpoint` in XDG_CACHE_HOME, by default ~/.cache."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "vrft-aug" / "endpoint"


def evaluate_endpoint(endpoint: Endpoint, recipe: Recipe, concurrency: int = CONCURRENCY) -> Report:
    """Judge a remote model as the recipe's evaluation says: greedy answers, and sampled ones for votes.

    Replies are kept as they come where the endpoint has a cache, so that an interrupted evaluation goes on.
    How the model speaks of coordinates, and the size that it sees, follow from its name and the recipe's
    `model` settings (see perception/view.py). Raises UserError where data is absent or wrong, and where the
    server fails for good.
    """
    wanted, source = recipe.evaluation, Source(f"{endpoint.model} at {endpoint.base_url}")
    view = model_view(recipe.model.model_copy(update={"name": endpoint.model}))
    material = evaluation_material(recipe, view.space)
    frames = [
        view.frame(case.images[0].open().size) if material.task.kind == "localise" else None
        for case in material.cases
    ]

    def greedy(prompt: Prompt, case: Case) -> list[Rollout]:
        return [_rollout(endpoint, prompt, wanted.max_new_tokens, 0.0, None)]

    def sampled(prompt: Prompt, case: Case) -> list[Rollout]:
        seeds = [_seed(recipe.seed, case.id, sample) for sample in range(wanted.samples)]
        return [_rollout(endpoint, prompt, wanted.max_new_tokens, wanted.temperature, seed) for seed in seeds]

    first = _each("asking", greedy, material, concurrency)
    votes = None
    if wanted.samples:
        votes = _each(f"sampling {wanted.samples} answers a case", sampled, material, concurrency)
        _warn_of_equal_samples(votes)
    written = Written([one for (one,) in first], votes, frames)
    return judge(recipe, material, written, source)


def _rollout(
    endpoint: Endpoint, prompt: Prompt, max_tokens: int, temperature: float, seed: int | None
) -> Rollout:
    reply = endpoint.chat(
        prompt.messages, prompt.images, seed=seed, temperature=temperature, max_tokens=max_tokens
    )
    return Rollout(reply.text, reply.completion_tokens, reply.finished)


def _warn_of_equal_samples(votes: list[list[Rollout]]) -> None:
    """Some servers stay greedy whatever the temperature, where the model's own settings do not sample."""
    if len(votes[0]) > 1 and all(len({rollout.completion for rollout in case}) == 1 for case in votes):
        Console(stderr=True).print(
            "warning: all samples of a case are equal, for every case; the server seems to ignore the "
            "temperature (transformers serve does where generation_config.json lacks do_sample: true)",
            soft_wrap=True,
        )


def _seed(seed: int, case: str, sample: int) -> int:
    """A seed of its own for every sample of every case, below 2**31 (what servers take)."""
    return int.from_bytes(sha256(f"{seed}/{case}/{sample}".encode()).digest()[:4], "big") >> 1


def _each(
    what: str, ask: Callable[[Prompt, Case], list[Rollout]], material: Material, concurrency: int
) -> list[list[Rollout]]:
    """Ask about every case, several at once; the first failure lets no further request begin."""
    answers = []
    with watching(what, len(material.cases)) as done, ThreadPoolExecutor(max_workers=concurrency) as pool:
        try:
            for rollouts in pool.map(ask, material.prompts, material.cases):
                answers.append(rollouts)
                done(1)
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return answers
