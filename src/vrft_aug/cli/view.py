"""Commands that open a page in the browser: view, ui."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from vrft_aug.errors import UserError

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


def ui(
    run: Annotated[
        Path | None, typer.Argument(metavar="[RUN]", help="A finished run; with --study it may name one.")
    ] = None,
    study: Annotated[
        str | None, typer.Option(help="Serve this reader study: a YAML file or a shipped name.")
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Of a reader study; default: runs/readers/NAME.")
    ] = None,
    task: Annotated[str | None, typer.Option(help="A task of the run; default: the evaluated one.")] = None,
    samples: Annotated[int, typer.Option(min=1, help="Sampled answers that vote.")] = 8,
    host: Host = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0: any free one.")] = 7860,
    public: Public = False,
) -> None:
    """A page to drop a picture on (needs the extra `ui`), or with --study the pages of a reader study."""
    if study is not None:
        from vrft_aug.reader_study.protocol import load_protocol
        from vrft_aug.view.reading_server import serve_study

        serve_study(load_protocol(study, run), output, host, port, public)
        return
    if run is None:
        raise UserError("no run is named; expected `vrft ui RUN`, or `vrft ui --study STUDY.yaml`")
    from vrft_aug.view.ui import serve_ui

    serve_ui(run, task, samples, host, port, public)
