"""The command that asks a model with pictures that are not the true ones."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vrft_aug.cli.common import AsJson, Overrides, print_json
from vrft_aug.cli.launched import ProcessesOption, is_done, start_if_asked
from vrft_aug.cli.server_options import (
    KEY_ENV,
    Concurrency,
    EndpointOption,
    KeyEnv,
    NoCache,
    ReplyCache,
    ServerModel,
    check_server,
    server_of,
)
from vrft_aug.errors import UserError
from vrft_aug.files import check_place

if TYPE_CHECKING:
    from vrft_aug.evaluation.look.look_report import Look


def look(
    source: Annotated[
        str | None, typer.Argument(metavar="RUN_OR_MODEL", help="A run, a model folder or a hub name.")
    ] = None,
    overrides: Overrides = None,
    recipe: Annotated[str | None, typer.Option(help="What to ask; a run has its own.")] = None,
    task: Annotated[
        str | None, typer.Option(help="A task of the recipe; default: that of its evaluation.")
    ] = None,
    view: Annotated[
        list[str] | None,
        typer.Option(
            help="blank, another, blurred, lesion (with random); may be repeated. Default: all there are."
        ),
    ] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="At most so many cases.")] = None,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Write the figures as JSON.")] = None,
    endpoint: EndpointOption = None,
    model: ServerModel = None,
    concurrency: Concurrency = 8,
    key_env: KeyEnv = KEY_ENV,
    cache: ReplyCache = None,
    no_cache: NoCache = False,
    as_json: AsJson = False,
    processes: ProcessesOption = None,
) -> None:
    """Does it look? Answers to true, blank, exchanged, blurred and masked pictures; writes RUN/look.json."""
    check_place(output)
    changes = list(overrides or ())
    asked: dict[str, Any] = {"task": task, "views": view, "limit": limit, "output": output}
    check_server(endpoint, model, recipe is not None, processes, "what to ask the model")
    if endpoint is not None and model is not None:
        if source is not None:  # a server has no folder: all arguments are overrides
            changes.insert(0, source)
        server = server_of(endpoint, model, key_env, cache, no_cache)
        from vrft_aug.experiments.look_run import look_endpoint
        from vrft_aug.recipe.file import load_recipe

        found = look_endpoint(server, load_recipe(recipe or "", changes), concurrency=concurrency, **asked)
    elif source is None:
        raise UserError("expected a run, a model folder or a hub name, or --endpoint URL --model NAME")
    else:
        found = _of_model(source, recipe, changes, processes, asked)
    if is_done():
        return
    if as_json:
        from vrft_aug.evaluation.look.look_report import plain_look

        print_json(plain_look(found))
        return
    from rich.console import Console

    from vrft_aug.evaluation.look.look_words import figures_table, how_asked, look_table, sentences

    console = Console()
    console.print(look_table(found))
    console.print(figures_table(found))
    for sentence in sentences(found):
        console.print(sentence, markup=False, highlight=False)
    for note in found.notes:
        console.print(f"note: {note}", markup=False, highlight=False, style="yellow")
    console.print(how_asked(found), markup=False, highlight=False)


def _of_model(
    source: str, recipe: str | None, changes: list[str], processes: str | None, asked: dict[str, Any]
) -> Look:
    from vrft_aug.experiments.look_run import look_path
    from vrft_aug.recipe.file import load_recipe

    given = load_recipe(recipe or source, changes) if recipe is not None or changes else None
    if processes is not None:
        from vrft_aug.run.own_recipe import own_recipe

        start_if_asked(processes, (given or own_recipe(source)).model)
    return look_path(source, given, **asked)
