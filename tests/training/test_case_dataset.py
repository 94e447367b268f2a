"""The data set that trainers draw from."""

from __future__ import annotations

import pickle
from typing import Any

from datasets import Dataset

from vrft_aug.training.case_dataset import CaseDataset


class _Rows:
    """Makes rows and counts them; may be pickled, but whoever hashes it is told."""

    def __init__(self) -> None:
        self.made: list[int] = []

    def __call__(self, number: int) -> dict[str, Any]:
        self.made.append(number)
        return {"prompt": f"case {number}"}


def test_rows_are_made_when_asked_for_and_once_in_a_batch() -> None:
    rows = _Rows()
    data = CaseDataset([5, 5, 2, 5], rows)
    assert isinstance(data, Dataset) and len(data) == 4 and rows.made == []
    assert [row["prompt"] for row in data.__getitems__([0, 1, 2])] == ["case 5", "case 5", "case 2"]
    assert rows.made == [5, 2]
    assert data[3] == {"prompt": "case 5"} and next(iter(data)) == {"prompt": "case 5"}


def test_a_batch_takes_what_the_last_one_made() -> None:
    """TRL asks for a round's batch anew for each of its micro-batches, and all of them stand in memory."""
    rows = _Rows()
    data = CaseDataset([1, 1, 2, 1, 1, 2, 3, 1], rows)
    first, again = data.__getitems__([0, 1, 2]), data.__getitems__([3, 4, 5])
    assert rows.made == [1, 2] and first == again
    assert first[0]["prompt"] is again[1]["prompt"] and first[0] is not again[0]
    data.__getitems__([6])
    assert rows.made == [1, 2, 3]
    data.__getitems__([7])  # the last batch alone is kept
    assert rows.made == [1, 2, 3, 1]


def test_rows_of_one_case_are_apart() -> None:
    """TRL's SFT puts the pictures of a row into its prompt; a case that comes twice in a batch had failed."""
    first, second = CaseDataset([5, 5], _Rows()).__getitems__([0, 1])
    first["prompt"] = "changed"
    assert second == {"prompt": "case 5"}


def test_it_can_be_sent_to_the_workers_of_a_loader() -> None:
    sent = pickle.loads(pickle.dumps(CaseDataset([1, 0], _Rows())))
    assert sent[0] == {"prompt": "case 1"} and len(sent) == 2
