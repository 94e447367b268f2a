"""Many questions to a model behind a server, several under way at once."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from vrft_aug.policy.progress_bar import watching

CONCURRENCY = 8  # requests under way at once
Item = TypeVar("Item")
Reply = TypeVar("Reply")


def ask_all(
    what: str, ask: Callable[[Item], Reply], items: Sequence[Item], concurrency: int = CONCURRENCY
) -> Iterator[Reply]:
    """`ask` of every item, in their order, with a progress bar called `what`.

    The first failure, also one of whoever takes the replies, lets no further request begin.
    """
    with watching(what, len(items)) as done, ThreadPoolExecutor(max_workers=concurrency) as pool:
        try:
            for reply in pool.map(ask, items):
                yield reply
                done(1)
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
