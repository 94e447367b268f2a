"""What the viewer's pages show: plain values for the templates, which escape them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from vrft_aug.run.rollout_lines import RolloutLine, boxes_of
from vrft_aug.scorer import is_flat
from vrft_aug.view.case_facts import CaseBook, counted
from vrft_aug.view.filters import Filter, address
from vrft_aug.view.recited import recited_parts
from vrft_aug.view.rollout_index import STEPLESS, Group
from vrft_aug.view.run_index import ViewedRun

ROUNDING = 0.005  # advantages of such a group are below
LISTED = 300  # groups of one step
OPEN_ALL = 120  # groups: fewer are all listed, of more those of the chosen step alone
_TAG = re.compile(r"(</?(?:think|answer|confidence)>)")


@dataclass(frozen=True)
class Bar:
    """One completion in the strip of a group."""

    outcome: str
    height: float  # 0 to 1 between the least and the greatest reward of the run
    kept: bool  # passes the filter


@dataclass(frozen=True)
class Line:
    """A group in the list."""

    number: int
    case: str
    href: str
    truth: str | None
    bars: tuple[Bar, ...]
    mean: float | None
    chosen: bool


@dataclass(frozen=True)
class Step:
    """A step in the list, with its groups where it is open."""

    stage: str
    step: int
    href: str
    count: int  # completions that pass
    mean: float | None  # of their totals
    share: float  # `mean` between the least and the greatest total of the stage's steps, 0 to 1
    lines: tuple[Line, ...]
    left_out: int  # groups of an open step that are not listed


@dataclass(frozen=True)
class Card:
    """One completion of the chosen group."""

    number: int
    entry: RolloutLine
    outcome: str
    answer: str
    parts: tuple[tuple[str, str], ...]  # (text, "" or "recited" or "tag")
    recited: int  # words
    terms: tuple[tuple[str, float | None, float | None], ...]  # name, value, weight
    boxes: tuple[Any, ...]
    kept: bool
    push: float  # the advantage between -1 and 1, 1 being the largest of the group


def tree(run: ViewedRun, wanted: Filter, base: Mapping[str, str], chosen: Group | None) -> list[Step]:
    """The steps with completions that pass, in order."""
    found = run.matches(wanted)
    source = run.source(wanted.stage)
    totals = [entry.total for entry in source.entries if entry.total is not None]
    span = (min(totals), max(totals)) if totals else (0.0, 1.0)
    by_step: dict[tuple[str, int], list[tuple[Group, list[int]]]] = {}
    for group, kept in found:
        by_step.setdefault((group.stage, group.step), []).append((group, kept))
    whole = len(found) <= OPEN_ALL
    means: dict[tuple[str, int], float | None] = {
        key: _mean([source.entries[i].total for _, kept in groups for i in kept])
        for key, groups in by_step.items()
    }
    edges = _edges(means)
    steps = []
    for (stage, step), groups in by_step.items():
        is_open = whole or (chosen is not None and (chosen.stage, chosen.step) == (stage, step))
        mean = means[stage, step]
        shown = _window(groups, chosen) if is_open else []
        steps.append(
            Step(
                stage=stage,
                step=step,
                href=address("/", base, g=groups[0][0].number),
                count=sum(len(kept) for _, kept in groups),
                mean=mean,
                share=_between(mean, *edges.get(stage, (0.0, 1.0))),
                lines=tuple(_line(run, group, kept, base, chosen, span) for group, kept in shown),
                left_out=len(groups) - len(shown) if is_open else 0,
            )
        )
    return steps


def _window(
    groups: Sequence[tuple[Group, list[int]]], chosen: Group | None
) -> Sequence[tuple[Group, list[int]]]:
    """Of a step with very many groups (an evaluation) those around the chosen one."""
    if len(groups) <= LISTED:
        return groups
    place = next((i for i, (group, _) in enumerate(groups) if group is chosen), 0)
    start = max(0, min(place - LISTED // 2, len(groups) - LISTED))
    return groups[start : start + LISTED]


def _line(
    run: ViewedRun,
    group: Group,
    kept: Sequence[int],
    base: Mapping[str, str],
    chosen: Group | None,
    span: tuple[float, float],
) -> Line:
    source = run.source(group.stage)
    entries = [(source.entries[i], i in kept) for i in group.places]
    bars = tuple(
        Bar(run.book.outcome(entry), 1.0 if entry.total is None else _between(entry.total, *span), passes)
        for entry, passes in entries
    )
    return Line(
        number=group.number,
        case=group.case,
        href=address("/", base, g=group.number),
        truth=run.book.truth(group.task, group.case),
        bars=bars,
        mean=_mean([entry.total for entry, _ in entries]),
        chosen=chosen is group,
    )


def cards(run: ViewedRun, group: Group, kept: Sequence[int]) -> list[Card]:
    """The completions of a group, all of them, each with whether it passes the filter."""
    source, book = run.source(group.stage), run.book
    entries = [source.entries[i] for i in group.places]
    knowledge = book.knowledge(group.stage, group.task, group.case)
    weights = book.weights(group.stage, group.task)
    kind = book.tasks[group.task].kind if group.task in book.tasks else ""
    furthest = max((abs(entry.advantage or 0.0) for entry in entries), default=0.0)
    furthest = furthest if furthest >= ROUNDING else 0.0
    made = []
    for number, (place, entry) in enumerate(zip(group.places, entries, strict=True)):
        parts = completion_parts(entry.completion, knowledge)
        made.append(
            Card(
                number=number,
                entry=entry,
                outcome=book.outcome(entry),
                answer=answer_text(entry, kind),
                parts=tuple(parts),
                recited=sum(len(text.split()) for text, kind in parts if kind == "recited"),
                terms=tuple((name, value, weights.get(name)) for name, value in entry.terms.items()),
                boxes=boxes_of(entry.answer),
                kept=place in kept,
                push=(entry.advantage or 0.0) / furthest if furthest else 0.0,
            )
        )
    return made


def earns_the_same(run: ViewedRun, group: Group) -> bool:
    """Whether all completions of a group earn the same, so that nothing is learned from it."""
    totals = [run.source(group.stage).entries[i].total for i in group.places]
    known = [total for total in totals if total is not None]
    return len(known) > 1 and is_flat(known)


def answer_text(entry: RolloutLine, kind: str) -> str:
    """The parsed answer to a task of that kind in a few words, or why there is none."""
    if entry.reason is not None or entry.answer is None:
        return f"no answer: {entry.reason}" if entry.reason else "no answer"
    if isinstance(entry.answer, list):
        if kind == "multilabel":
            return ", ".join(map(str, entry.answer)) or "none of them"
        return counted(len(boxes_of(entry.answer)))
    return str(entry.answer)


def completion_parts(completion: str, knowledge: str) -> list[tuple[str, str]]:
    """The whole completion in pieces: its tags, what the reasoning recites of the knowledge, and the rest."""
    parts: list[tuple[str, str]] = []
    thinking = False
    for piece in _TAG.split(completion):
        if _TAG.fullmatch(piece):
            thinking = piece == "<think>"
            parts.append((piece, "tag"))
        elif piece and thinking and knowledge:
            parts += [(text, "recited" if found else "") for text, found in recited_parts(piece, knowledge)]
        elif piece:
            parts.append((piece, ""))
    return parts


@dataclass(frozen=True)
class Look:
    """A group in the comparison of a case: when it was, how it went, its best and its worst completion."""

    stage: str
    step: int
    href: str
    mean: float | None
    bars: tuple[Bar, ...]
    shown: tuple[Card, ...]


def looks(run: ViewedRun, task: str, case: str) -> list[Look]:
    """Every time that a run met a case, in order; the evaluation last."""
    found = []
    for source in (run.training, run.evaluation):
        totals = [entry.total for entry in source.entries if entry.total is not None]
        span = (min(totals), max(totals)) if totals else (0.0, 1.0)
        for group in source.groups:
            if (group.task, group.case) != (task, case):
                continue
            stage = {"stage": STEPLESS} if group.stage == STEPLESS else {}
            base = {"run": run.name, **stage}
            line = _line(run, group, group.places, base, None, span)
            every = sorted(cards(run, group, group.places), key=lambda card: -(card.entry.total or 0.0))
            ends = every if len(every) < 3 else [every[0], every[-1]]
            found.append(Look(group.stage, group.step, line.href, line.mean, line.bars, tuple(ends)))
    return found


def facts(book: CaseBook, group: Group, told: bool) -> dict[str, Any]:
    """What stands beside the picture of a group; `told` says whether its prompt had the knowledge."""
    case, task = book.case(group.task, group.case), book.tasks.get(group.task)
    return {
        "truth": book.truth(group.task, group.case),
        "patient": case.patient if case is not None else None,
        "question": (case.question if case is not None else None) or (task.question if task else ""),
        "knowledge": book.knowledge(group.stage, group.task, group.case) if told else "",
        "told": told,
        "injection": book.injection(group.stage, group.task).style,
        "pictures": len(case.images) if case is not None else 0,
        "missing": book.missing.get(group.task, ""),
        "true_boxes": book.true_boxes(group.task, group.case),
    }


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return fmean(known) if known else None


def _between(value: float | None, low: float, high: float) -> float:
    return 0.0 if value is None or high <= low else min(1.0, max(0.0, (value - low) / (high - low)))


def _edges(means: Mapping[tuple[str, int], float | None]) -> dict[str, tuple[float, float]]:
    """The least (at most 0) and the greatest mean of every stage's steps."""
    edges: dict[str, tuple[float, float]] = {}
    for (stage, _), mean in means.items():
        if mean is not None:
            low, high = edges.get(stage, (0.0, mean))
            edges[stage] = (min(low, mean), max(high, mean))
    return edges
