"""Commands about a recipe: copy, check, show a prompt, score."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from vrft_aug.cli.common import AsJson, Overrides, RecipeArgument, Stage, print_json
from vrft_aug.cli.launched import is_done, start_if_asked


def init(
    name: Annotated[
        str, typer.Argument(metavar="NAME", help="A shipped recipe; with --from, where to write.")
    ] = "",
    destination: Annotated[Path | None, typer.Argument(metavar="DEST", help="Default: NAME.yaml.")] = None,
    data: Annotated[
        Path | None, typer.Option("--from", metavar="PATH", help="A folder or file of your data to look at.")
    ] = None,
) -> None:
    """Copy a shipped recipe to start from, or write one after a look at your data."""
    from vrft_aug.errors import UserError
    from vrft_aug.recipe.file import copy_recipe

    if data is None:
        if not name:
            raise UserError(
                "expected the name of a shipped recipe, or --from with your data; see vrft init --help"
            )
        typer.echo(f"wrote {copy_recipe(name, destination)}")
        return
    if destination is not None:
        raise UserError(f"--from takes one place to write to, not {name} and {destination}")
    from vrft_aug.preview.guess.first_recipe import first_recipe

    written = first_recipe(data, Path(name) if name else None)
    for sentence in written.said:
        typer.echo(f"guessed: {sentence}")
    for sentence in written.open:
        typer.echo(f"to decide: {sentence}")
    typer.echo(f"wrote {written.path}")
    if written.fault is not None:
        typer.echo(f"vrft check says: {written.fault}")
    else:
        typer.echo(
            f"vrft check {written.path}: ok; next: vrft prompt {written.path}, vrft train {written.path}"
        )


def check(
    recipe: RecipeArgument,
    overrides: Overrides = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Where the run is to go; default: runs/NAME.")
    ] = None,
    decode: Annotated[bool, typer.Option("--decode", help="Open every picture; default: a sample.")] = False,
    as_json: AsJson = False,
) -> None:
    """Check recipe, data, knowledge, rewards, model and settings."""
    from vrft_aug.evaluation.provenance import knowledge_uses, use_line
    from vrft_aug.knowledge.told import unreviewed_rewards
    from vrft_aug.preview.check import check_all, part_lines
    from vrft_aug.recipe.file import load_recipe
    from vrft_aug.run.layout import default_run

    loaded = load_recipe(recipe, overrides or ())
    parts, model = check_all(loaded, output or default_run(loaded), decode)
    uses = knowledge_uses(loaded)
    if as_json:
        from dataclasses import asdict

        knowledge = [asdict(use) for use in uses]
        print_json(
            {
                "recipe": loaded.name,
                "parts": [asdict(part) for part in parts],
                "knowledge": knowledge,
                "unreviewed": unreviewed_rewards(loaded),
                "model": model,
            }
        )
        return
    for part in parts:
        for line in part_lines(part):
            typer.echo(line)
    for use in uses:
        typer.echo(use_line(use))
    for line in unreviewed_rewards(loaded):
        typer.echo(f"WARNING: {line}")
    typer.echo(model)
    typer.echo(f"recipe {loaded.name}: ok")


def prompt(
    recipe: RecipeArgument,
    overrides: Overrides = None,
    case: Annotated[str | None, typer.Option(help="A case id; default: the first to be evaluated.")] = None,
    stage: Stage = None,
    tokens: Annotated[
        bool | None,
        typer.Option(help="Load the model to count tokens; default: only where it lies on this disk."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show one case exactly as the model sees it."""
    from vrft_aug.preview.prompt_view import view_prompt
    from vrft_aug.recipe.file import load_recipe

    view = view_prompt(load_recipe(recipe, overrides or ()), case, stage, tokens)
    if as_json:
        from dataclasses import asdict

        print_json(asdict(view))
        return
    typer.echo(f"case {view.case}, task {view.task}")
    for image in view.images:
        (width, height), (seen_width, seen_height) = image.original, image.processed
        seen = f"seen as {seen_width} x {seen_height}, {image.tokens} tokens"
        if image.tokens is None:
            seen = "what the model makes of it is not known without it; --tokens counts the whole prompt"
        typer.echo(f"image {width} x {height}, {seen}")
    if view.boxes:
        typer.echo(view.boxes)
    for warning in view.warnings:
        typer.echo(f"warning: {warning}")
    parts = ", ".join(f"{part} {length}" for part, length in view.parts.items())
    counted = (
        f"{view.tokens} tokens in all" if view.tokens is not None else "tokens not counted (--tokens); words"
    )
    typer.echo(f"{counted}: {parts}")
    typer.echo(f"\n{view.text}")


def score(
    recipe: RecipeArgument,
    file: Annotated[
        Path, typer.Argument(metavar="FILE.jsonl", help='Lines {"case": ID, "completion": TEXT}.')
    ],
    overrides: Overrides = None,
    stage: Stage = None,
    template: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="Write FILE with the ids of N cases, to fill in.")
    ] = None,
    processes: Annotated[
        str | None, typer.Option(metavar="N", help="In so many processes, for many lines.")
    ] = None,
) -> None:
    """Score completions in a file, without a model."""
    from vrft_aug.preview.score_file import score_file, write_template
    from vrft_aug.recipe.file import load_recipe

    loaded = load_recipe(recipe, overrides or ())
    if template is not None:
        count = write_template(loaded, file, template, stage)
        typer.echo(f"wrote {file}: {count} cases; fill in the completions, then vrft score {recipe} {file}")
        return
    if processes is not None:  # no model is loaded, so that nobody needs a GPU
        start_if_asked(processes, loaded.model.model_copy(update={"device": "cpu"}))
    results = score_file(loaded, file, stage)
    if is_done():
        return
    for line in results:
        typer.echo(json.dumps(line, ensure_ascii=False))
