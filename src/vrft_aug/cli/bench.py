"""The command that measures prefix sharing against stock TRL."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from vrft_aug.errors import UserError
from vrft_aug.files import check_place


def bench(
    saved: Annotated[
        list[Path] | None, typer.Argument(metavar="[FILE]...", help="Saved results, for --markdown.")
    ] = None,
    preset: Annotated[
        str, typer.Option(help="Shapes: paper, short, accumulate, group, size, length, all of them, or gpu.")
    ] = "short",
    quick: Annotated[bool, typer.Option("--quick", help="One small shape, in under 45 seconds.")] = False,
    pairs: Annotated[int, typer.Option(min=1, help="Timed pairs of steps for each shape.")] = 5,
    memory: Annotated[bool, typer.Option(help="Measure peak memory, in processes of its own.")] = True,
    losses: Annotated[
        bool, typer.Option("--losses", help="What perception_loss and token_weights add, instead.")
    ] = False,
    settings: Annotated[
        bool, typer.Option("--settings", help="What each setting beyond the paper adds to a step, instead.")
    ] = False,
    json_file: Annotated[
        Path | None, typer.Option("--json", metavar="FILE", help="Write the results there.")
    ] = None,
    markdown: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write a page of saved results, or of this run.")
    ] = None,
) -> None:
    """Stock TRL beside prefix sharing on the same work: times, memory, equality."""
    from vrft_aug.bench.presets import QUICK, shapes_of

    if losses and settings:
        raise UserError("--losses and --settings are two measurements; name one")
    if losses and (saved or markdown):
        raise UserError("--losses measures and tells; it has no page: leave saved results and --markdown out")
    sources = saved or ([json_file] if json_file else [])
    if saved and markdown is None:
        raise UserError("saved results are given but not where to write the page; add --markdown FILE")
    if markdown is not None and not sources:
        raise UserError("--markdown needs saved results, or --json FILE to save those of this run")
    check_place(json_file, markdown)
    if not saved:
        shapes = (QUICK,) if quick else shapes_of(preset)

        from vrft_aug.bench.losses_cost import losses_cost  # takes seconds: a wrong option is told before
        from vrft_aug.bench.settings_cost import settings_cost
        from vrft_aug.bench.suite import refuse_without_gpu, run_bench
        from vrft_aug.files import write_text

        refuse_without_gpu(shapes)
        if losses:
            result = {"losses": [losses_cost(shape, 2 if quick else pairs, typer.echo) for shape in shapes]}
        elif settings:
            result = settings_cost(1 if quick else pairs, quick, typer.echo)
        else:
            result = run_bench(shapes, 2 if quick else pairs, memory, not quick, typer.echo)
        if json_file is not None:
            write_text(json_file, json.dumps(result, indent=1) + "\n")
            typer.echo(f"wrote {json_file}")
    if markdown is not None:
        from vrft_aug.bench.markdown_page import write_page, write_settings_page

        (write_settings_page if settings else write_page)(sources, markdown)
        typer.echo(f"wrote {markdown}")
