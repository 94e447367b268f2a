"""The command that asks a model with pictures that are not the true ones."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from vrft_aug.cli.common import AsJson, Overrides, print_json
from vrft_aug.cli.launched import ProcessesOption, is_done, start_if_asked
from vrft_aug.files import check_place


def look(
    source: Annotated[
        str, typer.Argument(metavar="RUN_OR_MODEL", help="A run, a model folder or a hub name.")
    ],
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
    as_json: AsJson = False,
    processes: ProcessesOption = None,
) -> None:
    """Does it look? Answers to true, blank, exchanged, blurred and masked pictures; writes RUN/look.json."""
    check_place(output)

    from vrft_aug.experiments.look_run import look_path
    from vrft_aug.recipe.file import load_recipe

    changes = overrides or ()
    own = recipe is None and not changes
    given = None if own else load_recipe(recipe or source, changes)
    if processes is not None:
        from vrft_aug.evaluation.evaluate import own_recipe

        start_if_asked(processes, (given or own_recipe(source)).model)
    found = look_path(
        source,
        given,
        task=task,
        views=view,
        limit=limit,
        output=output,
    )
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
