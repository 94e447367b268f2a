"""The fact rewards: what the reasoning says, held against the class answered and against the picture."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import reduce
from operator import or_
from typing import Literal

from vrft_aug.errors import UserError
from vrft_aug.imitation.findings import Reading, named, read_findings
from vrft_aug.knowledge.bank_schema import KnowledgeBank
from vrft_aug.knowledge.finding_graph import NONE, ClassView, FindingGraph, Names, finding_graph
from vrft_aug.nouns import ABSTAINED, Answer, Case, Task

SMALL = 0.25  # what a finding that is unlikely, or one of a long list, costs of what a right one earns
CONTRADICTED = 0.25  # what is left after each contradiction
FREE = 4  # findings that may be stated though nothing is known of them: above, it is a list

Standing = Literal["right", "nothing", "open", "unlikely", "contradiction"]


@dataclass(frozen=True)
class Judged:
    """How each finding that is said, or denied, stands to a class or a picture."""

    stated: dict[str, Standing]
    denied: dict[str, Standing]
    clashes: tuple[str, ...] = ()  # contradictions within the text, and definitions denied, in words

    def count(self, standing: Standing) -> int:
        """How many findings stand so."""
        return sum(one == standing for one in (*self.stated.values(), *self.denied.values()))

    def value(self, silence: float) -> float:
        """0..1: right / (right + a quarter of unlikely and overlong), a quarter of it for each contradiction.

        Without a right finding 0, or `silence` where nothing speaks against it either.
        """
        right, against = self.count("right"), self.count("unlikely")
        contradictions = self.count("contradiction") + len(self.clashes)
        if not right:
            return 0.0 if against or contradictions else silence
        listed = max(0, self.count("open") - FREE)
        return right / (right + SMALL * (against + listed)) * CONTRADICTED**contradictions


def consistency(
    answer: Answer, case: Case, task: Task, bank: KnowledgeBank, silence: float = 0.0
) -> float | None:
    """How far the findings in the reasoning belong to the class that is answered, 0..1.

    1 where a finding typical of the class is stated (or the absence of one that it lacks) and nothing speaks
    against it: several earn no more than one. A contradiction is a finding that the class's definition
    excludes, a definition denied, or yes and no in one text; each leaves a quarter. An unlikely finding costs
    a little, one that may be there nothing, and what the bank says nothing of nothing up to four: a list of
    everything is worth less than the right findings. `silence` is earned by reasoning that names nothing of
    the class and nothing against it, 0 by an unparseable answer; None where the task has no labels.
    """
    if task.kind not in ("classify", "grade", "multilabel"):
        return None
    if answer.reason is not None or isinstance(answer.value, tuple) or answer.value is None:
        return 0.0
    graph = finding_graph(bank)
    view = class_view(graph, answer.value)
    return judge_class(read_findings(answer.reasoning, bank), view, graph).value(silence)


def grounding(
    answer: Answer, case: Case, task: Task, bank: KnowledgeBank, silence: float = 0.0
) -> float | None:
    """How far the findings in the reasoning are in the picture, 0..1.

    (right - wrong) / (right + wrong), at least 0, where right is to state a finding that is in the picture
    or, where none is, to deny one that is not; wrong is to state what is not there, to deny what is, and to
    say both. Findings that nothing is known of are free up to four, as in `consistency`. What is known of the
    picture are the case's findings, or the labels of its boxes. 0 for an unparseable answer, `silence` for
    reasoning that names nothing known; None where nothing is known of the case, or nothing that the bank has
    a word for.
    """
    present, absent = known_findings(case, bank)
    if not present and not absent:
        return None
    if answer.reason not in (None, ABSTAINED):
        return 0.0
    judged = judge_picture(read_findings(answer.reasoning, bank), present, absent, finding_graph(bank))
    right, wrong = judged.count("right"), judged.count("contradiction") + len(judged.clashes)
    if not right:
        return 0.0 if wrong else silence
    listed = max(0, judged.count("open") - FREE)
    return max(0.0, (right - wrong) / (right + wrong + SMALL * listed))


def class_view(graph: FindingGraph, value: str | frozenset[str]) -> ClassView:
    """What belongs to the class, or to the set of labels, that is answered, and what speaks against it.

    The empty set is a picture without any: what is typical of a label speaks against it.
    """
    if isinstance(value, str):
        return graph.classes[value]
    if value:
        return reduce(or_, (graph.classes[label] for label in sorted(value)))
    signs = NONE.union(*(view.typical.union(*view.groups) for view in graph.classes.values()))
    return ClassView(typically_absent=signs, unlikely=signs)


def judge_class(said: Reading, view: ClassView, graph: FindingGraph) -> Judged:
    """How what a text says stands to a class."""
    denied_whole = graph.denied(said.absent)
    stated = {name: standing(name, view, graph) for name in said.present}
    denied: dict[str, Standing] = {name: _denied(name, view, graph) for name in said.absent}
    clashes = _clashes(said, denied_whole, stated, graph)
    clashes += [
        f"denies {' and '.join(sorted(group))}, one of which defines the class"
        for group in view.groups
        if group <= denied_whole and not group & said.present
    ]
    return Judged(stated, denied, tuple(clashes))


def judge_picture(said: Reading, present: Names, absent: Names, graph: FindingGraph) -> Judged:
    """How what a text says stands to what is known of a picture."""
    there = NONE.union(*(graph.above[name] for name in present))
    gone = graph.denied(absent) - there
    stated: dict[str, Standing] = {}
    for name in said.present:
        if graph.above[name] & present:
            stated[name] = "right"
        elif name in gone:
            stated[name] = "contradiction"
        else:
            stated[name] = "nothing" if name in there else "open"
    denied: dict[str, Standing] = {}
    for name in said.absent:
        if graph.below[name] & there:
            denied[name] = "contradiction"
        else:
            denied[name] = "right" if not present and name in gone else "nothing"
    clashes = _clashes(said, graph.denied(said.absent), stated, graph)
    return Judged(stated, denied, tuple(clashes))


def known_findings(case: Case, bank: KnowledgeBank) -> tuple[Names, Names]:
    """What is known to be, and known not to be, in the picture, by the bank's canonical names."""
    target = case.target
    present = target.present or frozenset(box.label for box in target.boxes or () if box.label is not None)
    here = named(present, bank)
    return here, named(target.absent, bank) - here


