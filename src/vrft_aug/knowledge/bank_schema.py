"""What a knowledge bank holds: facts by class with their sources, and the findings of the field."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

REVIEW = "review"  # as a source: nobody has confirmed this fact yet
Relation = Literal["typical", "may", "unlikely", "excludes"]
RELATIONS: tuple[Relation, ...] = ("typical", "may", "unlikely", "excludes")
WHOLE = ""  # the source of a relation that names none: the bank's sources as a whole
SOURCE = re.compile(r"(?P<id>[\w-]+)(?: \((?P<place>[^()]+)\))?")  # an id, and where in it: "icdr (table 2)"
OLD_KEYS = {"present": "typical", "absent": "unlikely"}  # of 0.1.0: what they are read as


class Strict(BaseModel):
    """A part of a bank: unknown keys are errors, values are not changed after loading."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Attribute(Strict):
    """One visual fact of a class. A bare text in the file is all `what`."""

    what: str
    size: str = ""
    shape: str = ""
    colour: str = ""
    texture: str = ""
    where: str = ""
    source: str | None = None  # an id of the bank's sources, or `review`

    @property
    def text(self) -> str:
        """The fact as it is injected: what, then how it looks and where."""
        looks = [part for part in (self.size, self.shape, self.colour, self.texture, self.where) if part]
        return f"{self.what}: {', '.join(looks)}" if looks else self.what


class Difference(Strict):
    """How a class is told from one that it is confused with."""

    tell: str  # a sentence
    source: str | None = None


class Measure(Strict):
    """A finding that is another one beyond a count or a size, as the text gives it in figures.

    `more_than: 20, unit: each quadrant`; `at_least: 2, unit: quadrant`; `more_than: 3, unit: cm`.
    """

    of: tuple[str, ...]  # the findings that are counted or measured
    more_than: float | None = None
    at_least: float | None = None
    at_most: float | None = None
    unit: str

    @model_validator(mode="after")
    def _one_threshold(self) -> Measure:
        if sum(bound is not None for bound in (self.more_than, self.at_least, self.at_most)) != 1:
            raise ValueError("a measure has one of more_than, at_least, at_most")
        return self


class Finding(Strict):
    """A finding of the field with the words for it. A bare list in the file is all `names`."""

    names: tuple[str, ...] = ()  # exact synonyms
    narrower: tuple[str, ...] = ()  # to say one is to say the finding; to deny one denies nothing else
    broader: tuple[str, ...] = ()  # to deny one is to deny the finding; to say one says nothing
    includes: tuple[str, ...] = ()  # findings that are kinds of this one
    excludes: tuple[str, ...] = ()  # findings that the same lesion cannot have as well
    measure: Measure | None = None


def _spelt_out(value: Any) -> Any:
    return {"what": value} if isinstance(value, str) else value


def _finding(value: Any) -> Any:
    return {"names": value} if isinstance(value, list | tuple) else value


class Synonyms(Strict):
    """Other names of a class label. A bare list in the file is all `exact`."""

    exact: tuple[str, ...] = ()
    narrower: tuple[str, ...] = ()  # kinds of it: read as the label only where the recipe says so
    broader: tuple[str, ...] = ()  # never read as the label

    def read(self, narrower: bool) -> tuple[str, ...]:
        """Those that an answer is read by."""
        return (*self.exact, *self.narrower) if narrower else self.exact


def _exact(value: Any) -> Any:
    return {"exact": value} if isinstance(value, list | tuple) else value


def _by_source(value: Any) -> Any:
    return {WHOLE: value} if isinstance(value, list | tuple) else value


Sourced = Annotated[Mapping[str, tuple[str, ...]], BeforeValidator(_by_source)]  # source -> findings
AnyOf = Annotated[
    tuple[str, ...], BeforeValidator(lambda value: [value] if isinstance(value, str) else value)
]
Groups = Annotated[
    Mapping[str, tuple[AnyOf, ...]], BeforeValidator(_by_source)
]  # source -> groups of findings


