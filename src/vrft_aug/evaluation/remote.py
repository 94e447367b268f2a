"""Evaluation of a model behind an OpenAI-compatible server: with the prompts, parser and metrics of any."""

from __future__ import annotations

import os
from hashlib import sha256
from pathlib import Path

from rich.console import Console

from vrft_aug.evaluation.blind import asks_blind, blanked
from vrft_aug.evaluation.measure import Source, Written, measure_rollouts
from vrft_aug.evaluation.metrics.case_metrics import named_metrics
from vrft_aug.evaluation.report_data import Report
from vrft_aug.nouns import Case, Prompt, Rollout
from vrft_aug.perception.model_view import model_view
from vrft_aug.policy.ask_all import CONCURRENCY, ask_all
from vrft_aug.policy.endpoint import Endpoint
from vrft_aug.recipe.schema import Recipe
from vrft_aug.tasks.frames import case_frame
from vrft_aug.tasks.taskset import evaluation_taskset, without_knowledge


def default_cache() -> Path:
    """Where replies are kept: `vrft-aug/endpoint` in XDG_CACHE_HOME, by default ~/.cache."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "vrft-aug" / "endpoint"


def evaluate_endpoint(endpoint: Endpoint, recipe: Recipe, concurrency: int = CONCURRENCY) -> Report:
    """Judge a remote model as the recipe's evaluation says: greedy answers, and sampled ones for votes.

    Replies are kept as they come where the endpoint has a cache, so that an interrupted evaluation goes on.
    How the model speaks of coordinates, and the size that it sees, follow from its name and the recipe's
    `model` settings (see perception/model_view.py). Raises UserError where data is absent or wrong, and where
    the server fails for good.
    """
    named_metrics(recipe)  # what is wrong with them is said before anything is asked
    wanted, source = recipe.evaluation, Source(f"{endpoint.model} at {endpoint.base_url}")
    view = model_view(recipe.model.model_copy(update={"name": endpoint.model}))
    taskset = evaluation_taskset(recipe, view.space)
    frames = [case_frame(taskset.task, case, view.frame) for case in taskset.cases]

    def greedy(asked: tuple[Prompt, Case]) -> list[Rollout]:
        return [_rollout(endpoint, asked[0], wanted.max_new_tokens, 0.0, None)]

    def sampled(asked: tuple[Prompt, Case]) -> list[Rollout]:
        prompt, case = asked
        seeds = [_seed(recipe.seed, case.id, sample) for sample in range(wanted.samples)]
        return [_rollout(endpoint, prompt, wanted.max_new_tokens, wanted.temperature, seed) for seed in seeds]

    pairs = list(zip(taskset.prompts, taskset.cases, strict=True))
    first = list(ask_all("asking", greedy, pairs, concurrency))
    votes = None
    if wanted.samples:
        votes = list(ask_all(f"sampling {wanted.samples} answers a case", sampled, pairs, concurrency))
        _warn_of_equal_samples(votes)
    unseen = None
    if asks_blind(recipe):
        blank = list(zip(blanked(taskset.prompts), taskset.cases, strict=True))
        unseen = [one for (one,) in ask_all("asking without pictures", greedy, blank, concurrency)]
    untold = None
    if wanted.untold:
        bare = list(zip(without_knowledge(taskset, view.space), taskset.cases, strict=True))
        untold = [one for (one,) in ask_all("asking without knowledge", greedy, bare, concurrency)]
    written = Written([one for (one,) in first], votes, frames, unseen, untold)
    return measure_rollouts(recipe, taskset, written, source)


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
