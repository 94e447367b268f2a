import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vrft_aug.answer import parse
from vrft_aug.errors import UserError
from vrft_aug.labels import label_keys, match_label, normalise
from vrft_aug.nouns import Box, Rollout, Task
from vrft_aug.perception.spaces import BoxSpace, Frame

LABELS = ("no retinopathy", "mild", "Moderate NPDR", "benign (BI-RADS 2)", "HER2+", "HER2-")
CLASSIFY = Task("t", "classify", "?", LABELS, answer_mode="strict")
FREE = Task("t", "answer", "?", answer_mode="strict")
FRAME = Frame(original=(200, 100), processed=(100, 50), space=BoxSpace("processed"))


def localise(*labels: str) -> Task:
    return Task("t", "localise", "?", labels, answer_mode="strict")


def parsed(text: str, task: Task, frame: Frame | None = None) -> object:
    answer = parse(Rollout(f"<think>because</think>\n<answer>{text}</answer>"), task, frame)
    return answer.value if answer.reason is None else answer.reason


@pytest.mark.parametrize(
    ("text", "label"),
    [
        ("mild", "mild"), (" Mild. ", "mild"), ("**MILD**", "mild"), ("`mild`", "mild"), ("“mild”", "mild"),
        ("- mild", "mild"), ("* mild", "mild"), ("(mild)!", "mild"), ("ｍｉｌｄ", "mild"), ("𝐌ild", "mild"),
        ("No  retinopathy", "no retinopathy"), ("no\nretinopathy", "no retinopathy"),
        ("moderate npdr", "Moderate NPDR"), ("Benign (BI-RADS 2)", "benign (BI-RADS 2)"),
        ("HER2+", "HER2+"), ("her2-", "HER2-"), ("HER2-.", "HER2-"),
    ],
)  # fmt: skip
def test_a_label_is_read_through_case_space_and_markdown(text: str, label: str) -> None:
    assert parsed(text, CLASSIFY) == label


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("retinopathy", "unknown label"), ("moderate", "unknown label"), ("HER2", "unknown label"),
        ("mildly", "unknown label"), ("no-retinopathy", "unknown label"), ("it is mild", "unknown label"),
        ("mild or no retinopathy", "ambiguous"), ("HER2+/mild", "ambiguous"), ("", "missing"),
    ],
)  # fmt: skip
def test_what_is_not_exactly_a_label_is_none(text: str, reason: str) -> None:
    assert parsed(text, CLASSIFY) == reason


def test_a_label_within_a_longer_label_does_not_make_it_ambiguous() -> None:
    labels = ("retinopathy", "no retinopathy")
    assert match_label("no retinopathy", labels) == ("no retinopathy", None)
    assert match_label("it is no retinopathy", labels) == (None, "unknown label")


@pytest.mark.parametrize("labels", [("mild", "Mild."), ("a", "ａ"), ("mild", "  ")])
def test_labels_that_cannot_be_told_apart_are_refused(labels: tuple[str, ...]) -> None:
    with pytest.raises(UserError, match=r"told apart|blank"):
        label_keys(labels)


def test_labels_of_punctuation_alone_stay_labels() -> None:
    assert match_label(" + ", ("+", "-")) == ("+", None)
    assert match_label("?", ("?", "!")) == ("?", None)


@given(st.text())
def test_normalising_twice_is_normalising_once(text: str) -> None:
    assert normalise(normalise(text)) == normalise(text)


@given(st.text(), st.booleans(), st.sampled_from([CLASSIFY, FREE, localise("a"), localise("a", "b")]))
def test_any_text_has_a_value_or_a_reason(text: str, finished: bool, task: Task) -> None:
    for completion in (text, f"<answer>{text}</answer>", f"<think>{text}</think><answer>mild</answer>"):
        answer = parse(Rollout(completion, finished=finished), task, FRAME)
        assert (answer.value is None) == (answer.reason is not None)


def test_reasoning_is_what_stands_between_the_tags() -> None:
    assert parse(Rollout("<think> a\nb </think><answer>mild</answer>"), CLASSIFY, None).reasoning == "a\nb"
    assert parse(Rollout("<answer>mild</answer>"), CLASSIFY, None).reasoning == ""
    assert parse(Rollout("<think>a</think><think>b</think>"), CLASSIFY, None).reasoning == ""
    assert parse(Rollout("<think>a</think> mild"), CLASSIFY, None).reasoning == "a"


def test_an_answer_closed_before_the_cut_counts() -> None:
    answer = parse(Rollout("<think>a</think><answer>mild</answer> and", finished=False), CLASSIFY, None)
    assert (answer.value, answer.reason) == ("mild", None)


def test_free_text_is_kept_as_it_is() -> None:
    assert parsed(" Left lung, lower lobe. ", FREE) == "Left lung, lower lobe."