class ClassKnowledge(Strict):
    """What is known of one class.

    A finding that is in none of the four lists is open: it may be said, and nothing follows. `no X` stands
    for the absence of a finding.
    """

    definition: str
    source: str | None = None  # of the definition
    synonyms: Annotated[Synonyms, BeforeValidator(_exact)] = Synonyms()
    attributes: tuple[Annotated[Attribute, BeforeValidator(_spelt_out)], ...] = ()
    confused_with: dict[str, Difference] = {}  # another class; a pair is told apart under either, once
    # Of each group one finding at least: to deny all of a group is to deny the class.
    defining: Groups = Field(default_factory=dict)
    typical: Sourced = Field(default_factory=dict)  # speaks for the class
    may: Sourced = Field(default_factory=dict)  # known to be possible: says nothing
    unlikely: Sourced = Field(default_factory=dict)  # speaks against the class
    excludes: Sourced = Field(default_factory=dict)  # a definition forbids it

    @model_validator(mode="before")
    @classmethod
    def _old_keys(cls, value: Any) -> Any:
        if not isinstance(value, dict) or not OLD_KEYS.keys() & value.keys():
            return value
        return {
            OLD_KEYS.get(key, key): {REVIEW: part} if key in OLD_KEYS else part for key, part in value.items()
        }

    def listed(self, relation: Relation) -> tuple[str, ...]:
        """The findings of a relation, whatever their source, as the file names them."""
        by_source: Mapping[str, tuple[str, ...]] = getattr(self, relation)
        return tuple(name for names in by_source.values() for name in names)

    @property
    def groups(self) -> tuple[tuple[str, ...], ...]:
        """The groups of defining findings, whatever their source."""
        return tuple(group for groups in self.defining.values() for group in groups)


class KnowledgeBank(Strict):
    """A bank as it lies on disk.

    `sources` by id are named by every fact, which else is marked `review`; sources as a bare list are
    those of the bank as a whole, and its facts name none.

    Args:
        name: what a recipe calls it.
        title: for people.
        author: who wrote it.
        reviewed: whether somebody who may has confirmed it; pages say where nobody has.
        reviewer: who, where reviewed.
        sources: by id, or as a bare list.
        coexist: several classes may be true of one picture, so that none speaks against another.
        official_labels: what data sets call a class -> the class.
        findings: canonical finding -> the words for it, by which reasoning is read, see `Finding`.
        classes: what is known of each class, by the task's label.
    """

    name: str
    title: str
    author: str
    reviewed: bool
    reviewer: str | None = None
    sources: tuple[str, ...] | dict[str, str]
    coexist: bool = False  # several classes may be true of one picture: none speaks against another
    official_labels: dict[str, str] = {}  # what data sets call a class -> the class
    findings: dict[str, Annotated[Finding, BeforeValidator(_finding)]] = {}
    classes: dict[str, ClassKnowledge]


def facts(known: ClassKnowledge) -> Iterator[tuple[str, str, str | None]]:
    """Every fact of a class as (which, text, source): definition, attributes, differences, findings.

    `which` is unique within the class. A source of None: the bank's sources as a whole.
    """
    yield "definition", known.definition, known.source
    for number, attribute in enumerate(known.attributes, start=1):
        yield f"attribute {number}", attribute.text, attribute.source
    for other, difference in known.confused_with.items():
        yield f"difference from {other!r}", difference.tell, difference.source
    yield from finding_facts(known)


def finding_facts(known: ClassKnowledge) -> Iterator[tuple[str, str, str | None]]:
    """The facts of a class that the fact rewards pay by, as `facts` gives them."""
    for source, groups in known.defining.items():
        for group in groups:
            yield f"defining {' or '.join(group)!r}", " or ".join(group), source or None
    for relation in RELATIONS:
        for source, names in getattr(known, relation).items():
            for name in names:
                yield f"{relation} {name!r}", name, source or None


def source_ids(source: str) -> list[str] | None:
    """The ids in `id`, `id (place)`, or several joined by ` and `; None where it is no such text."""
    found = [SOURCE.fullmatch(part) for part in source.split(" and ")]
    return None if None in found else [match["id"] for match in found if match is not None]
