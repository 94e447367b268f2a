"""Which case is trained on when, and with which seed: fixed before training starts, free of torch."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial


def stage_seed(seed: int, index: int) -> int:
    """The seed of the stage at `index`, from the recipe's; in [0, 2**31)."""
    return random.Random(f"{seed}/{index}").getrandbits(31)


Plan = Callable[[int, int], list[int]]  # (rows, seed) -> numbers of cases in training order


def mixed_order(
    sizes: Sequence[int], shares: Sequence[float], rows: int, seed: int, plans: Sequence[Plan] | None = None
) -> list[int]:
    """Row numbers in training order for parts of `sizes` cases, the rows of one part after those of another.

    At every place the part comes that is farthest behind its share, so that any stretch of the order holds
    every part in its share to one row. Each part goes through its cases as its plan says, by default as
    `case_order` does; a single part gives just that order.
    """
    parts: list[int] = []
    given = [0] * len(sizes)
    for place in range(rows):
        part = max(range(len(sizes)), key=lambda p: shares[p] * (place + 1) - given[p])
        given[part] += 1
        parts.append(part)
    seeds = [seed, *(stage_seed(seed, part) for part in range(1, len(sizes)))]
    plans = plans or [partial(case_order, size) for size in sizes]
    orders = [iter(plan(count, own)) for plan, count, own in zip(plans, given, seeds, strict=True)]
    starts = [sum(sizes[:part]) for part in range(len(sizes))]
    return [starts[part] + next(orders[part]) for part in parts]


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


def with_dropout(order: Sequence[int], dropout: Callable[[int], float], rows: int, seed: int) -> list[int]:
    """The order with `rows` added to each row number that goes without knowledge.

    `dropout` tells the chance of a row, drawn anew each time that it comes up: by seed, row and pass alone.
    """
    passes: dict[int, int] = {}
    drawn = []
    for row in order:
        number = passes[row] = passes.get(row, -1) + 1
        dropped = random.Random(f"dropout {seed} {row} {number}").random() < dropout(row)
        drawn.append(row + rows if dropped else row)
    return drawn


def round_keys(seed: int, step: int, rows: Sequence[int]) -> list[tuple[int, ...]]:
    """What each completion of a generation round is drawn by: stage's seed, step, case, member of its group.

    `rows` are the case numbers of all completions of the round, in all processes; where a case comes again,
    its members are counted on.
    """
    seen: Counter[int] = Counter()
    keys: list[tuple[int, ...]] = []
    for row in rows:
        keys.append((seed, step, row, seen[row]))
        seen[row] += 1
    return keys
