"""Controls of an injection: text of the same length that should not help."""

from __future__ import annotations

import random
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

from vrft_aug.knowledge.count import Count

UNRELATED = Path(__file__).parent / "unrelated.txt"


def derangement(size: int, seed: int) -> list[int]:
    """A permutation of range(size), drawn evenly by seed from those that leave nothing in its place.

    Raises ValueError for fewer than two.
    """
    if size < 2:
        raise ValueError(f"{size} cannot be deranged; expected at least 2")
    rng = random.Random(f"derangement {seed}")
    order = list(range(size))
    while any(place == item for place, item in enumerate(order)):
        rng.shuffle(order)
    return order


@lru_cache(maxsize=64)
def unrelated_texts(lengths: tuple[int, ...], seed: int, count: Count) -> tuple[str, ...]:
    """For every length a text of true facts about other things, as long as whole facts allow and no longer.

    Of one fact at least. Facts come in an order drawn by seed, and again only where the rest do not give a
    length exactly.
    """
    rng = random.Random(f"unrelated {seed}")
    pool: list[str] = []
    texts = []
    for length in lengths:
        chosen = _longest_sum(pool, length, count)
        if sum(_size(fact, count) for fact in chosen) != length:
            pool = rng.sample(unrelated_facts(), len(unrelated_facts()))
            chosen = _longest_sum(pool, length, count) or [min(pool, key=lambda fact: _size(fact, count))]
        pool = [fact for fact in pool if fact not in chosen]
        texts.append(" ".join(chosen))
    return tuple(texts)


@lru_cache(maxsize=1)
def unrelated_facts() -> tuple[str, ...]:
    """The shipped facts about other things, a short sentence each."""
    lines = UNRELATED.read_text(encoding="utf-8").splitlines()
    return tuple(line.strip() for line in lines if line.strip() and not line.startswith("#"))


def _longest_sum(facts: Sequence[str], length: int, count: Count) -> list[str]:
    """Facts whose lengths add up to `length`, else to the most below it; early ones first."""
    reached: dict[int, list[str]] = {0: []}
    for fact in facts:
        if length in reached:
            break
        size = _size(fact, count)
        for total, chosen in list(reached.items()):
            if total + size <= length:
                reached.setdefault(total + size, [*chosen, fact])
    return reached[max(reached)]


def _size(fact: str, count: Count) -> int:
    return count(f" {fact}")  # as in a line: a tokenizer takes the space for part of the first word
