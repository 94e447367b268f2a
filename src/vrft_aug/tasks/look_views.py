"""Cases with pictures that are not theirs: what a model is asked to see whether it looks.

Which other case's picture a case is shown, and where its random boxes lie, follows from the seed and the
case's id alone, in a split as it is: a limit, the order of cases or a resumed run change nothing.
"""

from __future__ import annotations

import random
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import chain
from typing import Literal, get_args

from vrft_aug.data.altered_pictures import Blank, Blurred, Colour, Fitted, Masked, common_colour
from vrft_aug.data.cases import load_cases
from vrft_aug.data.images import image_size
from vrft_aug.data.picture_identity import picture_identity
from vrft_aug.errors import UserError
from vrft_aug.knowledge.count import injection_count
from vrft_aug.knowledge.told import known_bank, told_bank
from vrft_aug.labels import normalise
from vrft_aug.nouns import Box, Case, ImageRef, Task
from vrft_aug.perception.spaces import BoxSpace
from vrft_aug.recipe.schema import Recipe
from vrft_aug.recipe.task_config import Injection
from vrft_aug.tasks.lesion_boxes import centres, control_boxes, known_boxes, localise_tasks, overlap
from vrft_aug.tasks.task import make_task
from vrft_aug.tasks.taskset import TaskSet, draw, word_prompts

View = Literal["true", "blank", "another", "blurred", "lesion", "random"]
VIEWS: tuple[View, ...] = get_args(View)
MASKS: tuple[View, ...] = ("lesion", "random")  # one is nothing without the other
Masks = tuple[tuple[Box, ...], tuple[Box, ...]]  # over the lesions of a case, and as much elsewhere
TRIES = 64  # cases that are drawn before all are gone through


@dataclass(frozen=True)
class Seen:
    """A case with all that its other pictures are made of."""

    case: Case
    other: Case | None = None  # whose picture it is shown; None: no case has another truth
    boxes: tuple[Box, ...] = ()  # of its lesions, in original pixels of its first picture; (): none known
    control: tuple[Box, ...] = ()  # as many of the same size elsewhere

    def pictures(self, view: View, colour: Colour, fitted: bool) -> tuple[ImageRef, ...] | None:
        """The pictures of a view, None where the case has none; `fitted` stretches another's to its size."""
        own = self.case.images
        if view == "true":
            return own
        if view == "blank":
            return tuple(Blank(image, colour) for image in own)
        if view == "blurred":
            return tuple(map(Blurred, own))
        if view == "another":
            if self.other is None:
                return None
            theirs = self.other.images
            return tuple(map(Fitted, theirs, own)) if fitted else theirs
        masked = self.boxes if view == "lesion" else self.control
        return (Masked(own[0], masked), *own[1:]) if masked else None


@dataclass(frozen=True)
class LookSet:
    """What is asked to see whether a model looks: a task set, and every case's other pictures."""

    taskset: TaskSet  # with the true pictures
    seen: tuple[Seen, ...]  # of its cases, in their order
    views: tuple[View, ...]  # that are asked, the true one first
    split: str
    notes: tuple[str, ...] = ()  # what is left out, and why

    @cached_property
    def colour(self) -> Colour:
        """Of blank pictures: the mean of all that are asked about; opens up to 64 of them."""
        return common_colour([case.images[0] for case in self.taskset.cases])

    def asked(self, view: View) -> tuple[TaskSet, tuple[int, ...]]:
        """The task set with the pictures of a view: of the cases that have it, with their places in all."""
        whole, fitted = self.taskset, self.taskset.task.kind == "localise"
        made = [one.pictures(view, self.colour, fitted) for one in self.seen]
        places = tuple(place for place, images in enumerate(made) if images is not None)
        prompts = tuple(replace(whole.prompts[at], images=made[at] or ()) for at in places)
        return replace(whole, cases=tuple(whole.cases[at] for at in places), prompts=prompts), places


