"""What an audit looks at: the cases of a task with the facts of their pictures; and what it says."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from vrft_aug.data.finding_kinds import FINDING_KINDS, Level
from vrft_aug.data.row_faults import RowFault
from vrft_aug.nouns import Box, Case, Task
from vrft_aug.preview.audit.near_search import NearPair
from vrft_aug.preview.audit.picture_facts import PictureFacts

SHOWN = 3  # examples of a finding


@dataclass(frozen=True)
class Example:
    """One instance of a finding; `boxes` are in pixels of the first case's first picture."""

    text: str
    cases: tuple[str, ...] = ()  # ids
    boxes: tuple[Box, ...] = ()


@dataclass(frozen=True)
class Finding:
    """One kind of finding in one task."""

    name: str  # a key of FINDING_KINDS
    level: Level
    task: str
    count: int  # of what the sentence counts
    what: str
    advice: str
    examples: tuple[Example, ...] = ()
    accepted: bool = False  # by the recipe


@dataclass(frozen=True)
class Pictures:
    """Pictures, each once, by their places in `facts`; nothing is known of `unopened` ones."""

    facts: Sequence[PictureFacts]
    near: Sequence[NearPair] = ()
    unopened: bool = False

    def content(self, place: int) -> Hashable:
        """Equal for pictures of equal pixels; of unopened ones each is its own."""
        return place if self.unopened else self.facts[place].pixel_hash

    @cached_property
    def places(self) -> Mapping[Hashable, Sequence[int]]:
        """Content -> the pictures that have it; neither broken nor blank ones."""
        if self.unopened:
            return {place: (place,) for place in range(len(self.facts))}
        found: defaultdict[Hashable, list[int]] = defaultdict(list)
        for place, one in enumerate(self.facts):
            if one.error is None and one.span > 0:
                found[one.pixel_hash].append(place)
        return found


@dataclass(frozen=True)
class AuditedTask:
    """A task with its cases of all splits; `splits[i]` and `shown[i]` are of `cases[i]`."""

    task: Task
    cases: Sequence[Case]
    splits: Sequence[str]
    shown: Sequence[tuple[int, ...]]  # the places of the case's pictures in `pictures.facts`
    pictures: Pictures
    faults: Sequence[RowFault] = ()
    accept: frozenset[str] = field(default_factory=frozenset)

    @cached_property
    def cases_of(self) -> Mapping[Hashable, list[int]]:
        """Content of a picture -> the cases that show it, by their places; neither broken nor blank ones."""
        found: defaultdict[Hashable, list[int]] = defaultdict(list)
        for case, places in enumerate(self.shown):
            for content in dict.fromkeys(self.pictures.content(place) for place in places):
                if content in self.pictures.places:
                    found[content].append(case)
        return found

    def first_size(self, case: int) -> tuple[int, int] | None:
        """(width, height) of the case's first picture; None where it is not known."""
        width, height = self.pictures.facts[self.shown[case][0]].size if self.shown[case] else (0, 0)
        return (width, height) if width and height else None

    def finding(self, name: str, count: int, what: str, examples: Iterable[Example] = ()) -> Finding:
        """A finding of this task, accepted where its recipe says so."""
        kind = FINDING_KINDS[name]
        accepted = kind.acceptable and name in self.accept
        chosen = tuple(examples)[:SHOWN]
        return Finding(name, kind.level, self.task.name, count, what, kind.advice, chosen, accepted)

    def example(self, text: str, *cases: int, boxes: Iterable[Box] = ()) -> Example:
        """An example that names these cases."""
        return Example(text, tuple(self.cases[case].id for case in cases), tuple(boxes))


def truth(case: Case) -> Hashable:
    """What is true of a case as far as it is a label or a text; None where it is boxes alone."""
    target = case.target
    if target.label is not None:
        return target.label
    if target.labels is not None:
        return target.labels
    return " ".join(target.text.casefold().split()) if target.text is not None else None


def truth_text(case: Case) -> str:
    """The truth in words."""
    value = truth(case)
    if isinstance(value, frozenset):
        return ", ".join(sorted(value)) or "none"
    return str(value)


def plural(count: int, one: str, many: str = "") -> str:
    """`1 case`, `1,200 cases`."""
    return f"{count:,} {one if count == 1 else many or one + 's'}"
