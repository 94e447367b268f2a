"""The tiny model's small world of words: what a finding is called and what it looks like."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

import numpy as np

from vrft_aug.data.procedural.fundus import haemorrhage_quadrants
from vrft_aug.data.procedural.pool import Modality
from vrft_aug.data.procedural.scene import Finding

FOUR_QUADRANTS = "haemorrhages in all four quadrants"
APPEARANCE: dict[Modality, dict[str, str]] = {
    "fundus": {
        "microaneurysms": "small dark red dots",
        "haemorrhages": "dark red blots",
        FOUR_QUADRANTS: "dark red blots in all four quadrants",
        "hard exudates": "bright yellow spots",
        "cotton wool spots": "pale fluffy patches",
        "new vessels": "fine tangled vessels",
    },
    "chest": {
        "opacity": "hazy white patch",
        "nodule": "small round white spot",
        "effusion": "white fluid at the lung base",
        "enlarged heart": "wide heart shadow",
        "pneumothorax": "black area without lung markings",
    },
}
PICTURE: dict[Modality, str] = {"fundus": "fundus photograph", "chest": "chest film"}
NOTHING = "no lesions"


def facts(findings: Iterable[Finding], size: tuple[int, int]) -> frozenset[str]:
    """What is true of a picture of (width, height) pixels, by the names that a class may be defined by."""
    findings = tuple(findings)
    known = {name for names in APPEARANCE.values() for name in names}
    named = {finding.kind for finding in findings} & known
    return frozenset(named | ({FOUR_QUADRANTS} if haemorrhage_quadrants(findings, size) == 4 else set()))


def worth_saying(modality: Modality, found: Collection[str]) -> list[str]:
    """The facts in a fixed order, without what follows from another."""
    return [
        name
        for name in APPEARANCE[modality]
        if name in found and not (name == "haemorrhages" and FOUR_QUADRANTS in found)
    ]


def reasoning(modality: Modality, found: Collection[str], rng: np.random.Generator) -> str:
    """One of several ways to put the findings into words: by name mostly, by appearance sometimes."""
    names = worth_saying(modality, found)
    if names and rng.random() < 0.15:
        return said([APPEARANCE[modality][name] for name in names], rng)
    return said(names or [NOTHING], rng)


def said(words: Sequence[str], rng: np.random.Generator) -> str:
    """A sentence that lists what is seen."""
    return f"{rng.choice(['Findings:', 'Findings:', 'I see', 'The image shows'])} {', '.join(words)}."


def joined(words: Sequence[str], by: str) -> str:
    """ "a", "a and b", "a, b and c"."""
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} {by} {words[-1]}"


def described(modality: Modality, name: str, style: str) -> str:
    """A finding by `name`, by `look`, or by `both`."""
    look = APPEARANCE[modality][name]
    return {"name": name, "look": look, "both": f"{name} ({look})"}[style]
