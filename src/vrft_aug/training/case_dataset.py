"""The data set that a trainer draws from: numbers of cases, made into rows as they are asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from datasets import Dataset
from datasets.table import InMemoryTable

RowOf = Callable[[int], dict[str, Any]]


class CaseDataset(Dataset):  # type: ignore[misc]  # datasets has no types
    """A datasets.Dataset of case numbers; a case becomes what `row_of` says when it is asked for, not before.

    A case that a batch names several times (the completions of a group) is made once, and the batch that
    follows takes it from there: TRL asks for a round's batch anew for each of its micro-batches, and all of
    these stand in memory at once. `row_of` must be picklable and without the model in reach, because the
    workers of a loader get a copy. A transform (`Dataset.with_transform`) would do the same, but datasets
    hashes transforms, and with them every case: a minute for 60,000.
    """

    def __init__(self, order: Sequence[int], row_of: RowOf) -> None:
        # Of an order that is planned as training goes on, by curriculum.py, only the length is known.
        fixed = order if isinstance(order, list | tuple) else range(len(order))
        super().__init__(InMemoryTable.from_pydict({"row": list(fixed)}), fingerprint="cases")
        self.order, self.row_of = tuple(order) if isinstance(order, list) else order, row_of
        self.made: dict[int, dict[str, Any]] = {}  # the rows of the last batch, by number
        self.asked: Callable[[list[int]], None] | None = None  # is told the places of every batch

    def __getitem__(self, key: Any) -> dict[str, Any]:
        """One row by its place."""
        return self.row_of(self.order[key])

    def __getitems__(self, keys: list[int]) -> list[dict[str, Any]]:
        """The rows of a batch, a dictionary each: TRL's SFT writes into them."""
        if self.asked is not None:
            self.asked(keys)
        numbers, before = dict.fromkeys(self.order[key] for key in keys), self.made
        self.made = {n: before[n] if n in before else self.row_of(n) for n in numbers}
        return [dict(self.made[self.order[key]]) for key in keys]

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return map(self.row_of, self.order)
