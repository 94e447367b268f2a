"""What a knowledge bank holds: facts by class with their sources, and the findings of the field."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict

REVIEW = "review"  # as a source: nobody has confirmed this fact yet


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


def _spelt_out(value: Any) -> Any:
    return {"what": value} if isinstance(value, str) else value


class ClassKnowledge(Strict):
    """What is known of one class."""

    definition: str
    source: str | None = None  # of the definition
    synonyms: tuple[str, ...] = ()  # other names of the class label
    attributes: tuple[Annotated[Attribute, BeforeValidator(_spelt_out)], ...] = ()
    confused_with: dict[str, Difference] = {}  # another class; a pair is told apart under either, once
    present: tuple[str, ...] = ()  # findings typical of the class
    absent: tuple[str, ...] = ()  # findings that speak against the class


class KnowledgeBank(Strict):
    """A bank as it lies on disk.

    `sources` by id are named by every fact, which else is marked `review`; sources as a bare list are
    those of the bank as a whole, and its facts name none.
    """

    name: str
    title: str
    author: str
    reviewed: bool
    reviewer: str | None = None  # who, where reviewed
    sources: tuple[str, ...] | dict[str, str]
    findings: dict[str, tuple[str, ...]] = {}  # canonical finding -> synonyms, for the fact reward
    classes: dict[str, ClassKnowledge]


def facts(known: ClassKnowledge) -> Iterator[tuple[str, str, str | None]]:
    """Every fact of a class as (which, text, source): the definition, attributes, differences."""
    yield "definition", known.definition, known.source
    for number, attribute in enumerate(known.attributes, start=1):
        yield f"attribute {number}", attribute.text, attribute.source
    for other, difference in known.confused_with.items():
        yield f"difference from {other!r}", difference.tell, difference.source
