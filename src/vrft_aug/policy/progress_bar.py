"""A progress bar for long work outside training."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import Progress

from vrft_aug.processes import processes


@contextmanager
def watching(what: str, total: int) -> Iterator[Callable[[int], None]]:
    """Yields a function to call with the number of items just done; shows a bar where someone can see it.

    Of several processes the main one shows it.
    """
    with Progress(console=Console(stderr=True), transient=True, disable=not processes().main) as bar:
        task = bar.add_task(what, total=total)
        yield lambda done: bar.advance(task, done)
