"""The fact rewards: what the reasoning states, held against the class answered and against the picture."""

from __future__ import annotations

from vrft_aug.errors import UserError
from vrft_aug.imitation.findings import Mentions, Vocabulary, mentions
from vrft_aug.knowledge.bank_schema import KnowledgeBank
from vrft_aug.nouns import Answer, Case, Task

Findings = frozenset[str]


def consistency(answer: Answer, case: Case, task: Task, bank: KnowledgeBank) -> float | None:
    """How far the findings in the reasoning belong to the class that is answered, 0..1.

    See `agreement`. Wrong is what the bank says speaks against the class, and what belongs to other classes
    alone (of a grade task: to higher grades). To deny a finding of the class is no mistake, for few are
    always there, but earns nothing either. Stating findings that the class leaves open is free as long as
    they are few: the value falls with the square of their share, to 0 for listing them all. 0 for reasoning
    without a finding and for an unparseable answer; None where the task has no labels.
    """
    if task.kind not in ("classify", "grade", "multilabel"):
        return None
    if answer.reason is not None or isinstance(answer.value, tuple) or answer.value is None:
        return 0.0
    words = vocabulary(bank)
    said = mentions(answer.reasoning, words)
    present, absent = class_findings(bank, task, answer.value)
    left_open = frozenset(words) - present - absent
    listed = len(said.present & left_open) / len(left_open) if left_open else 0.0
    # Typical is not necessary: a class keeps to itself though one of its findings is denied.
    stated = Mentions(said.present, said.absent - present | (said.present & said.absent))
    return agreement(stated, present, absent) * (1 - listed**2)


def grounding(answer: Answer, case: Case, task: Task, bank: KnowledgeBank) -> float | None:
    """How far the findings in the reasoning are in the picture, 0..1; see `agreement`.

    What is known of the picture are the case's findings, or the labels of its boxes. 0 for reasoning
    without a finding that is known and for an unparseable answer; None where nothing is known of the case,
    or nothing that the bank has a word for.
    """
    words = vocabulary(bank)
    present, absent = known_findings(case, words)
    if not present and not absent:
        return None
    if answer.reason is not None:
        return 0.0
    return agreement(mentions(answer.reasoning, words), present, absent)


def agreement(said: Mentions, present: Findings, absent: Findings) -> float:
    """(right - wrong) / (right + wrong), at least 0: 1 where all that is said is so, 0 where half is not.

    Right is to state a finding that is present or, where none is, to deny one that is absent; so denials
    alone earn nothing while there is something to see. Wrong is to state what is absent, to deny what is
    present, and to say both of one finding. What is neither present nor absent is not counted, and saying
    more than one right thing earns no more than one.
    """
    wrong = (said.present & absent) | (said.absent & present) | (said.present & said.absent)
    right = (said.present & present if present else said.absent & absent) - wrong
    if not right:
        return 0.0
    return max(0.0, (len(right) - len(wrong)) / (len(right) + len(wrong)))


def class_findings(bank: KnowledgeBank, task: Task, value: str | frozenset[str]) -> tuple[Findings, Findings]:
    """What belongs to the class (or the set of labels) that is answered, and what speaks against it."""
    said = value if isinstance(value, frozenset) else frozenset([value])
    present = frozenset(name for label in said for name in bank.classes[label].present)
    against = frozenset(name for label in said for name in bank.classes[label].absent)
    rest = [label for label in task.labels if label not in said]
    if isinstance(value, str) and task.kind == "grade":  # a severe case also has what milder ones have
        rest = list(task.labels[task.labels.index(value) + 1 :])
    foreign = frozenset(name for label in rest for name in bank.classes[label].present)
    return present, (against | foreign) - present


def known_findings(case: Case, words: Vocabulary) -> tuple[Findings, Findings]:
    """What is known to be, and known not to be, in the picture, by the vocabulary's canonical names."""
    target = case.target
    present = target.present or frozenset(box.label for box in target.boxes or () if box.label is not None)
    here = _canonical(present, words)
    return here, _canonical(target.absent, words) - here


def vocabulary(bank: KnowledgeBank) -> Vocabulary:
    """The findings that the bank has words for: its own list, and what its classes name besides."""
    named = {name: () for known in bank.classes.values() for name in (*known.present, *known.absent)}
    return {**named, **bank.findings}


def check_facts(task: Task, bank: KnowledgeBank | None) -> None:
    """UserError where there is no bank, or where it does not say by what a class is told."""
    if bank is None:
        raise UserError(
            f"task {task.name!r} names no knowledge bank, by which the reasoning could be checked; set "
            f"tasks.{task.name}.knowledge"
        )
    if not vocabulary(bank):
        raise UserError(
            f"knowledge bank {bank.name!r} has no findings, by which the reasoning could be checked"
        )


def check_consistency(task: Task, bank: KnowledgeBank | None) -> None:
    """As `check_facts`, and UserError where the bank lists no findings for or against one of the labels."""
    check_facts(task, bank)
    assert bank is not None
    for label in task.labels:
        known = bank.classes.get(label)
        if known is None or not (known.present or known.absent):
            raise UserError(
                f"knowledge bank {bank.name!r} lists no findings (present, absent) of {label!r}, which "
                f"consistency is judged by"
            )


def _canonical(names: Findings, words: Vocabulary) -> Findings:
    return frozenset().union(*({name} if name in words else mentions(name, words).present for name in names))
