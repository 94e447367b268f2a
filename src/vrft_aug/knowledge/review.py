"""Who has read which facts of a bank, and agreed or not: a file of lines beside the bank."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from pydantic import ValidationError

from vrft_aug.errors import UserError, first_fault
from vrft_aug.files import write_text
from vrft_aug.knowledge.bank import bank_path, load_bank
from vrft_aug.knowledge.bank_facts import Fact, bank_facts, bank_hash
from vrft_aug.knowledge.bank_schema import KnowledgeBank, Strict

SUFFIX = ".review.jsonl"  # idrid.yaml is reviewed in idrid.review.jsonl


class Verdict(Strict):
    """A line of a review: what one person says of one fact, as the fact was worded then."""

    who: str
    when: str  # ISO 8601, UTC
    agrees: bool
    note: str = ""
    fact: str  # the digest of what was read
    of: str  # its address then, for people
    text: str
    bank: str
    bank_hash: str  # of the whole bank as it was


@dataclass(frozen=True)
class ReviewState:
    """How far a bank has been reviewed, as it reads now.

    A fact that was changed since it was read counts as unread. Of one person the last word on a fact
    counts; a fact that anybody disputes is not agreed to.
    """

    facts: tuple[Fact, ...]
    agreed: frozenset[str] = frozenset()  # digests
    disputed: frozenset[str] = frozenset()

    @property
    def complete(self) -> bool:
        """Whether somebody has agreed to every fact."""
        return all(fact.digest in self.agreed for fact in self.facts)

    def unreviewed(self, paid: bool = False) -> tuple[Fact, ...]:
        """The facts that nobody has agreed to; `paid`: of those that fact rewards pay by."""
        return tuple(
            fact for fact in self.facts if fact.digest not in self.agreed and (fact.paid or not paid)
        )

    def line(self) -> str:
        """How many facts are agreed to and disputed, in a line."""
        agreed = sum(fact.digest in self.agreed for fact in self.facts)
        disputed = sum(fact.digest in self.disputed for fact in self.facts)
        return f"{agreed} of {len(self.facts)} facts agreed to, {disputed} disputed"


def review_path(bank: Path) -> Path:
    """The file of reviews beside a bank."""
    return bank.with_name(bank.stem + SUFFIX)


def load_review(name: str) -> ReviewState:
    """How far the bank of that name, or in that file, has been reviewed.

    Raises UserError where there is no bank, or where the file beside it is no review.
    """
    return review_state(load_bank(name), read_verdicts(review_path(bank_path(name))))


def review_state(bank: KnowledgeBank, verdicts: Iterable[Verdict] = ()) -> ReviewState:
    """What these say of a bank; one that says itself that it is `reviewed` is agreed to but for disputes."""
    facts = bank_facts(bank)
    last = {(one.who, one.fact): one.agrees for one in verdicts}
    disputed = frozenset(fact for (_, fact), agrees in last.items() if not agrees)
    agreed = {fact for (_, fact), agrees in last.items() if agrees}
    if bank.reviewed:
        agreed |= {fact.digest for fact in facts}
    return ReviewState(facts, frozenset(agreed - disputed), disputed)


def read_verdicts(path: Path) -> tuple[Verdict, ...]:
    """The lines of a review in order; none where there is no file. UserError for a line that is none."""
    if not path.is_file():
        return ()
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"review {path} cannot be read as UTF-8 text: {error}") from None
    verdicts = []
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            verdicts.append(Verdict.model_validate(json.loads(line)))
        except ValidationError as error:
            fault = first_fault(error, "the line")
            raise UserError(
                f"review {path} line {number}: {fault.where} {fault.given}; expected what `vrft knowledge "
                "review` writes"
            ) from None
        except ValueError as error:
            raise UserError(
                f"review {path} line {number} is no JSON: {error}; expected a line of `vrft knowledge review`"
            ) from None
    return tuple(verdicts)


def write_verdicts(path: Path, verdicts: Sequence[Verdict]) -> None:
    """Write a review, whole or not at all."""
    write_text(path, "".join(f"{one.model_dump_json()}\n" for one in verdicts))


@dataclass
class Reviewer:
    """One person on the way through a bank. Every answer is kept at once: a review may end anywhere."""

    bank: KnowledgeBank
    who: str
    path: Path
    now: Callable[[], datetime] = field(default=lambda: datetime.now(UTC))

    def __post_init__(self) -> None:
        if not self.who.strip():
            raise UserError(
                "who reviews is empty; expected a name that others can ask (--who 'Dr A. Example')"
            )
        self._verdicts = list(read_verdicts(self.path))

    def left(self, label: str | None = None) -> tuple[Fact, ...]:
        """The facts, of one class or of all, on which this person has not said anything as they read now."""
        said = {one.fact for one in self._verdicts if one.who == self.who}
        return tuple(
            fact for fact in bank_facts(self.bank) if fact.digest not in said and label in (None, fact.label)
        )

    def say(self, fact: Fact, agrees: bool, note: str = "") -> None:
        """Keep what is said of a fact."""
        self._verdicts.append(
            Verdict(
                who=self.who,
                when=self.now().isoformat(timespec="seconds"),
                agrees=agrees,
                note=note.strip(),
                fact=fact.digest,
                of=fact.where,
                text=fact.text,
                bank=self.bank.name,
                bank_hash=bank_hash(self.bank),
            )
        )
        write_verdicts(self.path, self._verdicts)

    def state(self) -> ReviewState:
        """What all reviewers of this file say of the bank as it is."""
        return review_state(self.bank, self._verdicts)


def reviewed_part(bank: KnowledgeBank, state: ReviewState) -> KnowledgeBank:
    """A bank with only those definitions, attributes and differences that somebody has agreed to.

    A definition that nobody agreed to is empty: its class is then told by the rest, or not at all. Findings
    stay as they are.
    """
    agreed = {(fact.label, fact.which) for fact in state.facts if fact.digest in state.agreed}
    classes = {}
    for label, known in bank.classes.items():
        classes[label] = known.model_copy(
            update={
                "definition": known.definition if (label, "definition") in agreed else "",
                "attributes": tuple(
                    attribute
                    for number, attribute in enumerate(known.attributes, start=1)
                    if (label, f"attribute {number}") in agreed
                ),
                "confused_with": {
                    other: difference
                    for other, difference in known.confused_with.items()
                    if (label, f"difference from {other!r}") in agreed
                },
            }
        )
    return bank.model_copy(update={"classes": classes})
