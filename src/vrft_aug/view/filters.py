"""What the viewer is asked to show: a filter from the address of a page, and back into one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import get_args
from urllib.parse import urlencode

from vrft_aug.nouns import FailureReason
from vrft_aug.run.rollout_lines import RolloutLine

REASONS: tuple[str, ...] = get_args(FailureReason)
OUTCOMES = ("right", "wrong", "no answer", *REASONS)


class BadFilter(ValueError):
    """A field of the filter is not what it should be; the message says which and what."""


@dataclass(frozen=True)
class Filter:
    """All that is set must hold of a completion; the fields are the names in the address."""

    stage: str = ""
    case: str = ""  # part of its id
    label: str = ""  # the true one
    outcome: str = ""  # one of OUTCOMES
    low: float | None = None  # of the total reward
    high: float | None = None
    first: int | None = None  # of the steps
    last: int | None = None
    text: str = ""  # part of the completion, in any case of letters

    @classmethod
    def read(cls, query: Mapping[str, str]) -> Filter:
        """From the address of a page; raises BadFilter for what is no number or no outcome."""
        texts = {name: query.get(name, "").strip() for name in ("stage", "case", "label", "outcome", "text")}
        if texts["outcome"] and texts["outcome"] not in OUTCOMES:
            raise BadFilter(f"outcome is {texts['outcome']!r}; expected one of {', '.join(OUTCOMES)}")
        rewards = {name: _number(query, name, float) for name in ("low", "high")}
        steps = {name: _number(query, name, int) for name in ("first", "last")}
        return cls(**texts, **rewards, **steps)  # type: ignore[arg-type]

    @property
    def is_set(self) -> bool:
        """Whether anything is left out."""
        return self != Filter()

    def query(self) -> dict[str, str]:
        """The fields that are set, as an address has them."""
        values = {one.name: getattr(self, one.name) for one in fields(self)}
        return {
            name: f"{value:g}" if isinstance(value, float) else str(value)
            for name, value in values.items()
            if value not in ("", None)
        }

    def test(
        self, label_of: Callable[[RolloutLine], str | None], outcome_of: Callable[[RolloutLine], str]
    ) -> Callable[[RolloutLine], bool]:
        """A test for entries; what is dear to find out is asked last, and only where it matters."""
        text, case = self.text.casefold(), self.case.casefold()

        def holds(entry: RolloutLine) -> bool:
            if self.stage and entry.stage != self.stage:
                return False
            if self.first is not None and entry.step < self.first:
                return False
            if self.last is not None and entry.step > self.last:
                return False
            if self.low is not None and (entry.total is None or entry.total < self.low):
                return False
            if self.high is not None and (entry.total is None or entry.total > self.high):
                return False
            if case and case not in entry.case.casefold():
                return False
            if self.outcome in REASONS and entry.reason != self.outcome:
                return False
            if text and text not in entry.completion.casefold():
                return False
            if self.label and label_of(entry) != self.label:
                return False
            return self.outcome not in ("right", "wrong", "no answer") or outcome_of(entry) == self.outcome

        return holds


def address(path: str, *parts: Mapping[str, object], **more: object) -> str:
    """A link within the viewer; None and "" are left out."""
    query = {
        name: value for part in (*parts, more) for name, value in part.items() if value not in (None, "")
    }
    return f"{path}?{urlencode(query)}" if query else path


def _number(query: Mapping[str, str], name: str, kind: type[float] | type[int]) -> float | int | None:
    text = query.get(name, "").strip()
    if not text:
        return None
    try:
        value = kind(text)
    except ValueError:
        raise BadFilter(f"{name} is {text!r}; expected a number") from None
    if value != value:
        raise BadFilter(f"{name} is {text!r}; expected a number")
    return value
