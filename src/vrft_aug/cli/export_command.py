"""The command that hands a run to others: export."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Annotated

import typer

from vrft_aug.errors import UserError


def export(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="A finished run.")],
    to: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="A new folder; default: exports/NAME.")
    ] = None,
    push: Annotated[
        str | None, typer.Option(metavar="NAME", help="Upload to this repository of the hub.")
    ] = None,
    public: Annotated[
        bool, typer.Option("--public", help="Everybody sees the repository that --push makes.")
    ] = False,
    base: Annotated[
        str | None, typer.Option(metavar="NAME", help="What the hub calls the model it was trained from.")
    ] = None,
    adapter: Annotated[bool, typer.Option("--adapter", help="The adapter alone.")] = False,
    license: Annotated[
        str | None, typer.Option(metavar="ID", help="Of the exported model, such as apache-2.0.")
    ] = None,
) -> None:
    """The model with card, recipe, figures and a server; no case, no path, no secret."""
    if public and push is None:
        raise UserError("--public goes with --push NAME")

    from vrft_aug.export.push import check_push, push_folder
    from vrft_aug.export.write_export import export_run

    if push is not None:
        check_push(push)
    with tempfile.TemporaryDirectory(prefix="vrft-export-") as scratch:
        kept = to or Path("exports") / run.resolve().name
        folder = Path(scratch) / "export" if to is None and push is not None else kept
        files = export_run(run, folder, base=base, adapter=adapter, license=license, name=push)
        if folder == kept:
            typer.echo(f"wrote {folder}: {len(files)} files; read README.md before you hand it on")
        if push is not None:
            typer.echo(f"pushed {push_folder(folder, push, public)}")
