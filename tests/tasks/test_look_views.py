"""What a case is shown instead of its picture: drawn by seed and id, other in truth, masks of equal size."""

import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from helpers.shades import SHADE_TASK, SPOT_TASK, Shade, shade_recipe
from vrft_aug.data.altered_pictures import Fitted, Masked, pixels_of
from vrft_aug.errors import UserError
from vrft_aug.nouns import Box, Case, Target, Task
from vrft_aug.perception.spaces import BoxSpace
from vrft_aug.recipe.schema import Recipe
from vrft_aug.tasks.lesion_boxes import centres, control_boxes, known_boxes, overlap
from vrft_aug.tasks.look_views import VIEWS, LookSet, View, look_set, other_case

SPACE = BoxSpace("processed")
SIDE = 120


def recipe(**tasks: Any) -> Recipe:
    made = shade_recipe(Path("tiny"))
    return Recipe.model_validate({**made.model_dump(), "tasks": tasks}) if tasks else made


def shown(wanted: Recipe, task: str = "shade", views: tuple[View, ...] | None = None, **more: Any) -> LookSet:
    return look_set(wanted, task, "test", wanted.evaluation.injection, SPACE, views=views, **more)


def bare(root: Path, split: str, task: Task, count: int = 10, label: str = "") -> list[Case]:
    """The squares without boxes; with `label` all of one answer."""
    return [
        Case(
            f"shades/{split}/{i}", (Shade(i, (10 + i, 20, 50 + i, 60)),), Target(label or task.labels[i % 2])
        )
        for i in range(count)
    ]


def boxed(root: Path, split: str, task: Task) -> list[Case]:
    """Boxes of half of these pictures, under other ids and in another split."""
    if split != "train":
        return []
    return [
        Case(
            f"other/{i}", (Shade(i, (10 + i, 20, 50 + i, 60)),), Target(boxes=(Box(10 + i, 20, 50 + i, 60),))
        )
        for i in range(0, 10, 2)
    ]


def textual(root: Path, split: str, task: Task) -> list[Case]:
    return [Case(f"t/{i}", (), Target(task.labels[i % 2]), question="?") for i in range(4)]


def reading(function: str, task: dict[str, Any] = SHADE_TASK, **options: Any) -> dict[str, Any]:
    return {**task, "data": {"reader": f"{__name__}:{function}", "options": options}}


def test_what_is_shown_depends_on_seed_and_case_alone() -> None:
    whole, again, few = shown(recipe()), shown(recipe()), shown(recipe(), limit=4)
    assert whole.seen == again.seen and whole.views == VIEWS
    by_id = {one.case.id: one for one in whole.seen}
    assert len(few.seen) == 4 and all(one == by_id[one.case.id] for one in few.seen)
    other = shown(recipe().model_copy(update={"seed": 6}))
    assert [one.other for one in other.seen] != [one.other for one in whole.seen]
    assert [one.control for one in other.seen] != [one.control for one in whole.seen]


def test_the_other_case_has_another_label_and_another_picture() -> None:
    for one in shown(recipe()).seen:
        assert one.other is not None and one.other.target.label != one.case.target.label
        assert one.other.images != one.case.images
    task = Task("ask", "answer", "?")
    twice = (Shade(1, (0, 0, 5, 5)),)
    asked = [Case(f"q/{i}", twice, Target(text=text), picture="p") for i, text in enumerate(("yes", "no"))]
    assert other_case(task, asked[0], asked, 0) is None  # both are asked of one picture
    far = Case("q/2", (Shade(2, (0, 0, 5, 5)),), Target(text="Yes."))
    assert other_case(task, asked[0], [*asked, far], 0) is None  # the same answer, written otherwise
    two = replace(far, target=Target(text="no"), images=far.images * 2)
    assert other_case(task, asked[0], [*asked, two], 0) is None  # two pictures where one is asked for
    assert other_case(task, asked[0], [*asked, replace(two, images=far.images)], 0) is not None


def test_control_boxes_are_as_large_and_elsewhere() -> None:
    for one in shown(recipe()).seen:
        (own,), (control,) = one.boxes, one.control
        assert overlap([own], [control]) == 0
        first, second = pixels_of(own), pixels_of(control)
        assert (second[2] - second[0], second[3] - second[1]) == (first[2] - first[0], first[3] - first[1])
        assert min(second) >= 0 and max(second) <= SIDE
    boxes = [Box(10.4, 10.2, 30.1, 30.7, "a"), Box(50, 50, 70, 70, "b"), Box(20.5, 80, 40.5, 100)]
    placed = control_boxes(boxes, (SIDE, SIDE), [], random.Random(0))
    assert overlap(placed, boxes) == 0
    assert all(overlap([a], [b]) == 0 for i, a in enumerate(placed) for b in placed[i + 1 :])
    area = [(x2 - x1) * (y2 - y1) for box in (*boxes, *placed) for x1, y1, x2, y2 in [pixels_of(box)]]
    assert area[:3] == area[3:]  # to the pixel


