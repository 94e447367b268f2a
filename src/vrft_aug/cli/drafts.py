"""The command that drafts demonstrations."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from vrft_aug.cli.common import Overrides, Overwrite, RecipeArgument
from vrft_aug.errors import UserError, nearest


def traces(
    recipe: RecipeArgument,
    model: Annotated[str, typer.Option(help="What the server calls the model.")],
    overrides: Overrides = None,
    stage: Annotated[
        str | None, typer.Option(help="Whose prompt is asked; default: the first stage.")
    ] = None,
    output: Annotated[Path, typer.Option("--output", "-o", help="The file to write.")] = Path("traces.jsonl"),
    limit: Annotated[int | None, typer.Option(min=1, help="At most so many training cases.")] = None,
    url: Annotated[
        str, typer.Option(envvar="OPENAI_BASE_URL", help="Of an OpenAI-compatible server.")
    ] = "https://api.openai.com/v1",
    key_env: Annotated[str, typer.Option(help="The variable with the server's key.")] = "OPENAI_API_KEY",
    overwrite: Overwrite = False,
) -> None:
    """Draft demonstrations with a model on a server: pictures are SENT, right answers kept."""
    from vrft_aug.recipe.file import load_recipe

    loaded = load_recipe(recipe, overrides or ())
    named = loaded.named_stages()
    name = stage or next(iter(named), "")
    if name not in named:
        raise UserError(f"recipe {loaded.name!r} has no stage {name!r}{nearest(name, named)}")
    if output.exists() and not overwrite:
        raise UserError(f"{output} exists already; name another --output, or give --overwrite")

    from vrft_aug.drafting.traces import draft_traces
    from vrft_aug.evaluation.remote import default_cache
    from vrft_aug.policy.endpoint import Endpoint

    drafted = draft_traces(Endpoint(url, model, key_env, default_cache()), loaded, named[name], output, limit)
    typer.echo(f"wrote {output}: {drafted.kept} of {drafted.asked} replies are right and readable")
    for why, count in sorted(drafted.refused.items(), key=lambda item: -item[1]):
        typer.echo(f"left out: {count} {why}")
