"""A language model as a judge of open answers: one fixed rubric, and how far it agrees with people.

It comes beside the other figures of an evaluation and never in their place: what a judge calls right is
another model's opinion. What it is shown is the question, the reference and the answer, as JSON, so that an
answer cannot pass for an instruction; no picture, no reasoning, nothing of a header.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Literal

import numpy as np
from pydantic import TypeAdapter, ValidationError
from sklearn.metrics import cohen_kappa_score

from vrft_aug.errors import UserError
from vrft_aug.evaluation.metrics.bootstrap import Floats, Metric, Statistic, measure, ratio
from vrft_aug.evaluation.metrics.catalogue import groups
from vrft_aug.evaluation.report_data import Report
from vrft_aug.evaluation.verdicts import VALUES, Asker, Labelled, Word, rubric_hash
from vrft_aug.files import write_text
from vrft_aug.labels import normalise
from vrft_aug.policy.ask_all import CONCURRENCY, ask_all
from vrft_aug.policy.endpoint import Endpoint

FEW = 30  # hand-labelled answers below which an agreement is said to be uncertain


@dataclass(frozen=True)
class Verdict:
    """What was made of one case's answer."""

    case: str
    verdict: Word | None  # None: the judge gave no verdict
    why: str
    by: Literal["judge", "equal", "no answer"]  # equal to the reference, or none: nobody need be asked


@dataclass(frozen=True)
class Agreement:
    """How far the judge agrees with people on hand-labelled answers."""

    answers: int
    same: Metric  # share of equal verdicts
    kappa: Metric  # Cohen's, unweighted, over the three verdicts
    unread: int  # answers for which it gave no verdict; they count as other verdicts


@dataclass(frozen=True)
class Judged:
    """The verdicts on an evaluation; `evaluation` is a hash of its file, to tell another one apart."""

    model: str
    rubric: str
    evaluation: str
    score: Metric  # mean of the verdicts (right 1, partly right 0.5, wrong 0) of the cases with one
    counts: Mapping[str, int]
    verdicts: tuple[Verdict, ...]
    agreement: Agreement | None = None
    notes: tuple[str, ...] = field(default=())


def judge(
    endpoint: Endpoint,
    report: Report,
    questions: Mapping[str, str],
    hash: str,
    labelled: Sequence[Labelled] = (),
    concurrency: int = CONCURRENCY,
) -> Judged:
    """Ask the judge about every answer of an evaluation of kind `answer`, and about `labelled` ones.

    `questions` are those of the cases by id, `hash` is the evaluation's (`evaluation_hash`). Intervals are
    drawn as the evaluation's, by patient and picture. Raises UserError for another kind, and where the
    server fails.
    """
    if report.kind != "answer":
        raise UserError(
            f"task {report.task!r} is of kind {report.kind}, whose answers need no judge; expected "
            "kind answer"
        )
    asked = [row for row in report.rows if row.answer is not None and not _equal(row.answer, row.truth or "")]
    items = [(questions.get(row.case, ""), row.truth or "", row.answer or "") for row in asked]
    said = ask_all("judging", Asker(endpoint), items, concurrency)
    replies = dict(zip((row.case for row in asked), said, strict=True))
    verdicts = []
    for row in report.rows:
        if row.answer is None:
            verdicts.append(Verdict(row.case, "wrong", "no answer that could be read", "no answer"))
        elif row.case in replies:
            verdicts.append(Verdict(row.case, *replies[row.case], "judge"))
        else:
            verdicts.append(Verdict(row.case, "right", "equal to the reference", "equal"))
    agreement = _agreement(endpoint, labelled, report, concurrency) if labelled else None
    counts: Counter[str] = Counter(one.verdict or "no verdict" for one in verdicts)
    return Judged(
        f"{endpoint.model} at {endpoint.base_url}", rubric_hash(), hash, _score(report, verdicts),
        {name: counts[name] for name in (*VALUES, "no verdict") if counts[name]}, tuple(verdicts), agreement,
        _notes(agreement, counts["no verdict"]),
    )  # fmt: skip


def evaluation_hash(path: Path) -> str:
    """Of a file of an evaluation; UserError where there is none."""
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()[:12]
    except OSError:
        raise UserError(f"{path} cannot be read; expected the report that `vrft evaluate` writes") from None


def save_judged(judged: Judged, path: Path) -> None:
    """Write as JSON, whole or not at all."""
    write_text(path, _json().dump_json(judged, indent=1).decode() + "\n")


def load_judged(path: Path) -> Judged:
    """Read what `save_judged` wrote; UserError where it is something else."""
    try:
        return _json().validate_json(path.read_bytes())
    except (OSError, ValidationError):
        raise UserError(f"{path} is nothing that `vrft judge` of this version wrote; run it again") from None


@cache
def _json() -> TypeAdapter[Judged]:
    return TypeAdapter(Judged)


def _equal(answer: str, truth: str) -> bool:
    return normalise(answer) == normalise(truth)


def _score(report: Report, verdicts: Sequence[Verdict]) -> Metric:
    values = np.array([VALUES.get(one.verdict or "", 0.0) for one in verdicts])
    there = np.array([float(one.verdict is not None) for one in verdicts])
    statistic = ratio(values * there, there)
    found = measure({"score": statistic}, groups(report.rows), replicates=report.bootstrap, seed=report.seed)
    return found["score"]


def _agreement(
    endpoint: Endpoint, labelled: Sequence[Labelled], report: Report, concurrency: int
) -> Agreement:
    items = [(one.question, one.reference, one.answer) for one in labelled]
    said = [word for word, _ in ask_all("judging hand-labelled answers", Asker(endpoint), items, concurrency)]
    names = [*VALUES, "no verdict"]
    ours = np.array([names.index(word or "no verdict") for word in said])
    theirs = np.array([names.index(one.verdict) for one in labelled])

    def kappa(weights: Floats) -> Floats:
        return np.array([_kappa(theirs, ours, row) for row in weights])

    statistics = {"same": ratio((ours == theirs).astype(float)), "kappa": Statistic(kappa, len(labelled))}
    found = measure(statistics, range(len(labelled)), replicates=report.bootstrap, seed=report.seed)
    return Agreement(len(labelled), found["same"], found["kappa"], sum(word is None for word in said))


def _kappa(one: np.ndarray, two: np.ndarray, weights: Floats) -> float:
    """nan where all verdicts drawn are one: chance alone would agree as well."""
    drawn = weights > 0
    if len({*one[drawn], *two[drawn]}) < 2:
        return float("nan")
    return float(cohen_kappa_score(one, two, sample_weight=weights))


def _notes(agreement: Agreement | None, unread: int) -> tuple[str, ...]:
    notes = []
    if agreement is None:
        notes.append("how far it agrees with people was not measured (--labelled): do not rest on its score")
    elif agreement.answers < FEW:
        notes.append(f"its agreement with people rests on {agreement.answers} answers; {FEW} tell more")
    if unread:
        notes.append(f"it gave no verdict on {unread} answers, which the score leaves out")
    return tuple(notes)