def test_control_boxes_lie_where_lesions_of_others_do_while_there_is_room() -> None:
    box, corner = Box(50, 50, 60, 60), Box(100, 100, 110, 110)
    (near,) = control_boxes([box], (SIDE, SIDE), centres([corner], (SIDE, SIDE)), random.Random(1))
    assert near == corner
    (anywhere,) = control_boxes([box], (SIDE, SIDE), centres([box], (SIDE, SIDE)), random.Random(1))
    assert overlap([anywhere], [box]) == 0  # where the others' are all under its own
    whole = Box(0, 0, SIDE, SIDE)
    assert control_boxes([whole], (SIDE, SIDE), [], random.Random(1)) == (whole,)


def test_boxes_come_from_a_localise_task_with_the_same_picture() -> None:
    wanted = recipe(shade=reading("bare"), spot=reading("boxed", SPOT_TASK))
    found = shown(wanted)
    known = [bool(one.boxes) for one in found.seen]
    assert known == [i % 2 == 0 for i in range(10)] and found.notes == ()
    asked, places = found.asked("lesion")
    assert places == (0, 2, 4, 6, 8) and [case.id for case in asked.cases] == [
        f"shades/test/{i}" for i in places
    ]
    (image,) = asked.prompts[1].images
    assert isinstance(image, Masked) and image.boxes == (Box(12, 20, 52, 60),)
    assert known_boxes(wanted, "shade", "test", []) == {}


def test_prompts_differ_from_the_true_ones_in_their_pictures_alone() -> None:
    found = shown(recipe())
    for view in found.views:
        asked, places = found.asked(view)
        assert places == tuple(range(10))
        for prompt, true in zip(asked.prompts, found.taskset.prompts, strict=True):
            assert prompt.messages == true.messages and len(prompt.images) == 1
            assert (prompt.images == true.images) == (view == "true")
    spots = shown(recipe(), "spot")
    (image,) = spots.asked("another")[0].prompts[0].images
    assert isinstance(image, Fitted)  # so that the pixels which the prompt speaks of stay right


def test_what_cannot_be_shown_is_told() -> None:
    found = shown(recipe(shade=reading("bare")))
    assert found.views == ("true", "blank", "another", "blurred")
    assert found.notes == (
        "Without the view 'lesion': no lesion's box is known of the 10 cases of split 'test' asked and the "
        "recipe has no task of kind localise with the same pictures.",
    )
    alike = shown(recipe(shade=reading("bare", label="dark")))
    assert "another" not in alike.views and "have the same answer" in alike.notes[0]
    missing = {**SPOT_TASK, "data": {"reader": "coco", "annotations": "gone.json", "images": "."}}
    unread = shown(recipe(shade=reading("bare"), spot=missing))
    assert "lesion" not in unread.views and "gone.json" in unread.notes[0]
    crowded = shown(recipe(shade=reading("filled")))
    assert crowded.notes == ("In 4 of 4 cases random boxes overlap the lesions: no place beside found.",)


def filled(root: Path, split: str, task: Task) -> list[Case]:
    box = (Box(0, 0, SIDE, SIDE),)
    return [
        Case(f"f/{i}", (Shade(i, (0, 0, 1, 1)),), Target(task.labels[i % 2], boxes=box)) for i in range(4)
    ]


@pytest.mark.parametrize(
    ("task", "views", "message"),
    [
        (reading("textual"), None, "shows no pictures .none of its 4 cases of split 'test' has one"),
        (
            reading("bare"),
            ("lesion",),
            "the view 'lesion' cannot be had for task 'shade': no lesion's box is",
        ),
        (reading("bare"), ("blank", "random"), "the view 'lesion' cannot be had"),
        (reading("bare", label="dark"), ("another",), "all cases of split 'test' have the same answer"),
    ],
)
def test_what_is_asked_for_and_cannot_be_had_is_one_line(
    task: dict[str, Any], views: tuple[View, ...] | None, message: str
) -> None:
    with pytest.raises(UserError, match=message) as caught:
        shown(recipe(shade=task), views=views)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 490