def look_set(
    recipe: Recipe,
    task_name: str,
    split: str,
    injection: Injection,
    space: BoxSpace,
    limit: int | None = None,
    views: Sequence[View] | None = None,
) -> LookSet:
    """Read a split, and choose of at most `limit` cases what else they are shown.

    Without `views` all that the data allow are asked, and notes say what is left out. Raises UserError where
    data is absent or wrong, where no case has a picture, and where a view that `views` names cannot be had.
    """
    config = recipe.tasks[task_name]
    task = make_task(task_name, config)
    whole = load_cases(config.data, task, recipe.root(), split)
    pool = [case for case in whole if case.images]
    if not pool:
        raise UserError(
            f"task {task_name!r} shows no pictures (none of its {len(whole)} cases of split {split!r} has "
            "one), so there is nothing to look at; choose a task with pictures"
        )
    cases = draw(pool, limit)
    notes = []
    if bare := len(whole) - len(pool):
        notes.append(f"{bare} cases without a picture are left out.")
    asked: list[View] = [view for view in VIEWS if views is None or view == "true" or _named(view, views)]
    others: list[Case | None] = [None] * len(cases)
    if "another" in asked:
        others = [other_case(task, case, pool, recipe.seed) for case in cases]
        if not any(others):
            _without("another", f"all cases of split {split!r} have the same answer", task_name, views, notes)
            asked.remove("another")
    masked: list[Masks] = [((), ())] * len(cases)
    if "lesion" in asked:
        masked = _masks(recipe, task, split, pool, cases, views, notes)
    if "lesion" in asked and not any(boxes for boxes, _ in masked):
        asked = [view for view in asked if view not in MASKS]
    seen = tuple(Seen(case, other, *own) for case, other, own in zip(cases, others, masked, strict=True))
    bank, count = told_bank(recipe, task_name, injection), injection_count(injection, recipe.model)
    prompts = word_prompts(task, cases, space, injection, bank, count)
    taskset = TaskSet(task, cases, prompts, known_bank(recipe, task_name))
    return LookSet(taskset, seen, tuple(asked), split, tuple(notes))


def other_case(task: Task, case: Case, pool: Sequence[Case], seed: int) -> Case | None:
    """A case of the pool with another truth and other pictures, as many; None where there is none.

    Drawn by the seed and the case's id.
    """
    source = random.Random(f"{seed}/another/{case.id}")
    start = source.randrange(len(pool))
    drawn = (source.randrange(len(pool)) for _ in range(TRIES))
    for at in chain(drawn, range(start, start + len(pool))):
        one = pool[at % len(pool)]
        unlike = _truth(task, one) != _truth(task, case) and not _same_picture(one, case)
        if unlike and len(one.images) == len(case.images):
            return one
    return None


def _named(view: View, views: Sequence[View]) -> bool:
    return view in views or (view in MASKS and any(mask in views for mask in MASKS))


def _without(view: str, why: str, task: str, views: Sequence[View] | None, notes: list[str]) -> None:
    """Note that a view is left out; UserError where it was asked for."""
    if views is not None:
        raise UserError(f"the view {view!r} cannot be had for task {task!r}: {why}; ask without it")
    notes.append(f"Without the view {view!r}: {why}.")


def _masks(
    recipe: Recipe,
    task: Task,
    split: str,
    pool: Sequence[Case],
    cases: Sequence[Case],
    views: Sequence[View] | None,
    notes: list[str],
) -> list[Masks]:
    """The boxes of every case's lesions and as many elsewhere, () and () where none are known."""
    nothing: list[Masks] = [((), ())] * len(cases)
    try:
        boxes = known_boxes(recipe, task.name, split, pool)
    except UserError as error:
        if views is not None:
            raise
        notes.append(f"Without masks: the boxes of another task cannot be read: {error}.")
        return nothing
    if not any(boxes.get(case.id) for case in cases):
        where = localise_tasks(recipe, task.name)
        also = " and the recipe has no task of kind localise with the same pictures"
        if where:
            also = f", nor of the same pictures in {', '.join(where)}"
        why = f"no lesion's box is known of the {len(cases)} cases of split {split!r} asked{also}"
        _without("lesion", why, task.name, views, notes)
        return nothing
    sizes = {case.id: image_size(case.images[0]) for case in pool if boxes.get(case.id)}
    lie = [at for case in pool if case.id in sizes for at in centres(boxes[case.id], sizes[case.id])]
    masked = []
    for case in cases:
        own = boxes.get(case.id, ())
        if not own:
            masked.append(nothing[0])
            continue
        source = random.Random(f"{recipe.seed}/boxes/{case.id}")
        masked.append((own, control_boxes(own, sizes[case.id], lie, source)))
    crowded = sum(overlap(control, own) > 0 for own, control in masked)
    if crowded:
        of = sum(bool(own) for own, _ in masked)
        notes.append(f"In {crowded} of {of} cases random boxes overlap the lesions: no place beside found.")
    return masked


def _truth(task: Task, case: Case) -> Hashable:
    target = case.target
    if task.kind == "answer":
        return normalise(target.text or "")
    if task.kind == "localise":
        return target.boxes
    return target.labels if task.kind == "multilabel" else target.label


def _same_picture(one: Case, other: Case) -> bool:
    if one.picture is not None and one.picture == other.picture:
        return True
    return [*map(picture_identity, one.images)] == [*map(picture_identity, other.images)]
