"""Where a reasoning repeats the injected knowledge word by word, for highlighting."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache

WORDS = 4  # in a row: the longest n-grams that BLEU, and so the recitation reward, counts
_WORD = re.compile(r"\w+")


def recited_parts(text: str, knowledge: str, words: int = WORDS) -> list[tuple[str, bool]]:
    """The text in pieces, in order, each with whether it is recited: `words` or more of it stand in a row in
    the knowledge. Punctuation and case do not count, as in the recitation reward."""
    known = _ngrams(knowledge, words)
    found = list(_WORD.finditer(text))
    spoken = [one.group().casefold() for one in found]
    recited = [False] * len(found)
    for i in range(len(found) - words + 1):
        if tuple(spoken[i : i + words]) in known:
            recited[i : i + words] = [True] * words
    return list(_merged(text, found, recited))


def _merged(text: str, found: list[re.Match[str]], recited: list[bool]) -> Iterator[tuple[str, bool]]:
    """Runs of recited words with what stands between them, and the rest."""
    start = i = 0
    while i < len(found):
        if not recited[i]:
            i += 1
            continue
        first = i
        while i + 1 < len(found) and recited[i + 1]:
            i += 1
        if found[first].start() > start:
            yield text[start : found[first].start()], False
        yield text[found[first].start() : found[i].end()], True
        start = found[i].end()
        i += 1
    if start < len(text):
        yield text[start:], False


@lru_cache(maxsize=256)
def _ngrams(text: str, n: int) -> frozenset[tuple[str, ...]]:
    words = [word.casefold() for word in _WORD.findall(text)]
    return frozenset(tuple(words[i : i + n]) for i in range(len(words) - n + 1))
