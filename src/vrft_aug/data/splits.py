"""Which case belongs to which split, where the data leaves that open. Deterministic, by patient."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from vrft_aug.errors import UserError, shown

SPLITS = ("train", "validation", "test")
NAMES = {
    "train": "train",
    "training": "train",
    "val": "validation",
    "valid": "validation",
    "validation": "validation",
    "dev": "validation",
    "test": "test",
    "testing": "test",
}  # what data sets call them -> ours
VALIDATION_SHARE = 0.15
TEST_SHARE = 0.2


def split_name(given: str, where: str) -> str:
    """Our name of a split as it is called in a table; `where` names file and line in the UserError."""
    try:
        return NAMES[given.strip().casefold()]
    except KeyError:
        raise UserError(f"{where}: split {shown(given)} is unknown; expected {', '.join(SPLITS)}") from None


def deal(owners: Sequence[str], given: Sequence[str] | None) -> list[str]:
    """The split of every image by its owner: the patient, or the image itself where patients are unknown.

    `given` are the table's own splits. Where they have no validation images, about 15 % of the owners in
    train become validation, chosen by a hash of the owner's name; where nothing is given, about 15 % of all
    owners are validation and 20 % test. All images of an owner move together, and other rows change nothing.
    """
    if given is None:
        return [
            "test" if (u := _uniform(owner)) >= 1 - TEST_SHARE else _carved(u, "train") for owner in owners
        ]
    if "validation" in given:
        return list(given)
    return [_carved(_uniform(owner), split) for owner, split in zip(owners, given, strict=True)]


def _carved(uniform: float, split: str) -> str:
    return "validation" if split == "train" and uniform < VALIDATION_SHARE else split


def _uniform(owner: str) -> float:
    """A number in [0, 1) that depends on the name alone."""
    return int.from_bytes(hashlib.sha256(owner.encode()).digest()[:8], "big") / 2**64
