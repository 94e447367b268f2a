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
from vrft_aug.perception.limited_pictures import with_limits
from vrft_aug.perception.model_view import model_view
from vrft_aug.policy.ask_all import CONCURRENCY, ask_all
from vrft_aug.policy.endpoint import Endpoint, Reply
from vrft_aug.policy.thinking import whole_completion
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
    `model` settings (see perception/model_view.py); pictures are sent within the recipe's
    pixel limits. Raises UserError where data is absent or wrong, and where the server fails for good.
    """
    named_metrics(recipe)  # what is wrong with them is said before anything is asked
    wanted, source = recipe.evaluation, Source(f"{endpoint.model} at {endpoint.base_url}")
    view = model_view(recipe.model.model_copy(update={"name": endpoint.model}))
    taskset = evaluation_taskset(recipe, view.space)
    frames = [case_frame(taskset.task, case, view.frame) for case in taskset.cases]

    def greedy(asked: tuple[Prompt, Case]) -> list[Reply]:
        return [asked_reply(endpoint, asked[0], wanted.max_new_tokens, 0.0, None)]

    def sampled(asked: tuple[Prompt, Case]) -> list[Reply]:
        prompt, case = asked
        seeds = [_seed(recipe.seed, case.id, sample) for sample in range(wanted.samples)]
        return [
            asked_reply(endpoint, prompt, wanted.max_new_tokens, wanted.temperature, seed) for seed in seeds
        ]

    prompts = with_limits(taskset.prompts, recipe.model, view)
    pairs = list(zip(prompts, taskset.cases, strict=True))
    first = list(ask_all("asking", greedy, pairs, concurrency))
    votes: list[list[Reply]] = []
    if wanted.samples:
        votes = list(ask_all(f"sampling {wanted.samples} answers a case", sampled, pairs, concurrency))
        _warn_of_equal_samples(votes)
    unseen: list[list[Reply]] = []
    if asks_blind(recipe):
        blank = list(zip(blanked(prompts), taskset.cases, strict=True))
        unseen = list(ask_all("asking without pictures", greedy, blank, concurrency))
    untold: list[list[Reply]] = []
    if wanted.untold:
        bare = with_limits(without_knowledge(taskset, view.space), recipe.model, view)
        pairs = list(zip(bare, taskset.cases, strict=True))
        untold = list(ask_all("asking without knowledge", greedy, pairs, concurrency))
    opened = any(reply.opened for case in (*first, *votes, *unseen, *untold) for reply in case)
    written = Written(
        [reply_rollout(one, opened) for (one,) in first],
        [[reply_rollout(one, opened) for one in case] for case in votes] or None,
        frames,
        [reply_rollout(one, opened) for (one,) in unseen] or None,
        [reply_rollout(one, opened) for (one,) in untold] or None,
    )
    return measure_rollouts(recipe, taskset, written, source)


def asked_reply(
    endpoint: Endpoint, prompt: Prompt, max_tokens: int, temperature: float, seed: int | None
) -> Reply:
    """The reply to a prompt with its pictures; temperature 0 is greedy."""
    return endpoint.chat(
        prompt.messages, prompt.images, seed=seed, temperature=temperature, max_tokens=max_tokens
    )


def reply_rollout(reply: Reply, opened: bool) -> Rollout:
    """A reply as a rollout; `opened` says that the model's chat template opens the thinking of them all."""
    text = whole_completion("<think>", reply.text) if opened else reply.text
    return Rollout(text, reply.completion_tokens, reply.finished)


def _warn_of_equal_samples(votes: list[list[Reply]]) -> None:
    """Some servers stay greedy whatever the temperature, where the model's own settings do not sample."""
    if len(votes[0]) > 1 and all(len({reply.text for reply in case}) == 1 for case in votes):
        Console(stderr=True).print(
            "warning: all samples of a case are equal, for every case; the server seems to ignore the "
            "temperature (transformers serve does where generation_config.json lacks do_sample: true)",
            soft_wrap=True,
        )


def _seed(seed: int, case: str, sample: int) -> int:
    """A seed of its own for every sample of every case, below 2**31 (what servers take)."""
    return int.from_bytes(sha256(f"{seed}/{case}/{sample}".encode()).digest()[:4], "big") >> 1
