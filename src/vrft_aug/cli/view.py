"""Commands that open a page in the browser: view, ui."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Host = Annotated[str, typer.Option(help="The address to listen on.")]
Public = Annotated[bool, typer.Option("--public", help="Allow an address that other machines reach.")]


def view(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN", help="One or more runs.")],
    host: Host = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0: any free one.")] = 8765,
    public: Public = False,
) -> None:
    """Browse the rollouts of runs, also while they train."""
    from vrft_aug.view.server import serve

    serve(runs, host, port, public)
