"""Planted policies under a look: one that sees, one that does not, one that lives by the lesion."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from helpers.shades import SPOT_TASK, Shade, shade_recipe
from vrft_aug.data.altered_pictures import Blank
from vrft_aug.errors import UserError
from vrft_aug.evaluation.look.look_measures import claims_kept, unchanged
from vrft_aug.evaluation.look.look_report import FIGURES, Look, load_look, plain_look, save_look, seen_again
from vrft_aug.evaluation.look.look_words import figures_table, how_asked, look_table, sentences
from vrft_aug.evaluation.look.looking import look_by
from vrft_aug.evaluation.measure import Source
from vrft_aug.evaluation.metrics.bootstrap import Metric
from vrft_aug.evaluation.metrics.case_rows import Row
from vrft_aug.knowledge.bank import load_bank
from vrft_aug.nouns import Box, Case, Prompt, Rollout, Target, Task
from vrft_aug.perception.spaces import BoxSpace, Frame
from vrft_aug.recipe.schema import Recipe
from vrft_aug.tasks.look_views import LookSet, View, look_set

SPACE = BoxSpace("original")
GRADES = ["none", "mild", "severe"]
Says = Callable[[Image.Image], str]


def graded(root: Path, split: str, task: Task, count: int = 60) -> list[Case]:
    """A grey square with a white box whose size is the grade; the square's shade says nothing."""
    cases = []
    for i in range(count):
        side = 10 + 20 * (i % 3)
        corners = (10 + i % 7, 20, 10 + i % 7 + side, 20 + side)
        target = Target(label=task.labels[i % 3], boxes=(Box(*corners),))
        cases.append(
            Case(
                f"g/{split}/{i}", (Shade(60 + i % 5, corners),), target, patient=f"p{i // 2}", picture=f"{i}"
            )
        )
    return cases


def recipe(**task: Any) -> Recipe:
    made = shade_recipe(Path("tiny"), evaluation={"limit": None, "bootstrap": 400})
    config = {
        "kind": "grade", "question": "How large?", "labels": GRADES,
        "data": {"reader": f"{__name__}:graded"}, **task,
    }  # fmt: skip
    return Recipe.model_validate({**made.model_dump(), "tasks": {"shade": config}})


def wanted(recipe: Recipe, views: tuple[View, ...] | None = None) -> LookSet:
    return look_set(recipe, "shade", "test", recipe.evaluation.injection, SPACE, views=views)


def look(says: Says, recipe: Recipe = recipe(), views: tuple[View, ...] | None = None) -> Look:  # noqa: B008
    def ask(view: View, prompts: Sequence[Prompt]) -> list[Rollout]:
        return [Rollout(says(prompt.images[0].open()), tokens=5) for prompt in prompts]

    def frame(size: tuple[int, int]) -> Frame:
        return Frame(size, size, SPACE)

    return look_by(ask, recipe, wanted(recipe, views), Source("planted"), frame)


def says(answer: str, reasoning: str = "") -> str:
    return f"<think>{reasoning}</think><answer>{answer}</answer>"


