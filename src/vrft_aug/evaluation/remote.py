"""Evaluation and look of a model behind an OpenAI-compatible server: as of any, by what it writes."""

from __future__ import annotations

import os
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path

from rich.console import Console

from vrft_aug.evaluation.blind import asks_blind, blanked
from vrft_aug.evaluation.look.look_report import VIEW_TITLES, Look
from vrft_aug.evaluation.look.looking import look_by
from vrft_aug.evaluation.measure import Source, Written, measure_rollouts
from vrft_aug.evaluation.metrics.case_metrics import named_metrics
from vrft_aug.evaluation.report_data import Report
from vrft_aug.nouns import Case, Prompt, Rollout
from vrft_aug.perception.limited_pictures import with_limits
from vrft_aug.perception.model_view import model_view
from vrft_aug.perception.spaces import BoxSpace
from vrft_aug.policy.ask_all import CONCURRENCY, ask_all
from vrft_aug.policy.endpoint import Endpoint, Reply
from vrft_aug.policy.thinking import whole_completion
from vrft_aug.recipe.schema import Recipe
from vrft_aug.tasks.frames import case_frame
from vrft_aug.tasks.look_views import LookSet, View
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
        return [_reply(endpoint, asked[0], wanted.max_new_tokens, 0.0, None)]

    def sampled(asked: tuple[Prompt, Case]) -> list[Reply]:
        prompt, case = asked
        seeds = [_seed(recipe.seed, case.id, sample) for sample in range(wanted.samples)]
        return [_reply(endpoint, prompt, wanted.max_new_tokens, wanted.temperature, seed) for seed in seeds]

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
        [_rollout(one, opened) for (one,) in first],
        [[_rollout(one, opened) for one in case] for case in votes] or None,
        frames,
        [_rollout(one, opened) for (one,) in unseen] or None,
        [_rollout(one, opened) for (one,) in untold] or None,
    )
    return measure_rollouts(recipe, taskset, written, source)


def look_remote(endpoint: Endpoint, recipe: Recipe, wanted: LookSet, concurrency: int = CONCURRENCY) -> Look:
    """Ask a remote model greedily for every view, as `looking.look_at` asks one that is here.

    All that a look measures rests on what is written, so that nothing is missing. `wanted` words coordinates
    as the model does, see `remote_space`. Raises UserError where the server fails for good.
    """
    view = model_view(recipe.model.model_copy(update={"name": endpoint.model}))
    source, longest = Source(f"{endpoint.model} at {endpoint.base_url}"), recipe.evaluation.max_new_tokens
    opened = False

    def greedy(prompt: Prompt) -> Reply:
        return _reply(endpoint, prompt, longest, 0.0, None)

    def ask(which: View, prompts: Sequence[Prompt]) -> Sequence[Rollout]:
        nonlocal opened
        limited = with_limits(prompts, recipe.model, view)
        replies = list(ask_all(f"asking: {VIEW_TITLES[which].lower()}", greedy, limited, concurrency))
        opened = opened or any(reply.opened for reply in replies)  # by the true pictures, which come first
        return [_rollout(reply, opened) for reply in replies]

    return look_by(ask, recipe, wanted, source, view.frame)


def remote_space(endpoint: Endpoint, recipe: Recipe) -> BoxSpace:
    """Which pixels a remote model speaks of, by its name and the recipe's `model` settings."""
    return model_view(recipe.model.model_copy(update={"name": endpoint.model})).space


def _reply(
    endpoint: Endpoint, prompt: Prompt, max_tokens: int, temperature: float, seed: int | None
) -> Reply:
    return endpoint.chat(
        prompt.messages, prompt.images, seed=seed, temperature=temperature, max_tokens=max_tokens
    )


def _rollout(reply: Reply, opened: bool) -> Rollout:
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
