"""The section of a run's page on whether the model looks: figures by picture, and cases as it saw them."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass, replace

from vrft_aug.data.cases import load_cases
from vrft_aug.errors import UserError
from vrft_aug.evaluation.look.look_measures import claims
from vrft_aug.evaluation.look.look_report import (
    FIGURES,
    VIEW_TITLES,
    Look,
    ViewFigures,
    load_look,
    seen_again,
)
from vrft_aug.evaluation.look.look_words import figure_note, how_asked, sentences
from vrft_aug.evaluation.meanings import MEANINGS
from vrft_aug.evaluation.metrics.bootstrap import Metric
from vrft_aug.evaluation.metrics.case_rows import Row
from vrft_aug.knowledge.bank_schema import KnowledgeBank
from vrft_aug.knowledge.told import known_bank
from vrft_aug.nouns import Case
from vrft_aug.report.pictures import thumbnail
from vrft_aug.report.run_data import Run
from vrft_aug.report.samples import row_outcome
from vrft_aug.run.layout import LOOK
from vrft_aug.tasks.look_views import VIEWS
from vrft_aug.tasks.task import make_task

SHOWN = 4  # cases
SIDE = 240  # pixels of a picture's longer side


@dataclass(frozen=True)
class Shot:
    """One picture that a case was shown, and what the model said to it."""

    title: str
    picture: str  # a data address
    answer: str
    outcome: str  # right, wrong, no answer
    same: bool  # as to the true picture
    of: str  # of another case's picture, its truth; else ""
    reasoning: str
    claims: str  # findings stated or denied, "" without a bank


@dataclass(frozen=True)
class ShownCase:
    """A case with all the pictures that it was shown."""

    case: str
    truth: str
    shots: tuple[Shot, ...]


@dataclass(frozen=True)
class LookSection:
    """What the template draws."""

    look: Look
    sentences: tuple[str, ...]
    how: str
    score_titles: tuple[str, ...]
    views: tuple[tuple[str, int, tuple[Metric | None, ...]], ...]  # title, cases, scores, same answer, claims
    claimed: bool  # whether there is a column of claims
    figures: tuple[tuple[str, Metric, str], ...]  # title, metric, what it is
    cases: tuple[ShownCase, ...]
    missing: str  # why there are no pictures
    modality: str  # what the pictures are


def look_section(run: Run, cases: Mapping[str, Case]) -> LookSection | None:
    """The section of a run, None where `vrft look` has not been called.

    `cases` by id are those at hand; where one is missing the data is read again.
    """
    if not (run.folder / LOOK).is_file():
        return None
    look = load_look(run.folder / LOOK)
    known, missing = _cases(run, look, cases)
    claimed = any(of.claims_kept is not None for of in look.views.values())
    return LookSection(
        look=look,
        sentences=tuple(sentences(look)),
        how=how_asked(look),
        score_titles=tuple(MEANINGS[name].title for name in look.scores),
        views=tuple(
            (VIEW_TITLES[view], of.n, _view_metrics(look, of, claimed)) for view, of in look.views.items()
        ),
        claimed=claimed,
        figures=tuple(
            (FIGURES[name].title, metric, figure_note(look, name)) for name, metric in look.figures.items()
        ),
        cases=_shown_cases(look, known, _bank(run, look)),
        missing=missing,
        modality=run.recipe.tasks[look.task].modality if look.task in run.recipe.tasks else "picture",
    )


def _view_metrics(look: Look, of: ViewFigures, claimed: bool) -> tuple[Metric | None, ...]:
    told = (of.unchanged, of.claims_kept) if claimed else (of.unchanged,)
    return (*(of.scores[name] for name in look.scores), *told)


def _cases(run: Run, look: Look, cases: Mapping[str, Case]) -> tuple[Mapping[str, Case], str]:
    """All cases that the look was of, and why there are none."""
    needed = {one.case for one in look.made} | {one.other for one in look.made if one.other}
    config = run.recipe.tasks.get(look.task)
    if needed <= cases.keys():
        return cases, ""
    if config is None:
        return {}, f"the recipe has no task {look.task!r}"
    try:
        read = load_cases(config.data, make_task(look.task, config), run.recipe.root(), look.split)
    except UserError as error:
        return {}, str(error)
    return {case.id: case for case in read}, ""


def _bank(run: Run, look: Look) -> KnowledgeBank | None:
    try:
        return known_bank(run.recipe, look.task) if look.task in run.recipe.tasks else None
    except UserError:  # the page told of it elsewhere
        return None


def _shown_cases(look: Look, cases: Mapping[str, Case], bank: KnowledgeBank | None) -> tuple[ShownCase, ...]:
    """Some cases drawn by the seed, of those that have most views."""
    seen = seen_again(look, cases)
    rows: dict[str, dict[str, Row]] = {}
    for view, of_view in look.rows.items():
        for row in of_view:
            rows.setdefault(row.case, {})[view] = row
    drawn = random.Random(look.seed).sample(sorted(seen), len(seen))
    chosen = sorted(drawn, key=lambda case: -len(rows[case]))[:SHOWN]
    found = []
    for name in chosen:
        own, shots = seen[name], []
        for view in VIEWS:
            said = rows[name].get(view)
            pictures = own.pictures(view, look.colour, look.kind == "localise") if said is not None else None
            if said is None or pictures is None:
                continue
            try:
                picture = thumbnail(pictures[0], side=SIDE)
            except UserError:
                break
            other = own.other.target.label if own.other is not None and view == "another" else None
            shots.append(
                Shot(
                    title=VIEW_TITLES[view],
                    picture=picture,
                    answer=_answer(said),
                    # Another's picture is answered right by what is true of that one.
                    outcome=row_outcome(look.kind, replace(said, truth=other) if other else said),
                    same=view != "true" and _answer(said) == _answer(rows[name]["true"]),
                    of=other or "",
                    reasoning=said.reasoning,
                    claims=_claims(said, bank),
                )
            )
        else:
            found.append(ShownCase(name, _truth(rows[name]["true"]), tuple(shots)))
    return tuple(found)


def _answer(row: Row) -> str:
    if row.reason is not None:
        return f"no answer: {row.reason}"
    if row.boxes is not None:
        return f"{len(row.boxes)} box{'' if len(row.boxes) == 1 else 'es'}"
    return row.answer or "none"


def _truth(row: Row) -> str:
    if row.truth is not None:
        return row.truth or "none"
    boxes = row.true_boxes or ()
    return f"{len(boxes)} box{'' if len(boxes) == 1 else 'es'}"


def _claims(row: Row, bank: KnowledgeBank | None) -> str:
    if bank is None or not bank.findings:
        return ""
    return ", ".join(name if stated else f"no {name}" for name, stated in sorted(claims(row, bank)))
