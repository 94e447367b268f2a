"""Which of many pictures are altered copies of each other: fingerprints propose, the pixels decide.

Fingerprints are looked up by bands of their bits, so that no picture is compared with all others: two that
differ in at most five of 64 bits agree in one of six bands. What is proposed so is compared by two
correlations of the 32 x 32 thumbnails: as they are, and of their detail (less the mean of 5 x 5 pixels),
which tells two pictures of one lighting apart. From both is taken what all pictures of the set have in
common.

The limits were chosen on pictures of IDRiD and BUSI, altered on purpose: of copies that are resized,
compressed, brightened, noisy, mirrored or turned by quarters, none has less, of all pairs of IDRiD none more.
Pictures of a few dozen pixels (RetinaMNIST) say too little: there many altered copies are missed. Crops
are found near the shares and corners that `fingerprints` tries, copies turned by a few degrees are not.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from vrft_aug.preview.audit.fingerprints import Hashes, Thumbs, View, fingerprint, views
from vrft_aug.preview.audit.picture_facts import THUMB, PictureFacts

BANDS = 6
MOST_BITS = 10  # that copies differ in
ALIKE, DETAIL = 0.88, 0.7  # correlations from which a pair is one to look at
COPY_DETAIL = 0.9  # and from which it is taken for a copy
SMALL = 64  # pixels of the shorter side; smaller pictures have little detail, and need more
SMALL_DETAIL, SMALL_COPY = 0.93, 0.97
COMMON = 30  # pictures from which their mean says what they have in common
CROWD = 2000  # pictures of one band that one picture is compared with at most; other bands tell them apart
PARTNERS = 20  # of a picture; a pair whose two have as many is left out: frames of a film are all alike
PAIRS = 2_000_000  # fingerprints compared together
CHUNK = 8_192  # pictures compared together
PLAINER = 0.005  # of correlation that a change has to gain on none
BLUR = 5  # pixels of a thumbnail; what varies within is detail
Bytes = NDArray[np.uint8]  # (pictures, THUMB, THUMB)
Flat = NDArray[np.float32]  # (pictures, THUMB²)
Places = NDArray[np.intp]


@dataclass(frozen=True)
class NearPair:
    """Two pictures by their places in the list, the first before the second."""

    first: int
    second: int
    likeness: float  # the correlation of the detail
    how: str  # what makes one of the other, "" where nothing has to be done
    copy: bool  # False: alike, but perhaps another picture


def near_pairs(facts: Sequence[PictureFacts]) -> list[NearPair]:
    """Pairs of pictures that are copies of each other or look alike, each once, in the view that fits best.

    Pictures of equal pixels are one picture here: the first stands for all. Flat ones are left out.
    """
    places = _distinct(facts)
    if len(places) < 2:
        return []
    thumbs = np.frombuffer(b"".join(facts[place].thumb for place in places), dtype=np.uint8)
    comparison = Comparison.of(thumbs.reshape(-1, THUMB, THUMB))
    small = np.array([min(facts[place].size) < SMALL for place in places])
    known = comparison.fingerprints(lambda raw: raw)
    best: dict[tuple[int, int], tuple[float, str]] = {}
    partners = np.zeros(len(places), dtype=int)
    for how, view in views().items():
        asked = comparison.fingerprints(view) if how else known
        for mine, theirs in _proposed(asked, known):
            chosen = (mine < theirs) if not how or _undone(how) else (mine != theirs)
            mine, theirs = mine[chosen], theirs[chosen]
            for start in range(0, len(mine), CHUNK):
                a, b = mine[start : start + CHUNK], theirs[start : start + CHUNK]
                likeness = comparison.likeness(a, b, view)
                least = np.where(small[a] | small[b], SMALL_DETAIL, DETAIL)
                for at in np.flatnonzero(likeness >= least):
                    pair = (int(min(a[at], b[at])), int(max(a[at], b[at])))
                    if pair not in best:
                        if min(partners[pair[0]], partners[pair[1]]) >= PARTNERS:
                            continue
                        partners[list(pair)] += 1
                        best[pair] = (0.0, "")
                    margin = PLAINER if how else 0.0  # what is told is the plainest view
                    if float(likeness[at]) > best[pair][0] + margin:
                        best[pair] = (float(likeness[at]), how)
    found = []
    for (a, b), (value, how) in sorted(best.items()):
        limit = SMALL_COPY if small[a] or small[b] else COPY_DETAIL
        found.append(NearPair(int(places[a]), int(places[b]), round(value, 3), how, value >= limit))
    return found


@dataclass(frozen=True)
class Comparison:
    """The thumbnails (n, THUMB, THUMB) of a set, with what all of them have in common."""

    thumbs: Bytes
    common: Flat
    common_detail: Flat

    @staticmethod
    def of(thumbs: Bytes) -> Comparison:
        """Of few pictures nothing is in common: their mean says little."""
        drawn = thumbs[:: max(1, len(thumbs) // CHUNK)].astype(np.float32)
        many = len(thumbs) >= COMMON
        return Comparison(
            thumbs, _standard(drawn).mean(axis=0) * many, _standard(_detail(drawn)).mean(axis=0) * many
        )

    def fingerprints(self, view: View) -> Hashes:
        """Of every picture in this view."""
        parts = [self.thumbs[start : start + CHUNK] for start in range(0, len(self.thumbs), CHUNK)]
        seen = (_residual(view(part.astype(np.float32)), self.common) for part in parts)
        return np.concatenate([fingerprint(one.reshape(-1, THUMB, THUMB)) for one in seen])

    def likeness(self, mine: Places, theirs: Places, view: View) -> NDArray[np.float32]:
        """The correlation of the detail of each pair, the first seen so; 0 where the whole is not alike."""
        a, b = view(self.thumbs[mine].astype(np.float32)), self.thumbs[theirs].astype(np.float32)
        alike = _products(_residual(a, self.common), _residual(b, self.common)) >= ALIKE
        values = np.zeros(len(mine), dtype=np.float32)
        if alike.any():
            details = (_residual(_detail(one[alike]), self.common_detail) for one in (a, b))
            values[alike] = _products(*details)
        return values


def _products(a: Flat, b: Flat) -> NDArray[np.float32]:
    found: NDArray[np.float32] = np.einsum("ij,ij->i", a, b)
    return found


def _detail(thumbs: Thumbs) -> Thumbs:
    from scipy import ndimage

    detail: Thumbs = thumbs - ndimage.uniform_filter(thumbs, (0, BLUR, BLUR))
    return detail


def _distinct(facts: Sequence[PictureFacts]) -> Places:
    seen: set[str] = set()
    places = []
    for place, one in enumerate(facts):
        if one.error is None and one.span > 0 and one.pixel_hash not in seen:
            seen.add(one.pixel_hash)
            places.append(place)
    return np.array(places, dtype=np.intp)


def _undone(how: str) -> bool:
    """Whether the same change undoes it, so that each pair need be asked for once."""
    return how.startswith("mirrored") or how == "turned by 180°"


def _standard(thumbs: Thumbs) -> NDArray[np.float32]:
    """(n, THUMB²) with mean 0 and deviation 1: brightness and contrast are gone."""
    flat: Flat = thumbs.reshape(len(thumbs), -1)
    flat = flat - flat.mean(axis=1, keepdims=True)
    flat /= np.maximum(flat.std(axis=1, keepdims=True), 1e-3)
    return flat


def _residual(thumbs: Thumbs, common: NDArray[np.float32]) -> NDArray[np.float32]:
    """(n, THUMB²) of length 1, less what all have in common: products of two are correlations."""
    left = _standard(thumbs) - common
    left /= np.maximum(np.linalg.norm(left, axis=1, keepdims=True), 1e-3)
    return left


def _proposed(asked: Hashes, known: Hashes) -> Iterator[tuple[Places, Places]]:
    """(asking, known) places of fingerprints that agree in a band and differ in few bits, by and by."""
    edges = np.linspace(0, 64, BANDS + 1).astype(int)
    for low, high in pairwise(edges.tolist()):
        mask = np.uint64((1 << high - low) - 1)
        keys, wanted = (known >> np.uint64(low)) & mask, (asked >> np.uint64(low)) & mask
        order = np.argsort(keys, kind="stable")
        start = np.searchsorted(keys[order], wanted, "left")
        counts = np.searchsorted(keys[order], wanted, "right") - start
        counts = np.minimum(counts, CROWD)
        ends = np.cumsum(counts)
        begin = 0
        while begin < len(asked):
            done = ends[begin - 1] if begin else 0
            end = max(begin + 1, int(np.searchsorted(ends, done + PAIRS, "right")))
            here = counts[begin:end]
            mine = np.repeat(np.arange(begin, end), here)
            inside = np.arange(len(mine)) - np.repeat(ends[begin:end] - here - done, here)
            theirs = order[np.repeat(start[begin:end], here) + inside]
            close = _bits(asked[mine] ^ known[theirs]) <= MOST_BITS
            yield mine[close], theirs[close]
            begin = end


def _bits(values: Hashes) -> NDArray[np.uint8]:
    """How many bits are set."""
    each = values.view(np.uint8).reshape(-1, 8)
    counted: NDArray[np.uint8] = _SET[each].sum(axis=1, dtype=np.uint8)
    return counted


_SET = np.array([bin(value).count("1") for value in range(256)], dtype=np.uint8)
