"""What localisation pays: shares, thresholds that tighten, and abuses that earn nothing."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vrft_aug.errors import UserError
from vrft_aug.nouns import Answer, Box, Case, Rollout, Target, Task
from vrft_aug.perception.matching import hits, match
from vrft_aug.perception.reward import iou, iou_threshold, nearness
from vrft_aug.perception.spaces import BoxSpace, Frame
from vrft_aug.perception.tightening import Tightening, TighteningState, start_of, state_from
from vrft_aug.prompt import build_prompt
from vrft_aug.recipe.stage_config import RewardConfig
from vrft_aug.scorer import Scorer

TWO = Task("l", "localise", "Where?", ("disc", "hard exudates"))
BARE = Task("l", "localise", "Where?")
FRAME = Frame((200, 100), (100, 50), BoxSpace("processed"))  # a unit is two original pixels
DISC = Box(20, 40, 60, 80, "disc")

# Rewards ------------------------------------------------------------------------------------------------

TERMS: dict[str, tuple[Any, dict[str, Any]]] = {
    "iou": (iou, {}),
    "iou_threshold": (iou_threshold, {"threshold": 0.4}),
    "iou_threshold, graded": (iou_threshold, {"threshold": 0.4, "graded": True}),
    "iou_threshold, tightening": (iou_threshold, {"threshold": Tightening(end=0.6)}),
    "nearness": (nearness, {}),
}
every_term = pytest.mark.parametrize("term", TERMS)


def pay(term: str, said: tuple[Box, ...], true: tuple[Box, ...] | None, task: Task = TWO) -> float:
    function, settings = TERMS[term]
    value = function(Answer(said, None, "x"), Case("c", (), Target(boxes=true)), task, **settings)
    assert isinstance(value, float)
    return value


def _box(numbers: tuple[float, float, float, float, str]) -> Box:
    x, y, width, height, label = numbers
    return Box(x, y, x + width, y + height, label)


side = st.floats(0.5, 60)
box = st.tuples(st.floats(0, 50), st.floats(0, 50), side, side, st.sampled_from(TWO.labels)).map(_box)
boxes = st.lists(box, max_size=6).map(tuple)


@every_term
@settings(max_examples=40)
@given(said=boxes, true=boxes)
def test_a_share_symmetric_and_whole_for_the_truth(
    term: str, said: tuple[Box, ...], true: tuple[Box, ...]
) -> None:
    value = pay(term, said, true)
    assert 0 <= value <= 1
    assert value == pytest.approx(pay(term, true, said))
    assert pay(term, true, true) == pytest.approx(1)
    assert pay(term, said[::-1], true) == pytest.approx(value)  # the order of boxes says nothing
    if bool(said) != bool(true):
        assert value == 0


@every_term
@settings(max_examples=40)
@given(said=boxes, true=boxes, extra=box)
def test_more_boxes_than_there_are_only_cost(
    term: str, said: tuple[Box, ...], true: tuple[Box, ...], extra: Box
) -> None:
    if len(said) >= len(true):
        far = replace(extra, x1=extra.x1 + 1e4, x2=extra.x2 + 1e4)
        assert pay(term, (*said, far), true) <= pay(term, said, true) + 1e-9
        assert pay(term, said * 2, true) <= pay(term, said, true) + 1e-9


@every_term
@settings(max_examples=40)
@given(
    shape=box, way=st.tuples(st.floats(-1, 1), st.floats(-1, 1)), far=st.floats(0, 200), near=st.floats(0, 1)
)
def test_farther_never_pays_more(
    term: str, shape: Box, way: tuple[float, float], far: float, near: float
) -> None:
    def moved(by: float) -> tuple[Box, ...]:
        dx, dy = by * way[0], by * way[1]
        return (replace(shape, x1=shape.x1 + dx, x2=shape.x2 + dx, y1=shape.y1 + dy, y2=shape.y2 + dy),)

    assert pay(term, moved(far * near), (shape,)) >= pay(term, moved(far), (shape,)) - 1e-9


@every_term
@settings(max_examples=40)
@given(shape=box, small=st.floats(0.05, 1), smaller=st.floats(0.05, 1))
def test_less_overlap_never_pays_more(term: str, shape: Box, small: float, smaller: float) -> None:
    def shrunk(share: float) -> tuple[Box, ...]:
        width, height = (shape.x2 - shape.x1) * share, (shape.y2 - shape.y1) * share
        return (replace(shape, x2=shape.x1 + width, y2=shape.y1 + height),)

    assert pay(term, shrunk(small), (shape,)) >= pay(term, shrunk(small * smaller), (shape,)) - 1e-9


@given(said=boxes, true=boxes, low=st.floats(0.05, 1), high=st.floats(0.05, 1))
def test_a_tighter_threshold_never_pays_more(
    said: tuple[Box, ...], true: tuple[Box, ...], low: float, high: float
) -> None:
    low, high = sorted((low, high))
    case = Case("c", (), Target(boxes=true))
    values = [iou_threshold(Answer(said, None, ""), case, TWO, t) or 0.0 for t in (low, high)]
    assert values[0] >= values[1]
    graded = iou_threshold(Answer(said, None, ""), case, TWO, low, graded=True) or 0.0
    assert graded <= values[0] + 1e-9
    assert len(hits(said, true, low)) >= sum(value >= low for _, _, value in match(said, true))


@every_term
@settings(max_examples=40)
@given(target=st.one_of(st.none(), boxes), kind=st.sampled_from(["localise", "grade", "answer"]), said=boxes)
def test_none_comes_from_the_case_alone(
    term: str, target: tuple[Box, ...] | None, kind: Any, said: tuple[Box, ...]
) -> None:
    function, settings = TERMS[term]
    case, task = Case("c", (), Target(boxes=target)), replace(TWO, kind=kind)
    for answer in (Answer(said, None, ""), Answer(None, "malformed", ""), Answer((), None, "")):
        value = function(answer, case, task, **settings)
        assert (value is None) == (kind != "localise" or target is None)
        assert value is None or answer.reason is None or value == 0


def test_nearness_by_hand() -> None:
    square, touching = Box(0, 0, 10, 10), Box(10, 0, 20, 10)
    assert pay("nearness", (touching,), (square,), BARE) == pytest.approx(math.exp(-1))
    assert pay("iou", (touching,), (square,), BARE) == 0
    # The same centre, twice the size: half the difference of the sides, over the smaller side.
    assert pay("nearness", (Box(-5, -5, 15, 15),), (square,), BARE) == pytest.approx(
        math.exp(-(50**0.5) / 10)
    )


def test_thresholded_by_hand() -> None:
    half = (Box(0, 0, 10, 5, "disc"),)
    case = Case("c", (), Target(boxes=(Box(0, 0, 10, 10, "disc"),)))
    answer = Answer(half, None, "")
    assert [iou_threshold(answer, case, TWO, t) for t in (0.49, 0.5, 0.51)] == [1, 1, 0]
    assert iou_threshold(answer, case, TWO, 0.4, graded=True) == 0.5
    # Two hits of 0.5 go before one perfect match.
    wide, left, right = Box(0, 0, 20, 10), Box(0, 0, 10, 10), Box(10, 0, 20, 10)
    assert len(hits((wide, left), (left, wide), 0.5)) == 2
    assert hits((left, right), (wide,), 0.5) == [(0, 0, 0.5)]


# Abuse: nothing of this pays ------------------------------------------------------------------------------

LESIONS = (
    Box(30, 30, 40, 40, "hard exudates"),
    Box(120, 60, 132, 70, "hard exudates"),
    Box(60, 20, 90, 50, "disc"),
)
GRID = tuple(Box(x, y, x + 10, y + 10, "hard exudates") for x in range(0, 200, 10) for y in range(0, 100, 10))
ABUSES: dict[str, str | tuple[Box, ...]] = {
    "whole image": (Box(0, 0, 200, 100, "hard exudates"),),
    "whole image of every name": tuple(Box(0, 0, 200, 100, name) for name in TWO.labels),
    "whole image for each lesion": tuple(Box(0, 0, 200, 100, lesion.label) for lesion in LESIONS),
    "a grid all over": GRID,
    "one right box a hundred times": (LESIONS[0],) * 100,
    "slivers": tuple(Box(x, 0, x + 0.01, 100, "disc") for x in range(200)),
    "right places, other names": tuple(
        replace(b, label="disc" if b.label != "disc" else "hard exudates") for b in LESIONS
    ),
    "nothing": (),
    "inverted": '[{"bbox_2d": [20, 20, 15, 15], "label": "hard exudates"}]',
    "inverted in x": "hard exudates: [20, 15, 15, 20]",
    "no area": "hard exudates: [15, 15, 15, 20]",
    "NaN": '[{"bbox_2d": [NaN, NaN, NaN, NaN], "label": "disc"}]',
    "NaN in plain": "disc: [NaN, 10, 45, 25]",
    "infinite": '[{"bbox_2d": [-Infinity, -Infinity, Infinity, Infinity], "label": "disc"}]',
    "huge": "disc: [-100000, -100000, 100000, 100000]",
    "a right box and a bad one": "disc: [30, 10, 45, 25]\ndisc: [nan, 0, 1, 1]",
    "both names at once": "disc, hard exudates: [30, 10, 45, 25]",
    "prose round a box": "The disc is at [30, 10, 45, 25], I think.",
    "negated": "no disc: [30, 10, 45, 25]",
    "truth values": '[{"bbox_2d": [true, true, 45, 25], "label": "disc"}]',
    "strings": '[{"bbox_2d": ["30", "10", "45", "25"], "label": "disc"}]',
    "bomb of brackets": "[" * 32_000,
    "bomb of digits": '[{"bbox_2d": [30, 10, 45, 2' + "5" * 30_000 + '], "label": "disc"}]',
    "bomb of text": "disc: [30, 10, 45, 25]\n" * 5_000,
}


@every_term
@pytest.mark.parametrize("abuse", ABUSES)
def test_abuse_never_pays(term: str, abuse: str) -> None:
    written = ABUSES[abuse]
    if not isinstance(written, str):
        written = "\n".join(
            f"{b.label}: {json.dumps([b.x1 / 2, b.y1 / 2, b.x2 / 2, b.y2 / 2])}" for b in written
        )
    name = term.split(",")[0]
    scorer = Scorer(TWO, {name: RewardConfig(weight=1.0, **TERMS[term][1])})
    case = Case("c", (), Target(boxes=LESIONS))
    prompt = build_prompt(TWO, case, FRAME.space)
    paid = scorer.score(case, prompt, Rollout(f"<think>x</think><answer>{written}</answer>"), FRAME).total
    # An honest try: every lesion found, a quarter of its width off.
    tried = [replace(b, x1=b.x1 + (w := (b.x2 - b.x1) / 4), x2=b.x2 + w) for b in LESIONS]
    honest = pay(term, tuple(tried), LESIONS)
    assert paid <= 0.1 < honest
    if isinstance(ABUSES[abuse], str):
        assert paid == 0


@every_term
def test_a_healthy_picture_pays_for_saying_so_alone(term: str) -> None:
    assert pay(term, (), ()) == 1
    assert pay(term, (DISC,), ()) == 0


# Tightening -----------------------------------------------------------------------------------------------


def test_a_threshold_rises_with_success_and_never_falls() -> None:
    settings = Tightening(start=0.3, end=0.45, step=0.1, window=3, success=0.5)
    state, seen = start_of(settings), []
    for reward in (0.9, 0.9, 0.9, 0.9, 0.9, 0.4, 0.9, 0.9, 0.9, 0.9, 0.0, 0.0, 0.0):
        state = state.after(reward, settings)
        seen.append(state.threshold)
    # Full after three; emptied by the rise; not on the failing sixth round; and no more than the end.
    assert seen == [0.3, 0.3, 0.4, 0.4, 0.4, 0.4, 0.45, 0.45, 0.45, 0.45, 0.45, 0.45, 0.45]


@given(st.lists(st.floats(0, 1), max_size=60), st.integers(1, 6), st.floats(0.05, 1), st.integers(0, 60))
def test_a_state_that_went_through_a_file_goes_on_exactly(
    rewards: list[float], window: int, success: float, cut: int
) -> None:
    settings = Tightening(start=0.25, end=0.75, step=0.07, window=window, success=success)
    whole = resumed = start_of(settings)
    last = whole.threshold
    for step, reward in enumerate(rewards):
        whole = whole.after(reward, settings)
        if step == cut:
            resumed = state_from(json.loads(json.dumps(asdict(resumed))))
        resumed = resumed.after(reward, settings)
        assert resumed == whole and settings.start <= last <= whole.threshold <= settings.end
        last = whole.threshold
    assert isinstance(whole, TighteningState)


@pytest.mark.parametrize(
    ("threshold", "message"),
    [
        (0, "greater than 0"), (1.5, "less than or equal to 1"), ({"start": 0.8, "end": 0.5}, "only rises"),
        ({"strat": 0.3}, "strat|Extra inputs"), ({"window": 0}, "greater than or equal to 1"),
    ],
)  # fmt: skip
def test_a_wrong_threshold_is_one_line(threshold: Any, message: str) -> None:
    with pytest.raises(UserError, match=message) as caught:
        Scorer(TWO, {"iou_threshold": RewardConfig.model_validate({"threshold": threshold})})
    assert "\n" not in str(caught.value)