@pytest.mark.parametrize(
    ("text", "labels", "expected"),
    [
        ("[]", (), ()),
        ("```json\n[]\n```", ("a", "b"), ()),
        ("[[10, 20, 30, 40]]", (), (Box(20, 40, 60, 80),)),
        ("[[10, 20, 30, 40]]", ("a",), (Box(20, 40, 60, 80, "a"),)),
        ('[{"bbox_2d": [10.5, 20, 30, 40]}]', ("a",), (Box(21, 40, 60, 80, "a"),)),
        ('[{"bbox_2d": [10, 20, 30, 40], "label": null}]', ("a",), (Box(20, 40, 60, 80, "a"),)),
        ('[{"bbox_2d": [10, 20, 30, 40], "label": "thing"}]', (), (Box(20, 40, 60, 80),)),
        ('[{"bbox_2d": [10, 20, 30, 40], "label": "thing"}]', ("a",), "unknown label"),
        (
            '[{"bbox_2d": [10, 20, 30, 40], "label": "B", "score": 1}]',
            ("a", "b"),
            (Box(20, 40, 60, 80, "b"),),
        ),
        ('```json\n[{"label": "a", "bbox_2d": [0, 0, 100, 50]}]\n```', ("a",), (Box(0, 0, 200, 100, "a"),)),
        ("[[10, 20, 30, 40]]", ("a", "b"), "malformed"),
        ('[{"bbox_2d": [10, 20, 30, 40], "label": 3}]', (), (Box(20, 40, 60, 80),)),
        ('[{"box": [10, 20, 30, 40]}]', (), "malformed"),
        ("[[10, 20, 30, 40], [1, 1, 0, 2]]", (), "malformed"),
        ("[10, 20, 30, 40]", (), (Box(20, 40, 60, 80),)),
        ('{"bbox_2d": [10, 20, 30, 40]}', (), (Box(20, 40, 60, 80),)),
    ],
)
def test_boxes_arrive_in_original_pixels(text: str, labels: tuple[str, ...], expected: object) -> None:
    assert parsed(text, localise(*labels), FRAME) == expected


def test_a_corner_just_outside_is_clipped_and_one_further_out_refused() -> None:
    assert parsed("[[0, 0, 100.9, 50.4]]", localise(), FRAME) == (Box(0, 0, 200, 100),)
    assert parsed("[[-0.9, -0.4, 50, 50]]", localise(), FRAME) == (Box(0, 0, 100, 100),)
    assert parsed("[[0, 0, 101.1, 50]]", localise(), FRAME) == "malformed"
    assert parsed("[[0, 0, 100, 50.6]]", localise(), FRAME) == "malformed"
    assert parsed("[[100.1, 0, 100.9, 50]]", localise(), FRAME) == "malformed"  # nothing left of it


def test_boxes_without_a_frame_are_a_bug() -> None:
    with pytest.raises(ValueError, match="frame"):
        parsed("[]", localise())


sizes = st.tuples(st.integers(1, 4000), st.integers(1, 4000))
frames = st.builds(Frame, sizes, sizes, st.sampled_from([BoxSpace("processed"), BoxSpace("thousandths")]))
shares = st.floats(0, 1, allow_nan=False)
boxes_in_shares = st.tuples(shares, shares, shares, shares).map(
    lambda s: (min(s[0], s[2]), min(s[1], s[3]), max(s[0], s[2]), max(s[1], s[3]))
)


@given(frames, boxes_in_shares)
def test_coordinates_survive_the_way_to_the_model_and_back(
    frame: Frame, share: tuple[float, float, float, float]
) -> None:
    width, height = frame.original
    box = Box(share[0] * width, share[1] * height, share[2] * width, share[3] * height, "a")
    back = frame.to_original(frame.to_model(box))
    assert (back.x1, back.y1, back.x2, back.y2) == pytest.approx((box.x1, box.y1, box.x2, box.y2), abs=1e-6)
    assert back.label == "a"


@given(frames, boxes_in_shares)
def test_rounded_coordinates_come_back_to_half_a_unit_of_the_model(
    frame: Frame, share: tuple[float, float, float, float]
) -> None:
    width, height = frame.original
    box = Box(share[0] * width, share[1] * height, share[2] * width, share[3] * height)
    spoken = frame.to_model(box)
    corners = [round(spoken.x1), round(spoken.y1), round(spoken.x2), round(spoken.y2)]
    value = parsed(json.dumps([{"bbox_2d": corners}]), localise(), frame)
    if corners[0] == corners[2] or corners[1] == corners[3]:
        assert value == "malformed"  # thinner than the model's coordinates can say
        return
    assert isinstance(value, tuple)
    (read,) = value
    units = (1000, 1000) if frame.space.name == "thousandths" else frame.processed
    slack = [0.5 * side / unit + 1e-6 for side, unit in zip((width, height), units, strict=True)]
    assert abs(read.x1 - box.x1) <= slack[0] and abs(read.x2 - box.x2) <= slack[0]
    assert abs(read.y1 - box.y1) <= slack[1] and abs(read.y2 - box.y2) <= slack[1]


def test_a_model_speaks_of_what_it_sees() -> None:
    box = Box(20, 40, 60, 80)
    assert FRAME.to_model(box) == Box(10, 20, 30, 40)
    assert Frame((200, 100), (100, 50), BoxSpace("thousandths")).to_model(box) == Box(100, 400, 300, 800)
