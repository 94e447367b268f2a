"""Perceptual fingerprints: pictures that look alike have fingerprints that differ in few bits.

The fingerprint is the DCT hash ("pHash", as the library imagehash has it): 32 x 32 grey values, the 8 x 8
lowest frequencies, each above or below their median. It does not change with size, compression, brightness
and contrast. It is computed here because an audit takes it of what a picture does not share with all others
of its set (every fundus photograph is a bright disc on black, and imagehash would call them all alike), and
of 28 views of each (turned, mirrored, cropped), which matrix products give.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
from numpy.typing import NDArray

from vrft_aug.preview.audit.picture_facts import THUMB

Thumbs = NDArray[np.float32]  # (pictures, THUMB, THUMB)
View = Callable[[Thumbs], Thumbs]
Hashes = NDArray[np.uint64]  # (pictures,)
KEPT = 8  # frequencies a side
CROPS = (0.95, 0.9, 0.85, 0.8)  # of the sides; each about the centre and in the four corners
CORNERS = {"centre": (0.5, 0.5), "top left": (0, 0), "top right": (1, 0), "bottom left": (0, 1),
           "bottom right": (1, 1)}  # fmt: skip


def fingerprint(thumbs: Thumbs) -> Hashes:
    """64 bits a picture."""
    low = _dct_rows()
    frequencies = (low @ thumbs @ low.T).reshape(len(thumbs), KEPT * KEPT)
    above = frequencies > np.median(frequencies, axis=1, keepdims=True)
    return np.packbits(above, axis=1).view(">u8").astype(np.uint64).reshape(-1)


def views() -> dict[str, View]:
    """By how a picture is changed: turned and mirrored in all eight ways, "" for not at all, then cropped."""
    found: dict[str, View] = {}
    for quarter in range(4):
        found[f"turned by {90 * quarter}°" if quarter else ""] = partial(_turned, quarter=quarter)
        mirrored = {0: "mirrored left to right", 2: "mirrored top to bottom"}
        name = mirrored.get(quarter, f"mirrored and turned by {90 * quarter}°")
        found[name] = partial(_turned, quarter=quarter, mirrored=True)
    for share in CROPS:
        for corner, (x, y) in CORNERS.items():
            rows = partial(_cropped, across=_crop_rows(share, x), down=_crop_rows(share, y))
            found[f"cropped to {share:.0%} of its sides ({corner})"] = rows
    return found


def _turned(thumbs: Thumbs, quarter: int, mirrored: bool = False) -> Thumbs:
    turned = np.rot90(thumbs, quarter, axes=(1, 2))
    return turned[:, :, ::-1] if mirrored else turned


def _cropped(thumbs: Thumbs, across: NDArray[np.float32], down: NDArray[np.float32]) -> Thumbs:
    return np.asarray(down @ thumbs @ across.T, dtype=np.float32)


def _dct_rows() -> NDArray[np.float32]:
    """The lowest rows (KEPT, THUMB) of the DCT-II."""
    angles = np.pi * np.arange(KEPT)[:, None] * (np.arange(THUMB) + 0.5) / THUMB
    rows: NDArray[np.float32] = np.cos(angles).astype(np.float32)
    return rows


def _crop_rows(share: float, anchor: float) -> NDArray[np.float32]:
    """(THUMB, THUMB): samples `share` of a side, from `anchor` of what is left over, by interpolation."""
    at: NDArray[np.float64] = np.clip(
        (np.arange(THUMB) + 0.5) * share + anchor * (1 - share) * THUMB - 0.5, 0, THUMB - 1
    )
    low = np.minimum(np.floor(at).astype(int), THUMB - 2)
    rows = np.zeros((THUMB, THUMB), dtype=np.float32)
    rows[np.arange(THUMB), low] = 1 - (at - low)
    rows[np.arange(THUMB), low + 1] = at - low
    return rows
