"""Questions about procedural pictures whose answers follow from what was drawn: choice, yes or no, open."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from vrft_aug.data.procedural.fundus import LESIONS
from vrft_aug.data.procedural.phrases import APPEARANCE, PICTURE
from vrft_aug.data.procedural.pool import USES, Modality
from vrft_aug.data.procedural.scene import Finding

Topic = Literal["there", "count", "where", "side", "larger"]
TOPICS: tuple[Topic, ...] = get_args(Topic)
QUADRANTS = ("upper left", "upper right", "lower left", "lower right")
SIDES = ("left", "right")
CLEAR = 6.0  # pixels that a centre keeps from a midline for a question of place to be fair,
LARGER = 1.3  # and how many times the area of the other a thing has for one of size
MOST_COUNTED = 7
OPTIONS = 4  # of a choice, where there are so many
SINGULAR = {
    "microaneurysms": "microaneurysm",
    "haemorrhages": "haemorrhage",
    "cotton wool spots": "cotton wool spot",
}
QUESTIONS = 1  # the last number of their seeds, which those of pictures lack


@dataclass(frozen=True)
class Asked:
    """A question, its answer, and the wrong answers that stand beside it in a choice."""

    topic: Topic
    question: str
    answer: str
    others: tuple[str, ...]

    @property
    def closed(self) -> bool:
        """Whether it is answered by yes or no."""
        return self.answer in ("yes", "no")


@dataclass(frozen=True)
class _Picture:
    """What is asked about: what was drawn on (width, height) pixels, and whether a choice is made of it."""

    modality: Modality
    findings: Sequence[Finding]
    size: tuple[int, int]
    choice: bool


Maker = Callable[[_Picture, np.random.Generator], Asked | None]


def questions_about(
    modality: Modality,
    findings: Sequence[Finding],
    size: tuple[int, int],
    seed: tuple[str, int, int],
    topics: Sequence[Topic],
    most: int,
    choice: bool,
) -> list[Asked]:
    """At most `most` questions about a picture of (width, height) pixels, one a topic, in their order.

    `seed` is (use, world, index) of the picture: the same picture is asked the same, whatever else is set. A
    topic that has no clear answer in the picture is left out. In a choice "is it there" is which of them is.
    """
    use, world, index = seed
    number = 0 if modality == "fundus" else 1
    about = _Picture(modality, findings, size, choice)
    made: list[Asked] = []
    for place, topic in enumerate(TOPICS):
        rng = np.random.default_rng([USES[use], number, world, index, QUESTIONS + place])
        asked = MAKERS[topic](about, rng)
        if asked is not None and topic in topics:
            made.append(asked)
    order = np.random.default_rng([USES[use], number, world, index, 0]).permutation(len(made))
    return [made[place] for place in sorted(order[:most])]


def _there(about: _Picture, rng: np.random.Generator) -> Asked | None:
    kinds = _kinds(about.modality)
    shown = [kind for kind in kinds if any(finding.kind == kind for finding in about.findings)]
    absent = [kind for kind in kinds if kind not in shown]
    if about.choice:
        if not shown or not absent:
            return None
        others = [str(kind) for kind in rng.permutation(absent)[: OPTIONS - 1]]
        question = f"Which of these does the {PICTURE[about.modality]} show?"
        return Asked("there", question, str(rng.choice(shown)), tuple(others))
    asked = shown if (shown and rng.random() < 0.5) or not absent else absent
    kind = str(rng.choice(asked))
    right, wrong = ("yes", "no") if kind in shown else ("no", "yes")
    return Asked("there", f"Does the {PICTURE[about.modality]} show {kind}?", right, (wrong,))


def _count(about: _Picture, rng: np.random.Generator) -> Asked | None:
    if about.modality == "chest":  # at most one of each is drawn
        what, number = "findings", len(about.findings)
    else:
        shown = sorted({finding.kind for finding in about.findings if finding.kind in LESIONS})
        what = str(rng.choice(shown if shown and rng.random() < 0.8 else LESIONS))
        number = sum(finding.kind == what for finding in about.findings)
    if number > MOST_COUNTED:
        return None
    near = [str(other) for other in range(max(0, number - 3), number + 4) if other != number]
    others = [str(other) for other in rng.permutation(near)[: OPTIONS - 1]]
    return Asked("count", f"How many {what} are there?", str(number), tuple(others))


def _where(about: _Picture, rng: np.random.Generator) -> Asked | None:
    asked = [one for one in _single(about.findings) if all(_clear(one, about.size))]
    if not asked:
        return None
    finding = asked[int(rng.integers(len(asked)))]
    right, lower = _halves(finding, about.size)
    quadrant = f"{'lower' if lower else 'upper'} {SIDES[right]}"
    question = f"In which quarter of the picture is the {_one(finding.kind)}?"
    return Asked("where", question, quadrant, tuple(one for one in QUADRANTS if one != quadrant))


def _side(about: _Picture, rng: np.random.Generator) -> Asked | None:
    asked = [one for one in _single(about.findings) if _clear(one, about.size)[0]]
    if not asked:
        return None
    finding = asked[int(rng.integers(len(asked)))]
    right, _ = _halves(finding, about.size)
    question = f"On which side of the picture is the {_one(finding.kind)}?"
    return Asked("side", question, SIDES[right], (SIDES[not right],))


def _larger(about: _Picture, rng: np.random.Generator) -> Asked | None:
    if both := _on_both_sides(about.findings, about.size):
        largest = both[int(rng.integers(len(both)))]
        right, _ = _halves(largest, about.size)
        question = f"On which side of the picture is the largest {_one(largest.kind)}?"
        return Asked("larger", question, SIDES[right], (SIDES[not right],))
    if (
        about.modality == "fundus"
    ):  # of different kinds the same is nearly always larger: guessed without looking
        return None
    alone = _single(about.findings)
    pairs = [(one, other) for one in alone for other in alone if _area(one) >= LARGER * _area(other)]
    if not pairs:
        return None
    one, other = pairs[int(rng.integers(len(pairs)))]
    first, second = (one, other) if rng.random() < 0.5 else (other, one)
    question = f"Which is larger: the {_one(first.kind)} or the {_one(second.kind)}?"
    return Asked("larger", question, _one(one.kind), (_one(other.kind),))


MAKERS: dict[Topic, Maker] = {
    "there": _there,
    "count": _count,
    "where": _where,
    "side": _side,
    "larger": _larger,
}


def _kinds(modality: Modality) -> tuple[str, ...]:
    return LESIONS if modality == "fundus" else tuple(APPEARANCE["chest"])


def _single(findings: Sequence[Finding]) -> list[Finding]:
    """What the picture shows exactly one of, so that "the" names it; but a heart lies in the middle."""
    kinds = [finding.kind for finding in findings]
    return [one for one in findings if kinds.count(one.kind) == 1 and one.kind != "enlarged heart"]


def _on_both_sides(findings: Sequence[Finding], size: tuple[int, int]) -> list[Finding]:
    """The largest of every kind that is on both sides, where it is clearly so and its side is clear."""
    found = []
    for kind in dict.fromkeys(finding.kind for finding in findings):
        own = sorted((one for one in findings if one.kind == kind and _clear(one, size)[0]), key=_area)
        others = [one for one in own if _halves(one, size)[0] != _halves(own[-1], size)[0]]
        clear = len(own) == sum(finding.kind == kind for finding in findings)
        if clear and others and _area(own[-1]) >= LARGER * _area(others[-1]):
            found.append(own[-1])
    return found


def _one(kind: str) -> str:
    """What a single thing of a kind is called."""
    return SINGULAR.get(kind, kind)


def _halves(finding: Finding, size: tuple[int, int]) -> tuple[bool, bool]:
    """Whether its centre is in the right and in the lower half."""
    x1, y1, x2, y2 = finding.box
    return bool(x1 + x2 > size[0]), bool(y1 + y2 > size[1])


def _clear(finding: Finding, size: tuple[int, int]) -> tuple[bool, bool]:
    """Whether its centre keeps clear of the vertical and of the horizontal midline."""
    x1, y1, x2, y2 = finding.box
    return abs(x1 + x2 - size[0]) >= 2 * CLEAR, abs(y1 + y2 - size[1]) >= 2 * CLEAR


def _area(finding: Finding) -> float:
    x1, y1, x2, y2 = finding.box
    return (x2 - x1) * (y2 - y1)
