"""Which cases a page shows, drawn by seed and never by hand, and what it shows of each."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from vrft_aug.errors import UserError
from vrft_aug.evaluation.metrics.box_detection import HIT
from vrft_aug.evaluation.metrics.case_rows import Row, vote_key
from vrft_aug.evaluation.report_data import Report
from vrft_aug.nouns import Box, Case, TaskKind
from vrft_aug.perception.matching import matched_iou
from vrft_aug.report.pictures import SIDE, thumbnail

EXTREMES = 3  # best, and worst, cases on the page of a run
EACH = 3  # cases of each outcome on the page of a run
SHARED = 8  # cases on a page of arms
WIDE = 640  # pixels of a picture's longer side where boxes are asked for
LONGEST = 1500  # characters of a completion


@dataclass(frozen=True)
class Shown:
    """What an arm said of a case."""

    arm: str
    outcome: str  # right, wrong, no answer
    answer: str
    reasoning: str
    completion: str  # "" where the reasoning and the answer say it all
    votes: str
    picture: str | None  # a data address; only where the arm drew boxes


@dataclass(frozen=True)
class Sample:
    """A case on the page, with what every arm said of it."""

    case: str
    truth: str
    pictures: tuple[str, ...]  # data addresses, () where the data is not at hand
    shown: tuple[Shown, ...]
    wide: bool  # the pictures hold boxes that are asked for, so they are larger


def run_samples(report: Report, cases: Mapping[str, Case]) -> list[Sample]:
    """Up to three cases that came out right, wrong and without an answer, each drawn by the report's seed."""
    chosen: list[Row] = []
    for outcome in ("right", "wrong", "no answer"):
        rows = [row for row in report.rows if row_outcome(report.kind, row) == outcome]
        chosen += random.Random(report.seed).sample(rows, min(EACH, len(rows)))
    return [_sample(report.kind, [("", row)], cases.get(row.case)) for row in chosen]


def extremes(report: Report, cases: Mapping[str, Case]) -> tuple[list[Sample], list[Sample]]:
    """The best and the worst cases, `EXTREMES` each at most: chosen by merit, unlike all other samples.

    Best is right (of boxes: by IoU) with the surest vote; worst the farthest from the truth (in grades, IoU)
    with the surest vote, and no answer at all. Ties are broken by the report's seed.
    """
    drawn = random.Random(report.seed).sample(range(len(report.rows)), len(report.rows))
    by_merit = sorted((report.rows[i] for i in drawn), key=lambda row: _merit(report, row))
    worst = [row for row in by_merit if row_outcome(report.kind, row) != "right"][:EXTREMES]
    best = [row for row in reversed(by_merit) if row_outcome(report.kind, row) == "right"][:EXTREMES]

    def shown(rows: Sequence[Row]) -> list[Sample]:
        return [_sample(report.kind, [("", row)], cases.get(row.case)) for row in rows]

    return shown(best), shown(worst)


def _merit(report: Report, row: Row) -> float:
    """From 1 (right, and sure of it) down to -1 and below (far off, and sure of it)."""
    if row.reason is not None:
        return -2.0
    share = max(row.votes.values(), default=0) / row.samples if row.samples else 0.0
    if report.kind == "localise":
        return matched_iou(row.boxes or (), row.true_boxes or ())
    if row_outcome(report.kind, row) == "right":
        return 0.5 + 0.5 * share
    places = {label: i for i, label in enumerate(report.labels)}
    off = 1.0
    if report.kind == "grade" and row.truth in places and row.answer in places:
        off = abs(places[row.truth] - places[row.answer]) / max(1, len(places) - 1)
    return -off - 0.1 * share


def shared_samples(reports: Mapping[str, Report], cases: Mapping[str, Case]) -> list[Sample]:
    """Eight cases with the answers of all arms (a report each, on the same cases), drawn by seed."""
    first = next(iter(reports.values()))
    places = random.Random(first.seed).sample(range(len(first.rows)), min(SHARED, len(first.rows)))
    return [
        _sample(
            first.kind,
            [(arm, report.rows[place]) for arm, report in reports.items()],
            cases.get(first.rows[place].case),
        )
        for place in places
    ]


def row_outcome(kind: TaskKind, row: Row) -> str:
    """`right`, `wrong` or `no answer`; boxes are right from a mean IoU of 0.5."""
    if row.reason is not None:
        return "no answer"
    if kind == "localise":
        right = matched_iou(row.boxes or (), row.true_boxes or ()) >= HIT
    else:
        right = vote_key(kind, row.answer or "") == vote_key(kind, row.truth or "")
    return "right" if right else "wrong"


def _sample(kind: TaskKind, answers: Sequence[tuple[str, Row]], case: Case | None) -> Sample:
    row = answers[0][1]
    alone, wide = len(answers) == 1, kind == "localise"
    pictures = _pictures(case, row, (row.boxes or ()) if alone else (), WIDE if wide else SIDE)
    own = case if pictures and not alone else None
    return Sample(
        case=row.case,
        truth=_boxes(row.true_boxes or ()) if row.truth is None else row.truth,
        pictures=pictures,
        shown=tuple(_shown(kind, arm, one, own) for arm, one in answers),
        wide=wide,
    )


def _pictures(case: Case | None, row: Row, predicted: Sequence[Box], side: int) -> tuple[str, ...]:
    """All pictures of a case, boxes on the first; () where the case or one of its files is gone or broken."""
    if case is None or not case.images:
        return ()
    try:
        first = thumbnail(case.images[0], row.true_boxes or (), predicted, side)
        return (first, *(thumbnail(ref, side=side) for ref in case.images[1:]))
    except UserError:
        return ()


def _shown(kind: TaskKind, arm: str, row: Row, case: Case | None) -> Shown:
    """`case` is given where the arm's own boxes are to be drawn on a picture of its own."""
    answer = row.answer or ""
    picture = None
    if row.boxes is not None:
        iou = matched_iou(row.boxes, row.true_boxes or ())
        answer = f"{_boxes(row.boxes)}, IoU {iou:.2f}"
        if case is not None:
            picture = thumbnail(case.images[0], row.true_boxes or (), row.boxes, WIDE)
    votes = [f"{count} × {value}" for value, count in sorted(row.votes.items(), key=lambda vote: -vote[1])]
    silent = row.samples - sum(row.votes.values())
    if kind != "localise" and silent:
        votes.append(f"{silent} × no answer")
    unread = row.reason is not None or not row.formatted
    return Shown(
        arm=arm,
        outcome=row_outcome(kind, row),
        answer=answer if row.reason is None else f"no answer: {row.reason}",
        reasoning=_cut(row.reasoning),
        completion=_cut(row.completion) if unread else "",
        votes=", ".join(votes),
        picture=picture,
    )


def _boxes(boxes: Sequence[Box]) -> str:
    return f"{len(boxes)} box{'' if len(boxes) == 1 else 'es'}"


def _cut(text: str) -> str:
    return text if len(text) <= LONGEST else text[:LONGEST] + " …"
