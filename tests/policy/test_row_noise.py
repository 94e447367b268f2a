"""Draws that belong to a completion: from the distribution, and the same in any batch."""

from __future__ import annotations

from collections import Counter

import numpy as np
import torch

from vrft_aug.policy.row_noise import RowNoise, draw
from vrft_aug.training.order import round_keys

CPU = torch.device("cpu")


def test_tokens_come_as_often_as_they_should() -> None:
    probabilities = torch.tensor([0.5, 0.0, 0.3, 0.2, 0.0])
    rows = 40_000
    noise = RowNoise([(1, row) for row in range(rows)], 2, CPU)
    for place in range(2):
        chosen = draw(probabilities.expand(rows, -1), noise.of(None, place)).squeeze(1)
        shares = torch.bincount(chosen, minlength=5) / rows
        assert torch.allclose(shares, probabilities, atol=4 * (0.25 / rows) ** 0.5)
    at = [noise.of(None, place).numpy() for place in range(2)]
    assert (
        abs(np.corrcoef(at[0], at[1])[0, 1]) < 0.02 and abs(np.corrcoef(at[0][1:], at[0][:-1])[0, 1]) < 0.02
    )


def test_what_cannot_be_is_never_drawn_even_at_the_ends() -> None:
    probabilities = torch.tensor([[0.0, 0.6, 0.0, 0.4, 0.0]]).expand(3, -1)
    chances = torch.tensor([0.0, 0.61, 1 - 2**-53], dtype=torch.float64)
    assert draw(probabilities, chances).squeeze(1).tolist() == [1, 3, 3]
    assert draw(probabilities, torch.tensor([0.0, 0.5, 1.0])).squeeze(1).tolist() == [1, 1, 3]


def test_a_row_draws_the_same_in_any_batch() -> None:
    keys = [(5, 0, 3, 0), (5, 0, 3, 1), (5, 0, 8, 0), (5, 1, 3, 0)]
    whole = RowNoise(keys, 6, CPU)
    alone = RowNoise(keys[2:3], 4, CPU)
    rows = torch.tensor([2, 0])
    for place in range(4):
        assert whole.of(rows, place)[0] == alone.of(None, place)[0]
    assert len({float(x) for x in whole.of(None, 0)}) == 4


def test_members_are_counted_on_where_a_case_comes_again() -> None:
    keys = round_keys(7, 2, [4, 4, 9, 9, 4, 4])
    assert keys == [(7, 2, 4, 0), (7, 2, 4, 1), (7, 2, 9, 0), (7, 2, 9, 1), (7, 2, 4, 2), (7, 2, 4, 3)]
    assert max(Counter(keys).values()) == 1
