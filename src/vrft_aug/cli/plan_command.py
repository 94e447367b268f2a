"""The command that plans a run on a card."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated

import typer

from vrft_aug.cli.common import AsJson, Overrides, RecipeArgument, print_json
from vrft_aug.errors import UserError, shown


def plan(
    recipe: RecipeArgument,
    overrides: Overrides = None,
    gpu: Annotated[
        str, typer.Option(metavar="CARD", help="Such as t4, 4090, a100-80, h100, m2-ultra.")
    ] = "h100",
    processes: Annotated[int, typer.Option(min=1, metavar="N", help="Cards that share each step.")] = 1,
    selftest: Annotated[
        Path | None,
        typer.Option("--selftest", metavar="FILE", help="What vrft selftest --json wrote on such a card."),
    ] = None,
    text: Annotated[
        int | None,
        typer.Option(
            "--text-tokens", min=1, metavar="N", help="Of a prompt without its picture, instead of data."
        ),
    ] = None,
    picture: Annotated[
        str | None, typer.Option(metavar="WIDTHxHEIGHT", help="Of a picture in pixels, instead of data.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Will it fit, and how long: memory and time by part, and what to change."""
    from vrft_aug.preview.plan.cards import find_card
    from vrft_aug.preview.plan.measured_pace import pace_of
    from vrft_aug.recipe.file import load_recipe

    card, size = find_card(gpu), _size(picture)
    if (text is None) != (size is None):
        raise UserError("--text-tokens and --picture go together: both stand in for data that is not at hand")
    loaded = load_recipe(recipe, overrides or ())
    pace = None if selftest is None else pace_of(selftest, card)

    from vrft_aug.preview.plan.plan_lines import plan_json, plan_lines
    from vrft_aug.preview.plan.planned import plan as make
    from vrft_aug.preview.plan.work import Asked

    made = make(loaded, card, processes, pace, Asked(text, size) if text and size else None)
    if as_json:
        print_json(plan_json(made))
        return
    for line in plan_lines(made):
        typer.echo(line)


def _size(picture: str | None) -> tuple[int, int] | None:
    if picture is None:
        return None
    match = re.fullmatch(r"(\d{1,5})x(\d{1,5})", picture.casefold())
    if match is None or 0 in (size := (int(match[1]), int(match[2]))):
        raise UserError(f"--picture is {shown(picture)}; expected width x height in pixels, such as 224x224")
    return size