def sees(image: Image.Image) -> str:
    """Counts white pixels."""
    white = int((np.asarray(image)[..., 0] > 250).sum())
    return says(GRADES[min(2, int((white**0.5) // 20))])


def blind(image: Image.Image) -> str:
    return says("mild")


def values(look: Look) -> dict[str, float | None]:
    return {name: metric.value for name, metric in look.figures.items()}


def test_a_policy_that_looks_is_told_as_one() -> None:
    found = look(sees)
    assert found.views["true"].scores["accuracy"].value == found.views["true"].scores["kappa"].value == 1
    assert found.views["blank"].scores["accuracy"].value == pytest.approx(1 / 3)
    figures = values(found)
    assert figures["image_reliance"] == pytest.approx(2 / 3) and figures["image_reliance_kappa"] == 1
    assert figures["swap_sensitivity"] == figures["follows"] == 1  # it says what is true of what it sees
    assert figures["lesion_reliance"] == pytest.approx(2 / 3)
    assert found.views["random"].unchanged == Metric(1, 60, 1, 1)
    gain = found.figures["image_reliance"]
    assert gain.low is not None and gain.high is not None and 0.5 < gain.low < 2 / 3 < gain.high < 0.8
    looks, lesions = sentences(found)
    assert looks.startswith("The pictures help: accuracy is 1.00 with them and 0.33 with blank ones")
    assert lesions.startswith("The lesions matter: masking them costs 0.67 [")
    assert found.units == "patients" and "over patients (400 draws" in how_asked(found)


def test_a_policy_that_does_not_look_is_caught() -> None:
    found = look(blind)
    assert values(found) == {
        "image_reliance": 0, "image_reliance_kappa": 0, "blur_reliance": 0, "swap_sensitivity": 0,
        "follows": pytest.approx(1 / 3, abs=0.1), "lesion_reliance": 0, "lesion_reliance_kappa": 0,
    }  # fmt: skip
    assert all(of.unchanged == Metric(1, 60, 1, 1) for view, of in found.views.items() if view != "true")
    not_shown, same, lesions = sentences(found)
    assert "The pictures have not been shown to help: accuracy is 0.33 with them and 0.33" in not_shown
    assert same == "100% of the answers stay the same with the picture of a case of another label."
    assert "has not been shown to cost more" in lesions
    silent = look(lambda image: "nothing to be read")
    assert sentences(silent) == [
        "Only 0% of the answers can be read, so the figures say little about looking."
    ]
    assert silent.views["blank"].unchanged == Metric(None, 0)


def test_a_shortcut_beside_the_lesion_is_told_from_the_lesion() -> None:
    """It reads the shade in a corner, which gives the label away: it looks, and not at the lesion."""
    shortcut = recipe(data={"reader": f"{__name__}:marked"})

    def corner(image: Image.Image) -> str:
        return says(GRADES[round(image.getpixel((0, 119))[0] / 80) % 3])  # type: ignore[index]

    found = look(corner, shortcut)
    assert found.figures["image_reliance"].value == pytest.approx(2 / 3, abs=0.1)
    assert found.figures["lesion_reliance"].value == pytest.approx(0, abs=0.2)
    assert "Masking the lesions has not been shown to cost more" in sentences(found)[-1]


def marked(root: Path, split: str, task: Task) -> list[Case]:
    return [
        replace(case, images=(Shade(80 * GRADES.index(str(case.target.label)), case.images[0].box),))  # type: ignore[attr-defined]
        for case in graded(root, split, task)
    ]


def test_differences_are_paired_and_drawn_by_patient() -> None:
    """Two policies right on half of the cases: the same half cancels, and the interval has no width."""
    found = look(lambda image: blind(image) if image.getpixel((0, 0)) != (60, 60, 60) else sees(image))
    masked = look(sees, views=("random",))
    assert list(masked.views) == ["true", "lesion", "random"]
    assert list(masked.figures) == ["lesion_reliance", "lesion_reliance_kappa"]
    gain, score = found.figures["image_reliance"], found.views["true"].scores["accuracy"]
    assert gain.high is not None and gain.low is not None and score.low is not None and score.high is not None
    assert gain.high - gain.low < score.high - score.low


def test_boxes_are_looked_for_in_the_pixels_of_what_is_shown() -> None:
    task = {**SPOT_TASK, "labels": ["spot"]}
    spots = recipe(**{**task, "data": {"reader": f"{__name__}:spots"}})

    def finds(image: Image.Image) -> str:
        rows, columns = np.nonzero(np.asarray(image)[..., 0] > 250)
        if not len(rows):
            return says("[]")
        box = [int(columns.min()), int(rows.min()), int(columns.max()) + 1, int(rows.max()) + 1]
        return says(f'[{{"bbox_2d": {box}, "label": "spot"}}]')

    found = look(finds, spots)
    assert found.scores == ("mean_iou", "found")
    assert found.views["true"].scores["mean_iou"].value == 1
    assert found.views["lesion"].scores["found"].value == 0
    follows = found.figures["follows"].value  # the other's picture is twice as large, and stretched
    assert follows is not None and follows > 0.9
    assert found.figures["image_reliance"].value == 1


def spots(root: Path, split: str, task: Task) -> list[Case]:
    """Squares of two sizes with a white box each."""
    cases = []
    for i in range(12):
        corners = (8 + 6 * i, 16, 40 + 6 * i, 48)
        image, scale = Shade(40, corners), 1 + i % 2
        x1, y1, x2, y2 = (scale * corner for corner in corners)
        boxes = (Box(x1, y1, x2, y2, "spot"),)
        cases.append(Case(f"s/{i}", (Larger(image) if i % 2 else image,), Target(boxes=boxes)))
    return cases


class Larger:
    """A picture at twice its size."""

    def __init__(self, image: Shade) -> None:
        self.image = image

    def open(self) -> Image.Image:
        image = self.image.open()
        return image.resize((2 * image.width, 2 * image.height), Image.Resampling.NEAREST)


def row(reasoning: str = "", answer: str | None = "x", reason: Any = None, boxes: Any = None) -> Row:
    return Row("c", None, "x", answer, reason, reasoning, "", 1, True, boxes=boxes)


def value(statistic: Any, n: int) -> float:
    return float(statistic.of(np.ones((1, n)))[0])


def test_what_stays_of_answers() -> None:
    true = [row(answer="left lung"), row(answer="b"), row(answer="c"), row(answer=None, reason="missing")]
    after = [row(answer="Left lung."), row(answer="a"), row(answer=None, reason="missing"), row(answer="d")]
    found = unchanged("answer", true, after)
    assert value(found, 4) == pytest.approx(1 / 3) and found.n == 3
    near, far = (Box(0, 0, 10, 8),), (Box(0, 0, 10, 4),)
    whole = [row(answer=None, boxes=(Box(0, 0, 10, 10),))] * 2
    assert value(unchanged("localise", whole, [row(answer=None, boxes=b) for b in (near, far)]), 2) == 0.5


def test_what_stays_of_claims_is_counted_by_finding_and_polarity() -> None:
    bank = load_bank("fundus")
    true = [row("Small dark red dots, no hard exudates."), row("Calm."), row("Pale fluffy patches.")]
    after = [row("Hard exudates and small dark red dots."), row("New vessels."), row("Pale fluffy patches.")]
    found = claims_kept(true, after, bank)
    assert value(found, 3) == pytest.approx(2 / 3) and found.n == 3


def test_claims_said_to_a_blank_picture_are_told() -> None:
    known = recipe(
        kind="grade", knowledge="fundus", labels=["none", "mild", "moderate", "severe", "proliferative"],
        data={"reader": f"{__name__}:graded"},
    )  # fmt: skip
    found = look(lambda image: says("mild", "I see small dark red dots and no new vessels."), known)
    assert found.figures["claims_unseen"] == Metric(1, 120, 1, 1)
    (*_, last) = sentences(found)
    assert last == "100% of what the reasoning claims of the picture it claims of a blank one too."
    assert "claims_unseen" not in look(blind).figures  # no bank, no words


def test_a_look_is_kept_as_json(tmp_path: Path) -> None:
    found = look(sees)
    save_look(found, tmp_path / "look.json")
    assert load_look(tmp_path / "look.json") == found
    assert plain_look(found)["figures"]["follows"] == {"value": 1.0, "n": 60, "low": 1.0, "high": 1.0}
    assert set(found.figures) <= set(FIGURES)
    cases = {case.id: case for case in graded(tmp_path, "test", Task("shade", "grade", "?", tuple(GRADES)))}
    again = seen_again(found, cases)
    assert again == {one.case.id: one for one in wanted(recipe()).seen}
    assert again["g/test/3"].pictures("blank", found.colour, False) == (
        Blank(cases["g/test/3"].images[0], found.colour),
    )
    (tmp_path / "bad.json").write_text("{}")
    for name, message in (("bad.json", "run `vrft look` again"), ("none.json", "cannot be read")):
        with pytest.raises(UserError, match=message):
            load_look(tmp_path / name)


def test_the_tables_name_every_view_and_figure() -> None:
    from io import StringIO

    from rich.console import Console

    console = Console(file=StringIO(), width=100)
    found = look(sees)
    console.print(look_table(found), figures_table(found))
    text = console.file.getvalue()  # type: ignore[attr-defined]
    for words in ("True picture", "Lesions masked", "Same", "Image reliance", "Follows the picture", "1.00"):
        assert words in text
