"""The command that runs studies: factors by levels by seeds over a recipe."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from vrft_aug.cli.common import Overwrite
from vrft_aug.errors import UserError
from vrft_aug.files import check_place


def study(
    source: Annotated[
        str | None, typer.Argument(metavar="[STUDY]", help="A shipped study or a YAML file.")
    ] = None,
    listed: Annotated[bool, typer.Option("--list", help="The shipped studies.")] = False,
    dry: Annotated[bool, typer.Option("--dry-run", help="Say what would be run; write nothing.")] = False,
    jobs: Annotated[int, typer.Option(min=1, help="Trainings at a time.")] = 1,
    slurm: Annotated[bool, typer.Option("--slurm", help="As jobs of a Slurm cluster.")] = False,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Default: runs/studies/NAME.")] = None,
    runs: Annotated[Path, typer.Option(help="Where the trainings lie; studies share them.")] = Path(
        "runs/cells"
    ),
    overwrite: Overwrite = False,
    markdown: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Write a page of what has finished; run nothing."),
    ] = None,
) -> None:
    """Train the cells of a study, and say what each factor does, alone and with others."""
    from vrft_aug.experiments.study.study_file import load_study, shipped_studies

    if listed:
        for name in shipped_studies():
            typer.echo(f"{name}: {load_study(name).question}")
        return
    if source is None:
        raise UserError(f"no study is named; expected a YAML file or one of {', '.join(shipped_studies())}")
    if markdown is not None and (dry or slurm or overwrite):
        raise UserError("--markdown writes what has finished and runs nothing; leave the other options out")
    check_place(markdown)
    loaded = load_study(source)

    from vrft_aug.experiments.study.study_run import Places, dry_run, run_study, write_measured

    places = Places(output or Path("runs/studies") / loaded.name, runs)
    if markdown is not None:
        write_measured(loaded, source, places, markdown)
        typer.echo(f"wrote {markdown}")
        return
    if dry:
        for line in dry_run(loaded, places):
            typer.echo(line)
        return
    failed = run_study(loaded, places, jobs, slurm, overwrite, lambda line: typer.echo(line, err=True))
    typer.echo(f"wrote {places.study}")
    if failed:
        raise typer.Exit(1)
