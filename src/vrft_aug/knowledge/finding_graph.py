"""What follows from a finding that is said or denied: its kinds, what it excludes, each class's view."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from vrft_aug.errors import UserError, nearest
from vrft_aug.knowledge.bank_schema import ClassKnowledge, Finding, KnowledgeBank

Names = frozenset[str]
NO = "no "  # before a finding in a class's lists: its absence
NONE: Names = frozenset()


@dataclass(frozen=True)
class ClassView:
    """The lists of a class, or of labels that are true together: what is there, and what is not."""

    typical: Names = NONE
    typically_absent: Names = NONE
    may: Names = NONE
    unlikely: Names = NONE
    excluded: Names = NONE
    groups: tuple[Names, ...] = ()

    def __or__(self, other: ClassView) -> ClassView:
        """Of labels that are true together: what one of them brings speaks against none."""
        brought = self.typical | self.may | other.typical | other.may
        return ClassView(
            self.typical | other.typical,
            self.typically_absent & other.typically_absent,
            self.may | other.may,
            (self.unlikely | other.unlikely) - brought,
            (self.excluded | other.excluded) - brought,
            (*self.groups, *other.groups),
        )


@dataclass(frozen=True)
class FindingGraph:
    """The findings of a bank as they hang together. A finding is of its own kind."""

    above: Mapping[str, Names]  # finding -> all that it is a kind of
    below: Mapping[str, Names]  # finding -> all its kinds
    apart: Mapping[str, Names]  # finding -> what the same lesion cannot have as well
    classes: Mapping[str, ClassView]

    def denied(self, names: Iterable[str]) -> Names:
        """What is not there if these are not."""
        return NONE.union(*(self.below[name] for name in names))


def finding_graph(bank: KnowledgeBank) -> FindingGraph:
    """The graph of a bank's findings, made once for each bank.

    Raises UserError where findings lead nowhere or in a circle: see `graph_problems`.
    """
    kept = _KEPT.get(id(bank))
    if kept is None or kept[0] is not bank:
        if problems := graph_problems(bank):
            raise UserError(f"knowledge bank {bank.name!r}: {problems[0]}")
        while len(_KEPT) >= MOST_KEPT:
            _KEPT.pop(next(iter(_KEPT)))
        kept = _KEPT[id(bank)] = (bank, _graph(bank))
    return kept[1]


def resolve(name: str, findings: Mapping[str, Finding]) -> tuple[str, bool] | None:
    """(finding, whether its presence is meant) of an entry in a class's list; None where it is unknown."""
    if name in findings:
        return name, True
    bare = name.removeprefix(NO)
    return (bare, False) if bare != name and bare in findings else None


def graph_problems(bank: KnowledgeBank) -> list[str]:
    """A line for every finding that leads nowhere, is a kind of itself, or excludes its own kind."""
    problems = []
    for name, finding in bank.findings.items():
        measured = finding.measure.of if finding.measure is not None else ()
        for role, others in (
            ("includes", finding.includes),
            ("excludes", finding.excludes),
            ("measures", measured),
        ):
            problems += [
                f"finding {name!r} {role} {other!r}, which is not listed under findings"
                f"{nearest(other, bank.findings)}"
                for other in others
                if other not in bank.findings
            ]
    if problems:
        return problems
    for name in bank.findings:
        if (circle := _circle(name, bank.findings)) is not None:
            return [f"findings include each other in a circle: {' -> '.join(circle)}"]
    below = _below(bank.findings)
    for name, finding in bank.findings.items():
        for other in finding.excludes:
            if other in below[name] or name in below[other]:
                problems.append(
                    f"finding {name!r} excludes {other!r}, "
                    + ("itself" if other == name else "though one is a kind of the other")
                )
    return problems


MOST_KEPT = 64  # banks whose graphs are kept
_KEPT: dict[int, tuple[KnowledgeBank, FindingGraph]] = {}  # the bank is held, so that its id stays its own


def _graph(bank: KnowledgeBank) -> FindingGraph:
    below = _below(bank.findings)
    above: dict[str, set[str]] = {name: set() for name in bank.findings}
    apart: dict[str, set[str]] = {name: set() for name in bank.findings}
    for name, kinds in below.items():
        for kind in kinds:
            above[kind].add(name)
    for name, finding in bank.findings.items():
        for other in finding.excludes:
            for one in below[name]:
                for two in below[other]:
                    apart[one].add(two)
                    apart[two].add(one)
    return FindingGraph(
        {name: frozenset(names) for name, names in above.items()},
        below,
        {name: frozenset(names) for name, names in apart.items()},
        {label: _view(known, bank.findings) for label, known in bank.classes.items()},
    )


def _view(known: ClassKnowledge, findings: Mapping[str, Finding]) -> ClassView:
    typical = [found for name in known.listed("typical") if (found := resolve(name, findings)) is not None]
    return ClassView(
        frozenset(name for name, there in typical if there),
        frozenset(name for name, there in typical if not there),
        frozenset(known.listed("may")),
        frozenset(known.listed("unlikely")),
        frozenset(known.listed("excludes")),
        tuple(map(frozenset, known.groups)),
    )


def _below(findings: Mapping[str, Finding]) -> dict[str, Names]:
    below: dict[str, Names] = {}

    def kinds(name: str) -> Names:
        if name not in below:
            below[name] = frozenset({name}).union(*(kinds(other) for other in findings[name].includes))
        return below[name]

    for name in findings:
        kinds(name)
    return below


def _circle(start: str, findings: Mapping[str, Finding]) -> list[str] | None:
    """A way from a finding through what it includes back to itself."""
    ways = [[start, other] for other in findings[start].includes]
    seen: set[str] = set()
    while ways:
        way = ways.pop()
        if way[-1] == start:
            return way
        if way[-1] not in seen:
            seen.add(way[-1])
            ways += [[*way, other] for other in findings[way[-1]].includes]
    return None
