"""One row a case: the truth, what the model answered, and all that the metrics need of both."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace

from vrft_aug.answer import options_of
from vrft_aug.evaluation.metrics.box_detection import agreement, ranks
from vrft_aug.evaluation.metrics.case_metrics import CaseMetric
from vrft_aug.evaluation.metrics.reasoning import Checks, checks, figures
from vrft_aug.knowledge.bank_schema import KnowledgeBank
from vrft_aug.labels import normalise
from vrft_aug.nouns import (
    ABSTAINED,
    Answer,
    AnswerValue,
    Box,
    Case,
    FailureReason,
    Prompt,
    Rollout,
    Task,
    TaskKind,
)
from vrft_aug.shaping.format import strict_format
from vrft_aug.shaping.text import canonical, same_text, token_f1

# Policies that do not see the picture, see evaluation/blind.py; what each earns is a figure of the row.
FREQUENT, TEXT_ONLY = "frequent", "text_only"
UNTOLD = "untold"  # the same model and pictures, without the knowledge in the prompt
BLIND_FIGURES = tuple(
    f"{policy}_{figure}" for policy in (FREQUENT, TEXT_ONLY, UNTOLD) for figure in ("accuracy", "token_f1")
)


STATED = "confidence_stated"


@dataclass(frozen=True)
class Row:
    """What came of one case. Boxes are in pixels of the original (first) image."""

    case: str
    patient: str | None
    truth: str | None  # the label, text or labels (joined, see `joined`) asked for; None for boxes
    answer: str | None  # the greedy answer; None where there is none, or it is boxes
    reason: FailureReason | None  # why there is no answer
    reasoning: str
    completion: str
    tokens: int | None
    formatted: bool  # exactly as the task's format asks, see shaping/format.py
    true_boxes: tuple[Box, ...] | None = None  # wherever they are known, whatever the task asks
    boxes: tuple[Box, ...] | None = None  # the answer to a localise task
    confidence: tuple[float, ...] = ()  # of each of `boxes`
    votes: Mapping[str, int] = field(default_factory=dict)  # sampled answers (free text normalised), counted
    samples: int = 0  # sampled completions; those without an answer have no vote
    options: tuple[str, ...] = ()  # of a choice, as they were shown
    # Of the reasoning, see `reasoning.FIGURES`, by the metrics that the recipe names, and BLIND_FIGURES.
    figures: Mapping[str, float] = field(default_factory=dict)
    facets: tuple[tuple[str, str], ...] = ()  # what the data says of the question
    stated: float | None = None  # how sure the answer says to be, 0 to 1
    picture: str | None = None  # cases of one picture are not independent; None: no other case has it


def make_rows(
    task: Task,
    cases: Sequence[Case],
    answers: Sequence[Answer],
    rollouts: Sequence[Rollout],
    sampled: Sequence[Sequence[Answer]] | None,
    prompts: Sequence[Prompt] | None = None,
    bank: KnowledgeBank | None = None,
    metrics: Sequence[CaseMetric] = (),
    blind: Mapping[str, Sequence[Answer]] | None = None,
) -> list[Row]:
    """A row for every case whose target holds what the task asks for, in the order of the cases.

    `prompts` tell what knowledge the reasoning may have recited, `bank` what it may be checked by; `metrics`
    are those that the recipe names; `blind` are the answers, one a case, of policies that do not see.
    """
    known = checks(task, bank)
    samples = sampled if sampled is not None else [()] * len(cases)
    told = prompts if prompts is not None else [Prompt((), ())] * len(cases)
    unseen: Sequence[Mapping[str, Answer]] = [{}] * len(cases)
    if blind:
        unseen = [dict(zip(blind, of_case, strict=True)) for of_case in zip(*blind.values(), strict=True)]
    everything = zip(cases, answers, rollouts, samples, told, unseen, strict=True)
    rows = []
    for case, answer, rollout, own, prompt, others in everything:
        if _truth(task, case) is not None:
            supplied = {"answer": answer, "case": case, "task": task, "prompt": prompt, "rollout": rollout}
            supplied |= {"bank": bank, "samples": own}
            numbers = {metric.name: metric.of(supplied) for metric in metrics}
            row = _row(task, known, case, answer, rollout, own, prompt.knowledge)
            named = {name: number for name, number in numbers.items() if number is not None}
            rows.append(replace(row, figures={**row.figures, **named, **_blind_figures(task, case, others)}))
    return rows


def vote_key(kind: TaskKind, value: str) -> str:
    """Answers with the same key are the same vote: labels as they are, free text normalised."""
    return normalise(value) if kind == "answer" else value


def joined(labels: Collection[str]) -> str:
    """A set of labels as one text, the same for every order; "" for none. Labels hold no comma."""
    return ", ".join(sorted(labels))


def split_labels(text: str) -> frozenset[str]:
    """The set that `joined` made a text of."""
    return frozenset(text.split(", ")) if text else frozenset()


def named_labels(kind: TaskKind, text: str) -> frozenset[str]:
    """The labels that a row's truth, answer or vote names: one, or those of a multilabel set."""
    return split_labels(text) if kind == "multilabel" else frozenset([text])


