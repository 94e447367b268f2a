"""The command that analyses what the readers of a reader study said."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from vrft_aug.cli.common import AsJson
from vrft_aug.files import check_place


def readers(
    folder: Annotated[
        Path, typer.Argument(metavar="STUDY_FOLDER", help="Where `vrft ui --study` has put the answers.")
    ],
    bootstrap: Annotated[int, typer.Option(min=100, help="Draws.")] = 2000,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="A folder for page and tables; default: the study's."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """A reader study: accuracy with and without the model, reliance on it, agreement, time, ratings."""
    check_place(output or folder)
    from vrft_aug.report.readers_files import write_readers

    analysis = write_readers(folder, output, bootstrap, lambda line: typer.echo(line, err=True))
    if as_json:
        from vrft_aug.reader_study.analysis import plain_analysis

        typer.echo(plain_analysis(analysis), nl=False)
        return
    from rich.console import Console

    from vrft_aug.reader_study import analysis_tables as tables

    console = Console()
    for make in (
        tables.reader_table, tables.reliance_table, tables.agreement_table, tables.ratings_table,
    ):  # fmt: skip
        table = make(analysis)
        if table is not None and table.row_count:
            console.print(table)
            console.print()
    for sentence in tables.sentences(analysis):
        console.print(sentence, markup=False, highlight=False)
    for note in analysis.notes:
        console.print(f"note: {note}", markup=False, highlight=False, style="yellow")
