"""From a policy and a recipe to a look: every case asked with its true picture, and with others."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from vrft_aug.answer import parse
from vrft_aug.data.images import image_size
from vrft_aug.evaluation.evaluate import model_hash, written_answers
from vrft_aug.evaluation.look.look_measures import SCORES, ViewRows, measured_views, view_statistics
from vrft_aug.evaluation.look.look_report import VIEW_TITLES, Look, Made
from vrft_aug.evaluation.measure import Source, provenance
from vrft_aug.evaluation.metrics.case_rows import Row, make_rows
from vrft_aug.evaluation.metrics.catalogue import drawn_units
from vrft_aug.nouns import Box, Case, Prompt, Rollout
from vrft_aug.perception.spaces import Frame
from vrft_aug.policy.lengths import check_lengths
from vrft_aug.policy.load import Policy
from vrft_aug.recipe.schema import Recipe
from vrft_aug.tasks.frames import case_frame
from vrft_aug.tasks.look_views import LookSet, Seen, View

Ask = Callable[[View, Sequence[Prompt]], Sequence[Rollout]]  # greedy answers to the prompts of a view


def look_at(policy: Policy, recipe: Recipe, wanted: LookSet) -> Look:
    """Ask a policy greedily for every view; the recipe's evaluation says how long answers may be.

    Raises UserError where a prompt does not fit the model's context.
    """
    source = Source(policy.name, model_hash(policy))
    for view in ("true", "another"):  # the others are of the size of the true one
        if view in wanted.views:
            check_lengths(policy, "evaluation", wanted.asked(view)[0], recipe.evaluation.max_new_tokens)

    def ask(view: View, prompts: Sequence[Prompt]) -> Sequence[Rollout]:
        what = f"asking: {VIEW_TITLES[view].lower()}"
        return [one for (one,) in written_answers(policy, prompts, recipe, what)]

    return look_by(ask, recipe, wanted, source, policy.frame)


def look_by(
    ask: Ask,
    recipe: Recipe,
    wanted: LookSet,
    source: Source,
    frame_of: Callable[[tuple[int, int]], Frame],
) -> Look:
    """The same by whatever answers; `frame_of` gives the frame of a picture of (width, height) pixels."""
    task, bank, kind = wanted.taskset.task, wanted.taskset.bank, wanted.taskset.task.kind
    views: dict[str, ViewRows] = {}
    shown: Sequence[Row] = ()
    for view in wanted.views:
        asked, places = wanted.asked(view)
        rollouts = ask(view, asked.prompts)
        frames = [case_frame(task, case, frame_of) for case in asked.cases]
        judged = zip(rollouts, frames, asked.cases, strict=True)
        answers = [parse(rollout, task, frame, case) for rollout, frame, case in judged]
        rows = make_rows(task, asked.cases, answers, rollouts, None, asked.prompts, bank)
        views[view] = ViewRows(tuple(rows), places)
        if view == "another" and kind not in ("choice", "answer"):
            theirs = [_theirs(wanted.seen[place]) for place in places]
            shown = make_rows(task, theirs, answers, rollouts, None, asked.prompts, bank)
    evaluation = recipe.evaluation
    found = view_statistics(kind, task.labels, views, shown, bank)
    figures = measured_views(found, views, SCORES[kind], evaluation.bootstrap, recipe.seed)
    return Look(
        task=task.name,
        kind=kind,
        split=wanted.split,
        scores=SCORES[kind],
        views=figures[0],
        figures=figures[1],
        rows={view: of.rows for view, of in views.items()},
        made=tuple(_made(one) for one in wanted.seen),
        colour=wanted.colour,
        units=drawn_units(views["true"].rows),
        seed=recipe.seed,
        bootstrap=evaluation.bootstrap,
        provenance=provenance(recipe, wanted.taskset, source),
        notes=wanted.notes,
    )


def _made(one: Seen) -> Made:
    return Made(one.case.id, one.other.id if one.other is not None else None, one.boxes, one.control)


def _theirs(one: Seen) -> Case:
    """The case whose picture was shown, its boxes in the pixels of the picture that it was stretched to."""
    assert one.other is not None  # of the cases that have this view
    target = one.other.target
    if target.boxes is None:
        return one.other
    (width, height), (w, h) = image_size(one.case.images[0]), image_size(one.other.images[0])
    x, y = width / w, height / h
    boxes = tuple(Box(b.x1 * x, b.y1 * y, b.x2 * x, b.y2 * y, b.label) for b in target.boxes)
    return replace(one.other, target=replace(target, boxes=boxes))
