"""Work that several processes do together: each takes the next piece that nobody has, all get all results.

Pieces and results are the same on any number of processes, whoever does them. The processes speak through
the key-value store that their launcher gives them (torch.distributed's), in JSON; no collective calls are
made, so that pieces may take unequal times and a process that fails is noticed by the others.
"""

from __future__ import annotations

import itertools
import json
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from functools import cache, partial
from typing import Any, TypeVar

from vrft_aug.errors import UserError
from vrft_aug.processes import processes

FAILED = "vrft/failed"  # what a process has stopped at, for all others
POLL = 0.005  # seconds between two looks into the store
LINGER = 60.0  # seconds that the main process, which may hold the store, waits for others to have read it
CONNECT = timedelta(minutes=30)  # processes may start at very different times
Item = TypeVar("Item")
_calls = itertools.count()


def over_processes(work: Callable[[Item], Any], items: Sequence[Item]) -> Iterator[Any]:
    """`work` of every item, in their order, on all processes together; each yields all results.

    Results must be JSON values and are yielded as soon as those before them are there. All processes must
    call this in the same order with the same items. A UserError of one process stops all: the others raise it
    too, with its message. With one process this is `map`.
    """
    own = processes()
    if not own.several:
        yield from map(work, items)
        return
    store, prefix, read = job_store(), f"vrft/shared/{next(_calls)}", 0
    while (taken := store.add(f"{prefix}/next", 1) - 1) < len(items):
        raise_if_failed()
        store.set(f"{prefix}/{taken}", json.dumps(_or_fail(partial(work, items[taken]))))
        while read < len(items) and store.check([f"{prefix}/{read}"]):
            yield json.loads(store.get(f"{prefix}/{read}"))
            read += 1
    for number in range(read, len(items)):
        yield _awaited(f"{prefix}/{number}")
    gone = store.add(f"{prefix}/gone", 1)
    until = time.monotonic() + LINGER
    while own.main and gone < own.count and time.monotonic() < until:
        time.sleep(POLL)
        gone = store.add(f"{prefix}/gone", 0)


def from_main(make: Callable[[], Any]) -> Any:
    """What `make` gives the main process, on all: for what another process might read otherwise.

    It must be a JSON value, and `make` runs on the main process alone. Otherwise as `over_processes`.
    """
    own = processes()
    if not own.several:
        return make()
    key = f"vrft/told/{next(_calls)}"
    if own.main:
        job_store().set(key, json.dumps(_or_fail(make)))
    return _awaited(key)


def raise_if_failed() -> None:
    """Raise the UserError that another process has stopped at."""
    store = job_store()
    if store.check([FAILED]):
        raise UserError(store.get(FAILED).decode())


def _or_fail(make: Callable[[], Any]) -> Any:
    """`make()`; its UserError is told to the others."""
    try:
        return make()
    except UserError as error:
        job_store().set(FAILED, str(error))
        raise


def _awaited(key: str) -> Any:
    """What some process puts there."""
    store = job_store()
    while not store.check([key]):
        raise_if_failed()
        time.sleep(POLL)
    return json.loads(store.get(key))


@cache
def job_store() -> Any:
    """The torch.distributed.Store of the processes that were launched together; waits for its host."""
    from torch.distributed.rendezvous import rendezvous

    store, _, _ = next(rendezvous("env://", timeout=CONNECT))
    return store
