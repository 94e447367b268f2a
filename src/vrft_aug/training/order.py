"""Which case is trained on when, and with which seed: fixed before training starts, free of torch."""

from __future__ import annotations

import random


def stage_seed(seed: int, index: int) -> int:
    """The seed of the stage at `index`, from the recipe's; in [0, 2**31)."""
    return random.Random(f"{seed}/{index}").getrandbits(31)


def case_order(cases: int, rows: int, seed: int) -> list[int]:
    """Indices of `rows` cases in training order: whole shuffled passes over all cases, the last one cut.

    An explicit order is what makes a resumed run exact, also past the first pass, and gives two runs with
    one seed the same prompts at the same steps.
    """
    if cases < 1:
        raise ValueError(f"an order needs at least one case, got {cases}")
    source = random.Random(seed)
    order: list[int] = []
    while len(order) < rows:
        passing = list(range(cases))
        source.shuffle(passing)
        order += passing
    return order[:rows]