def check_facts(task: Task, bank: KnowledgeBank | None) -> None:
    """UserError where there is no bank, or where it does not say by what a class is told."""
    if bank is None:
        raise UserError(
            f"task {task.name!r} names no knowledge bank, by which the reasoning could be checked; set "
            f"tasks.{task.name}.knowledge"
        )
    if not bank.findings:
        raise UserError(
            f"knowledge bank {bank.name!r} has no findings, by which the reasoning could be checked"
        )
    finding_graph(bank)


def check_consistency(task: Task, bank: KnowledgeBank | None, silence: float = 0.0) -> None:
    """As `check_facts`, and UserError where nothing that could be said would be right for a label."""
    check_facts(task, bank)
    assert bank is not None
    _check_silence("consistency", silence)
    classes = finding_graph(bank).classes
    for label in task.labels:
        view = classes.get(label)
        if view is None or not (view.typical or view.typically_absent or view.excluded):
            raise UserError(
                f"knowledge bank {bank.name!r} lists no findings (typical, excludes) of {label!r}, which "
                f"consistency is judged by"
            )


def check_grounding(task: Task, bank: KnowledgeBank | None, silence: float = 0.0) -> None:
    """As `check_facts`."""
    check_facts(task, bank)
    _check_silence("grounding", silence)


def _check_silence(name: str, silence: float) -> None:
    if not 0 <= silence <= 1:
        raise UserError(f"reward {name!r}: silence is {silence}; expected a number from 0 to 1")


def standing(name: str, view: ClassView, graph: FindingGraph) -> Standing:
    """The finding's own list, else the list of what it is a kind of: what speaks against comes first."""
    for names in (frozenset({name}), graph.above[name]):
        if names & view.excluded:
            return "contradiction"
        if names & view.unlikely and not names & view.typical:
            return "unlikely"
        if names & view.typical:
            return "right"
        if names & view.may:
            return "nothing"
    return "open"


def _denied(name: str, view: ClassView, graph: FindingGraph) -> Standing:
    if (graph.above[name] | graph.below[name]) & view.typically_absent:
        return "right"
    if view.typical:  # a denial earns nothing while there is something to see
        return "nothing"
    against: Callable[[str], bool] = lambda one: standing(one, view, graph) == "contradiction"  # noqa: E731
    return "right" if any(map(against, graph.below[name])) else "nothing"


def _clashes(
    said: Reading, denied_whole: Names, stated: dict[str, Standing], graph: FindingGraph
) -> list[str]:
    """What a text says of itself: yes and no of one finding, or two that exclude each other.

    A finding that is said and denied earns nothing.
    """
    clashes = []
    for name in sorted(said.present & denied_whole):
        if frozenset({name}) in said.alternatives:  # "no mass, or a mass that ..."
            continue
        clashes.append(f"says and denies {name}")
        if stated[name] == "right":
            stated[name] = "nothing"
    seen = sorted(said.present)
    clashes += [
        f"says {one} and {two}, which exclude each other"
        for place, one in enumerate(seen)
        for two in seen[place + 1 :]
        if two in graph.apart[one] and frozenset({one, two}) not in said.alternatives
    ]
    return clashes
