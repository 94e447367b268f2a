"""A look at a model behind an OpenAI-compatible server: every view is sent, and judged as of any model."""

from __future__ import annotations

from collections.abc import Sequence

from vrft_aug.evaluation.look.look_report import VIEW_TITLES, Look
from vrft_aug.evaluation.look.looking import look_by
from vrft_aug.evaluation.measure import Source
from vrft_aug.evaluation.remote import asked_reply, reply_rollout
from vrft_aug.nouns import Prompt, Rollout
from vrft_aug.perception.limited_pictures import with_limits
from vrft_aug.perception.model_view import model_view
from vrft_aug.perception.spaces import BoxSpace
from vrft_aug.policy.ask_all import CONCURRENCY, ask_all
from vrft_aug.policy.endpoint import Endpoint, Reply
from vrft_aug.recipe.schema import Recipe
from vrft_aug.tasks.look_views import LookSet, View


def look_remote(endpoint: Endpoint, recipe: Recipe, wanted: LookSet, concurrency: int = CONCURRENCY) -> Look:
    """Ask a remote model greedily for every view, as `looking.look_at` asks one that is here.

    All that a look measures rests on what is written, so that nothing is missing. `wanted` words coordinates
    as the model does, see `remote_space`. Raises UserError where the server fails for good.
    """
    view = model_view(recipe.model.model_copy(update={"name": endpoint.model}))
    source, longest = Source(f"{endpoint.model} at {endpoint.base_url}"), recipe.evaluation.max_new_tokens
    opened = False

    def greedy(prompt: Prompt) -> Reply:
        return asked_reply(endpoint, prompt, longest, 0.0, None)

    def ask(which: View, prompts: Sequence[Prompt]) -> Sequence[Rollout]:
        nonlocal opened
        limited = with_limits(prompts, recipe.model, view)
        replies = list(ask_all(f"asking: {VIEW_TITLES[which].lower()}", greedy, limited, concurrency))
        opened = opened or any(reply.opened for reply in replies)  # by the true pictures, which come first
        return [reply_rollout(reply, opened) for reply in replies]

    return look_by(ask, recipe, wanted, source, view.frame)


def remote_space(endpoint: Endpoint, recipe: Recipe) -> BoxSpace:
    """Which pixels a remote model speaks of, by its name and the recipe's `model` settings."""
    return model_view(recipe.model.model_copy(update={"name": endpoint.model})).space
