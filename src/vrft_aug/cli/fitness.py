"""The command that says whether a machine is fit."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from vrft_aug.errors import UserError
from vrft_aug.files import check_place


def selftest(
    device: Annotated[str, typer.Option(help="auto, cuda, mps or cpu.")] = "auto",
    json_file: Annotated[
        Path | None, typer.Option("--json", metavar="FILE", help="Write the results there, for a bug report.")
    ] = None,
) -> None:
    """Is this machine fit? Exactness, precision, adapters, resume, memory, speed; exit code 1 where not."""
    from pydantic import ValidationError

    from vrft_aug.recipe.model_config import ModelConfig

    check_place(json_file)
    try:
        config = ModelConfig.model_validate({"device": device})
    except ValidationError:
        raise UserError(f"--device {device!r} is not known; expected auto, cuda, mps or cpu") from None

    from vrft_aug.files import write_text
    from vrft_aug.selftest.verdict import run_selftest  # takes seconds: a wrong option is told before

    result = run_selftest(config, typer.echo)
    if json_file is not None:
        write_text(json_file, json.dumps(result, indent=1) + "\n")
        typer.echo(f"wrote {json_file}")
    failed = [check["name"] for check in result["checks"] if not check["passed"]]
    if failed:
        typer.echo(f"not fit: {', '.join(failed)}")
        raise typer.Exit(1)
    typer.echo(f"fit: {len(result['checks'])} numbers keep their limits, {result['seconds']} s")