def _truth(task: Task, case: Case) -> str | tuple[Box, ...] | None:
    target = case.target
    if task.kind == "answer":
        return target.text if target.text is None else _plain(task, target.text)
    if task.kind == "multilabel":
        return None if target.labels is None else _plain(task, target.labels)
    return target.boxes if task.kind == "localise" else target.label


def _plain(task: Task, value: AnswerValue) -> str | tuple[Box, ...] | None:
    """Boxes as they are, all else as a text; in a free text synonyms become what they stand for."""
    if isinstance(value, frozenset):
        return joined(value)
    if isinstance(value, str) and task.kind == "answer" and task.synonyms:
        return canonical(value, task.synonyms)
    return value


def _as_truth(task: Task, case: Case, value: AnswerValue) -> str | tuple[Box, ...] | None:
    """As `_plain`; a free text that is the same as the truth for the reward is the truth here too."""
    truth = case.target.text
    if task.kind != "answer" or task.answer_mode != "lenient" or not isinstance(value, str) or not truth:
        return _plain(task, value)
    return _plain(task, truth if same_text(value, truth, task, case) else value)


def _blind_figures(task: Task, case: Case, blind: Mapping[str, Answer]) -> dict[str, float]:
    """What policies that do not see the picture earn for a case, judged as the model's own answer is."""
    truth, found = _truth(task, case), {}
    for policy, answer in blind.items():
        said = _as_truth(task, case, answer.value)
        given, wanted = (one if isinstance(one, str) else None for one in (said, truth))
        right = given is not None and vote_key(task.kind, given) == vote_key(task.kind, wanted or "")
        found[f"{policy}_accuracy"] = float(right)
        if task.kind == "answer":
            found[f"{policy}_token_f1"] = 0.0 if given is None else token_f1(given, wanted or "")
    return found


def _row(
    task: Task,
    known: Checks,
    case: Case,
    answer: Answer,
    rollout: Rollout,
    samples: Sequence[Answer],
    knowledge: str,
) -> Row:
    truth, value = _truth(task, case), _as_truth(task, case, answer.value)
    boxes = value if isinstance(value, tuple) else None
    confidence: tuple[float, ...] = ()
    if boxes is not None:
        others = [s.value if isinstance(s.value, tuple) else None for s in samples]
        confidence = agreement(boxes, others) if others else ranks(boxes)
    said = [_as_truth(task, case, sample.value) for sample in samples]
    votes = Counter(vote_key(task.kind, one) for one in said if isinstance(one, str))
    return Row(
        case=case.id,
        patient=case.patient,
        truth=truth if isinstance(truth, str) else None,
        answer=value if isinstance(value, str) else None,
        reason=answer.reason,
        reasoning=answer.reasoning,
        completion=rollout.completion,
        tokens=rollout.tokens,
        formatted=strict_format(rollout, task.answer_format, task.confidence) == 1,
        true_boxes=case.target.boxes,
        boxes=boxes,
        confidence=confidence,
        votes=dict(votes),
        samples=len(samples),
        options=options_of(case, task) if task.kind == "choice" else (),
        figures={
            **figures(task, case, answer, samples, knowledge, known),
            # So that a report whose answers never say it, or never abstain, tells so.
            **({STATED: float(answer.confidence is not None)} if task.confidence else {}),
            **({"abstained": float(answer.reason == ABSTAINED)} if task.abstain is not None else {}),
        },
        facets=case.facets,
        picture=case.picture,
        stated=answer.confidence if answer.reason is None else None,
    )
