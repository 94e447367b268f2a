"""Commands in several processes: `--processes N` starts them, and what each does at the end."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from vrft_aug.processes import is_main, launched, process_count

if TYPE_CHECKING:
    from vrft_aug.recipe.model_config import ModelConfig

ProcessesOption = Annotated[
    str | None, typer.Option("--processes", metavar="N", help="In so many processes; auto: one for each GPU.")
]


def start_if_asked(wanted: str | None, config: ModelConfig) -> None:
    """Run this very command in `wanted` processes and end as they do; nothing in one that was started so.

    Raises UserError for a number that cannot be.
    """
    if wanted is None or launched():
        return
    from vrft_aug.training.processes.launch import how_many, start_processes

    count = how_many(wanted, config)
    if count > 1:
        raise typer.Exit(start_processes(count, sys.argv[1:]))


def is_done() -> bool:
    """To be asked once all have what they made together; the main process goes on to write and print."""
    if process_count() == 1:
        return False
    from vrft_aug.policy.together import leave

    leave()
    return not is_main()
