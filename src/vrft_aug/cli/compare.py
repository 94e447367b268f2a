"""The command that sets evaluated runs side by side."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from vrft_aug.cli.common import AsJson, print_json
from vrft_aug.files import check_place


def compare(
    runs: Annotated[
        list[str],
        typer.Argument(metavar="[NAME=]RUN", help="Run folders or reports; runs of one NAME are its seeds."),
    ],
    baseline: Annotated[str | None, typer.Option(help="Only test the others against this arm.")] = None,
    metric: Annotated[
        list[str] | None, typer.Option(help="A metric to compare, again for more; default: the headline.")
    ] = None,
    bootstrap: Annotated[int, typer.Option(min=100, help="Draws.")] = 5000,
    form: Annotated[Literal["text", "markdown", "csv"], typer.Option("--format", help="To print.")] = "text",
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="A folder for tables (md, csv, json) and plots (svg, png)."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Runs on the same cases side by side, with paired tests."""
    from vrft_aug.evaluation import comparison_tables
    from vrft_aug.evaluation.arms import read_arms
    from vrft_aug.evaluation.comparison import compare as compare_arms

    check_place(output)
    compared = compare_arms(read_arms(runs), baseline=baseline, metrics=metric or (), replicates=bootstrap)
    if output is not None:
        from vrft_aug.report.comparison_files import write_comparison_files

        for path in write_comparison_files(compared, output):
            typer.echo(f"wrote {path}", err=True)
    if as_json:
        print_json(comparison_tables.comparison_json(compared))
    elif form == "csv":
        typer.echo(comparison_tables.comparison_csv(compared), nl=False)
    elif form == "markdown":
        typer.echo(comparison_tables.comparison_markdown(compared), nl=False)
    else:
        from rich.console import Console

        Console().print(comparison_tables.comparison_text(compared))
