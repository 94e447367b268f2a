"""The options of commands that can ask a model behind a server instead of one that runs here."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vrft_aug.errors import UserError

if TYPE_CHECKING:
    from vrft_aug.policy.endpoint import Endpoint

EndpointOption = Annotated[
    str | None,
    typer.Option("--endpoint", metavar="URL", help="Of an OpenAI-compatible server, instead of a run."),
]
ServerModel = Annotated[str | None, typer.Option("--model", help="What the server calls the model.")]
Concurrency = Annotated[int, typer.Option(min=1, help="Requests to the server at once.")]
KeyEnv = Annotated[str, typer.Option(help="The variable that holds the server's key.")]
ReplyCache = Annotated[
    Path | None, typer.Option(help="For the server's replies; default: ~/.cache/vrft-aug/endpoint.")
]
NoCache = Annotated[bool, typer.Option("--no-cache", help="Keep no replies.")]
KEY_ENV = "OPENAI_API_KEY"


def check_server(
    url: str | None, model: str | None, recipe: bool, processes: str | None, purpose: str
) -> None:
    """UserError where what goes with a server is missing, or does not; `purpose`: what the recipe says."""
    if (url is None) != (model is None):
        raise UserError("--endpoint URL and --model NAME go together; give both for a model on a server")
    if url is not None and not recipe:
        raise UserError(f"--endpoint needs --recipe, which says {purpose}")
    if url is not None and processes is not None:
        raise UserError("--processes is for a model that runs here; a server takes --concurrency N")


def server_of(url: str, model: str, key_env: str, cache: Path | None, no_cache: bool) -> Endpoint:
    """The model behind a server, with a place for its replies."""
    from vrft_aug.evaluation.remote import default_cache
    from vrft_aug.policy.endpoint import Endpoint

    return Endpoint(url, model, key_env, None if no_cache else cache or default_cache())
