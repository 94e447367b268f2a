"""The command about data."""

from __future__ import annotations

from typing import Annotated

import typer

from vrft_aug.cli.common import AsJson, print_json
from vrft_aug.errors import UserError


def data(
    readers: Annotated[bool, typer.Option("--readers", help="List the readers and their settings.")] = False,
    as_json: AsJson = False,
) -> None:
    """Say what data can be read."""
    from dataclasses import asdict

    from vrft_aug.data.reader_list import list_readers

    if not readers:
        raise UserError("vrft data needs --readers, which lists what can be read")
    found = list_readers()
    if as_json:
        print_json([asdict(reader) for reader in found])
        return
    for reader in found:
        typer.echo(f"{reader.name}: {reader.reads}")
        typer.echo(f"  needs {', '.join(reader.needed) or 'nothing'}")
        typer.echo(f"  takes {', '.join(reader.optional) or 'nothing else'}")
