"""Coordinate spaces, boxes as models write them, and what localisation pays."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vrft_aug.answer import parse
from vrft_aug.errors import UserError
from vrft_aug.nouns import Box, Case, Rollout, SpaceName, Target, Task
from vrft_aug.perception.boxes import read_boxes
from vrft_aug.perception.model_view import model_view
from vrft_aug.perception.spaces import DECIMALS, BoxSpace, Frame, family_space, patch_grid_size
from vrft_aug.prompt import build_prompt
from vrft_aug.recipe.model_config import ModelConfig
from vrft_aug.tasks.targets import target_completion

SPACES: tuple[SpaceName, ...] = ("original", "processed", "thousandths", "unit")
CORNERS = ("x1", "y1", "x2", "y2")
ONE = Task("l", "localise", "Where?", ("spot",))
TWO = Task("l", "localise", "Where?", ("disc", "hard exudates"))
BARE = Task("l", "localise", "Where?")

# Coordinate spaces --------------------------------------------------------------------------------------


@st.composite
def frames_with_box(draw: st.DrawFn) -> tuple[Frame, Box]:
    """A picture as a Qwen-VL resizes it, within any bounds on its pixels, and a box in whole pixels of it."""
    width, height = draw(st.integers(8, 5000)), draw(st.integers(8, 5000))
    smallest = draw(st.integers(1_000, 300_000))
    largest = smallest + draw(st.integers(0, 3_000_000))
    factor = draw(st.sampled_from([16, 28, 32]))
    try:
        processed = patch_grid_size((width, height), factor, smallest, largest)
    except UserError:  # too narrow for a model
        processed = (width, height)
    x1, y1 = draw(st.integers(0, width - 1)), draw(st.integers(0, height - 1))
    box = Box(x1, y1, draw(st.integers(x1 + 1, width)), draw(st.integers(y1 + 1, height)), "spot")
    return Frame((width, height), processed, BoxSpace(draw(st.sampled_from(SPACES)))), box


@given(frames_with_box())
def test_there_and_back_again_is_exact_before_rounding(drawn: tuple[Frame, Box]) -> None:
    frame, box = drawn
    for there, back in ((frame.to_model, frame.to_original), (frame.to_original, frame.to_model)):
        again = back(there(box))
        assert again.label == box.label
        assert [getattr(again, c) for c in CORNERS] == pytest.approx([getattr(box, c) for c in CORNERS])


@given(frames_with_box())
def test_what_is_written_comes_back_to_half_a_unit(drawn: tuple[Frame, Box]) -> None:
    frame, box = drawn
    spoken = frame.spoken(box)
    again = frame.to_original(Box(*spoken))
    for axis, corners in ((0, ("x1", "x2")), (1, ("y1", "y2"))):
        unit = frame.original[axis] / frame.extent[axis] / 10 ** DECIMALS[frame.space.name]  # original pixels
        for corner in corners:
            off = abs(getattr(again, corner) - getattr(box, corner))
            # Half a unit by rounding; a box thinner than that is given a whole one.
            thin = getattr(box, corners[1]) - getattr(box, corners[0]) < unit
            assert off <= unit * (1.5 if thin else 0.5) + 1e-6
            if unit < 1 and not thin:
                assert round(getattr(again, corner)) == getattr(box, corner)  # exact to the pixel
    assert 0 <= spoken[0] < spoken[2] <= frame.extent[0] and 0 <= spoken[1] < spoken[3] <= frame.extent[1]
    assert all(type(value) is (float if frame.space.name == "unit" else int) for value in spoken)


@given(frames_with_box())
def test_what_is_written_again_is_the_same(drawn: tuple[Frame, Box]) -> None:
    frame, box = drawn
    spoken = frame.spoken(box)
    assert frame.spoken(frame.to_original(Box(*spoken))) == spoken


@given(frames_with_box(), st.sampled_from(["json", "plain"]), st.sampled_from([ONE, TWO, BARE]))
def test_a_target_is_read_back(drawn: tuple[Frame, Box], written: Any, task: Task) -> None:
    frame, box = drawn
    task = replace(task, box_format=written)
    name = task.labels[-1] if task.labels else None
    boxes = (replace(box, label=name), Box(0, 0, *frame.original, label=name))
    for true in (boxes, ()):
        target = target_completion(Case("x", (), Target(boxes=true)), task, frame)
        answer = parse(Rollout(target), task, frame)
        assert answer.reason is None and isinstance(answer.value, tuple)
        assert [frame.spoken(one) for one in answer.value] == [frame.spoken(one) for one in true]
        assert [one.label for one in answer.value] == [one.label for one in true]


def test_families_declare_their_space_and_the_recipe_goes_first() -> None:
    assert family_space("qwen2_5_vl").name == "processed"
    for family in ("qwen2_vl", "qwen3_vl", "gemma3", "idefics3", "smolvlm", "of the future"):
        assert family_space(family).name == "thousandths"
    assert family_space("qwen2_5_vl", "unit").name == "unit"
    assert model_view(ModelConfig(name="tiny")).space.name == "processed"
    assert model_view(ModelConfig(name="tiny", coordinates="thousandths")).space.name == "thousandths"


@pytest.mark.parametrize("space", SPACES)
@pytest.mark.parametrize("written", ["json", "plain"])
def test_the_prompt_says_how_boxes_are_written(space: SpaceName, written: Any) -> None:
    for task in (ONE, BARE):
        prompt = build_prompt(replace(task, box_format=written), Case("x", (), Target()), BoxSpace(space))
        text = prompt.messages[1]["content"][-1]["text"]
        assert BoxSpace(space).wording in text
        assert ("bbox_2d" in text) == (written == "json")
        assert ("NAME" in text and "spot" in text) == (task is ONE)


# Boxes as models write them -----------------------------------------------------------------------------

FRAME = Frame((200, 100), (100, 50), BoxSpace("processed"))  # a unit is two original pixels
DISC, EXUDATE = Box(20, 40, 60, 80, "disc"), Box(100, 10, 140, 30, "hard exudates")


@pytest.mark.parametrize(
    "text",
    [
        '[{"bbox_2d": [10, 20, 30, 40], "label": "disc"}, '
        '{"label": "Hard Exudates", "bbox_2d": [50, 5, 70.0, 15], "score": 1}]',
        '```json\n[{"bbox_2d": [10,20,30,40],"label":"disc"},\n'
        '{"bbox_2d":[50,5,70,15],"label":"hard exudates"}]\n```',
        "disc: [10, 20, 30, 40]\nhard exudates: [50, 5, 70, 15]",
        "disc [10,20,30,40]\n\nhard exudates [50,5,70,15]\n",
        "- disc: (10, 20, 30, 40)\n- hard exudates: (50, 5, 70, 15)",
        "1. disc: 10, 20, 30, 40\n2. hard exudates: 50, 5, 70, 15",
        "[10, 20, 30, 40] disc\n[50.0, 5.0, 70.0, 15.0]: hard exudates",
        "disc(10,20),(30,40)\nhard exudates(50,5),(70,15)",
        "disc: [(10, 20), (30, 40)]\nhard exudates = [50, 5, 70, 15];",
        "```\ndisc: [10, 20, 30, 40]\nHARD EXUDATES: [50, 5, 70, 15]\n```",
    ],
)
def test_one_answer_in_many_formats(text: str) -> None:
    assert read_boxes(text, TWO.labels, FRAME) == ((DISC, EXUDATE), None)


@pytest.mark.parametrize(
    "text",
    [
        "[10, 20, 30, 40]", "[[10, 20, 30, 40]]", '{"bbox_2d": [10, 20, 30, 40]}', "10, 20, 30, 40",
        '[{"bbox_2d": [10, 20, 30, 40], "label": "spot"}]', "(10, 20), (30, 40)", " * spot: [10,20,30,40]. ",
    ],
)  # fmt: skip
def test_one_box_of_the_only_label_needs_no_name_and_no_list(text: str) -> None:
    assert read_boxes(text, ("spot",), FRAME) == ((Box(20, 40, 60, 80, "spot"),), None)
    assert read_boxes(text, (), FRAME) == ((Box(20, 40, 60, 80),), None)


@pytest.mark.parametrize("text", ["[]", " [ ] ", "none", "None.", "```json\n[]\n```"])
def test_nothing_to_find_is_an_answer(text: str) -> None:
    assert read_boxes(text, TWO.labels, FRAME) == ((), None)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "malformed"), ("{}", "malformed"), ("null", "malformed"), ("17", "malformed"),
        ("no", "malformed"), ("none\n[10, 20, 30, 40]", "malformed"), ("disc", "malformed"),
        ("disc: [10, 20, 30]", "malformed"), ("disc: [10 20 30 40]", "malformed"),
        ("disc: [10, 20, 30, 40, 45]", "malformed"), ("disc: [30, 40, 10, 20]", "malformed"),
        ("disc: [nan, 20, 30, 40]", "malformed"), ("disc: [10, 20, inf, 40]", "malformed"),
        ("disc: [10, 20, 30, 1e400]", "malformed"), ("disc: [10, 20, 30, 4" + "0" * 5000 + "]", "malformed"),
        ("disc: [10, 20, 30, 40] disc: [50, 5, 70, 15]", "malformed"),
        ("disc: [10, 20, 30, 40] hard exudates", "malformed"), ("[10, 20, 30, 40]", "malformed"),
        ("cup: [10, 20, 30, 40]", "unknown label"), ("disc, hard exudates: [10, 20, 30, 40]", "ambiguous"),
        ("not disc: [10, 20, 30, 40]", "unknown label"),
        ('[{"bbox_2d": [1, 2, 3, 4], "label": "disc"', "malformed"),
        ("disc: [10, 20, 30, 40]\nand so on", "malformed"), ("disc: [-40, 20, 30, 40]", "malformed"),
        ("disc: [1, 2, 3, 4]\n" * 300, "malformed"), ("((" * 16_000, "malformed"),
        ("1," * 16_000, "malformed"),
        ("9" * 32_000, "malformed"), (" " * 32_000 + "1", "malformed"), ("[" * 32_000 + "]", "malformed"),
    ],
)  # fmt: skip
def test_what_is_no_answer_has_a_reason(text: str, reason: str) -> None:
    assert read_boxes(text, TWO.labels, FRAME) == (None, reason)


@given(st.text(alphabet='0123456789.,-+e[](){}":; \ndiscNan', max_size=60), st.sampled_from([ONE, TWO, BARE]))
def test_whatever_is_written_boxes_lie_inside(text: str, task: Task) -> None:
    boxes, reason = read_boxes(text, task.labels, FRAME)
    assert (boxes is None) == (reason is not None)
    for box in boxes or ():
        assert 0 <= box.x1 < box.x2 <= 200 and 0 <= box.y1 < box.y2 <= 100
        assert box.label is None if not task.labels else box.label in task.labels
