import math
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vrft_aug.answer import parse
from vrft_aug.imitation.recitation import recitation, recited_share
from vrft_aug.knowledge.bank import injected_text, load_bank
from vrft_aug.nouns import Answer, Box, Case, Prompt, Rollout, Target, Task
from vrft_aug.perception.reward import iou
from vrft_aug.perception.spaces import BoxSpace, Frame
from vrft_aug.shaping.format import strict_format
from vrft_aug.shaping.grades import fuzzy_grade
from vrft_aug.shaping.label import accuracy

GRADES = ("none", "mild", "moderate", "severe", "proliferative")
GRADE = Task("g", "grade", "?", GRADES)
CLASSIFY = Task("c", "classify", "?", GRADES)
FREE = Task("f", "answer", "?")
KNOWLEDGE = injected_text(load_bank("fundus"), GRADES, "definitions")


def localise(*labels: str) -> Task:
    return Task("l", "localise", "?", labels)


def case(**target: Any) -> Case:
    return Case("data/test/1", (), Target(**target))


def answered(value: Any, reasoning: str = "x") -> Answer:
    return Answer(value, None, reasoning)


FAILED = Answer(None, "malformed", "small dark spots")


@pytest.mark.parametrize(
    ("completion", "value"),
    [
        ("<think>a</think><answer>b</answer>", 1), ("\n<think>a\nb</think>\n\n<answer>\nb\n</answer> \n", 1),
        ("<think>a</think><answer>[]</answer>", 1), ("<think>a</think><answer></answer>", 0),
        ("<think></think><answer>b</answer>", 1), ("<think>a</think><answer> \n </answer>", 0),
        ("<answer>b</answer>", 0), ("Hm. <think>a</think><answer>b</answer>", 0),
        ("<think>a</think> so <answer>b</answer>", 0), ("<think>a</think><answer>b</answer>.", 0),
        ("<think>a</think><answer>b", 0), ("<think>a<think></think><answer>b</answer>", 0), ("", 0),
        ("<think>a</think><answer>b</answer><answer>b</answer>", 0),
    ],
)  # fmt: skip
def test_strict_format(completion: str, value: float) -> None:
    assert strict_format(Rollout(completion)) == value


def test_accuracy_of_labels_is_exact() -> None:
    assert accuracy(answered("mild"), case(label="mild"), CLASSIFY) == 1
    assert accuracy(answered("none"), case(label="mild"), GRADE) == 0


def test_accuracy_of_free_text_is_exact_once_normalised() -> None:
    assert accuracy(answered("The left  LUNG."), case(text="the left lung"), FREE) == 1
    assert accuracy(answered("lung"), case(text="the left lung"), FREE) == 0


@pytest.mark.parametrize(
    ("settings", "values"),
    [
        ({}, [1, 0.25, 0.0625, 0.25**3, 0.25**4]),
        ({"base": 0.5}, [1, 0.5, 0.25, 0.125, 0.0625]),
        ({"base": 0.0}, [1, 0, 0, 0, 0]),
        ({"preset": "table"}, [1, 0.25, 0.1, 0, 0]),
        ({"preset": "table", "table": (0.9, 0.8)}, [0.9, 0.8, 0, 0, 0]),
    ],
)
def test_fuzzy_grade_by_distance(settings: dict[str, Any], values: list[float]) -> None:
    got = [fuzzy_grade(answered(grade), case(label="none"), GRADE, **settings) for grade in GRADES]
    assert got == pytest.approx(values)


grades = st.sampled_from(GRADES)
presets = st.one_of(
    st.floats(0, 0.99).map(lambda base: {"base": base}),
    st.lists(st.floats(0, 1), min_size=1).map(
        lambda row: {"preset": "table", "table": tuple(sorted(row, reverse=True))}
    ),
)


@given(grades, grades, presets)
def test_fuzzy_grade_is_a_symmetric_share(given_: str, true: str, settings: dict[str, Any]) -> None:
    value = fuzzy_grade(answered(given_), case(label=true), GRADE, **settings)
    assert value is not None and 0 <= value <= 1
    assert value == fuzzy_grade(answered(true), case(label=given_), GRADE, **settings)


@given(grades, grades, grades, presets)
def test_a_wider_miss_never_earns_more(one: str, other: str, true: str, settings: dict[str, Any]) -> None:
    near, far = sorted((one, other), key=lambda g: abs(GRADES.index(g) - GRADES.index(true)))
    earned = [fuzzy_grade(answered(g), case(label=true), GRADE, **settings) or 0.0 for g in (near, far)]
    assert earned[0] >= earned[1]


SQUARE = Box(0, 0, 10, 10)


@pytest.mark.parametrize(
    ("predicted", "true", "value"),
    [
        ((), (), 1), ((SQUARE,), (), 0), ((), (SQUARE,), 0), ((SQUARE,), (SQUARE,), 1),
        ((Box(0, 0, 10, 5),), (SQUARE,), 0.5), ((Box(10, 0, 20, 10),), (SQUARE,), 0),
        ((SQUARE, SQUARE), (SQUARE,), 0.5), ((SQUARE,), (SQUARE, Box(20, 20, 30, 30)), 0.5),
        # The assignment is the best in sum, whatever the order.
        ((Box(0, 0, 10, 8), Box(0, 0, 10, 10)), (Box(0, 0, 10, 10), Box(0, 0, 10, 8)), 1),
    ],
)  # fmt: skip
def test_iou_by_hand(predicted: tuple[Box, ...], true: tuple[Box, ...], value: float) -> None:
    assert iou(answered(predicted), case(boxes=true), localise()) == pytest.approx(value)


def test_boxes_match_within_their_label_alone() -> None:
    a, b = Box(0, 0, 10, 10, "a"), Box(0, 0, 10, 10, "b")
    assert iou(answered((a,)), case(boxes=(b,)), localise("a", "b")) == 0
    assert iou(answered((a, b)), case(boxes=(b, a)), localise("a", "b")) == 1


def _box(numbers: tuple[float, float, float, float, str]) -> Box:
    x, y, width, height, label = numbers
    return Box(x, y, x + width, y + height, label)


side = st.floats(0.5, 60)
boxes = st.lists(
    st.tuples(st.floats(0, 50), st.floats(0, 50), side, side, st.sampled_from("ab")).map(_box), max_size=6
).map(tuple)


@given(boxes, boxes)
def test_iou_is_a_symmetric_share(one: tuple[Box, ...], other: tuple[Box, ...]) -> None:
    task = localise("a", "b")
    value = iou(answered(one), case(boxes=other), task)
    assert value is not None and 0 <= value <= 1
    assert value == pytest.approx(iou(answered(other), case(boxes=one), task))
    assert iou(answered(one), case(boxes=one), task) == pytest.approx(1)


@given(boxes, boxes)
def test_boxes_said_once_more_never_pay(said: tuple[Box, ...], true: tuple[Box, ...]) -> None:
    task = localise("a", "b")
    once, twice = (iou(answered(value), case(boxes=true), task) for value in (said, said * 2))
    assert once is not None and twice is not None
    if len(said) >= len(true):
        assert twice <= once + 1e-9


def prompt(knowledge: str = KNOWLEDGE) -> Prompt:
    return Prompt((), (), knowledge)


COPY = KNOWLEDGE.splitlines()[3]
PARAPHRASE = "Dark blots lie in the upper half; some spots are bright, so it is beyond the first grade."


def test_reciting_all_or_one_definition_is_recitation() -> None:
    assert recited_share(KNOWLEDGE, KNOWLEDGE) == pytest.approx(1)
    assert recited_share(COPY, KNOWLEDGE) == pytest.approx(1)
    assert recited_share(f"I see that {COPY}", KNOWLEDGE) > 0.7


def test_punctuation_and_case_do_not_hide_a_copy() -> None:
    assert recited_share(", ".join(COPY.upper().split()), KNOWLEDGE) == pytest.approx(1)


def test_own_words_and_the_terms_of_the_field_are_no_recitation() -> None:
    assert recited_share(PARAPHRASE, KNOWLEDGE) == 0
    assert recited_share("Seen: no lesions.", KNOWLEDGE) == 0
    assert recited_share("What is known:", KNOWLEDGE) == 0
    assert 0 < recited_share(PARAPHRASE, KNOWLEDGE, smoothing="exp") < 0.1


def test_the_sign_of_recitation() -> None:
    assert recitation(answered("mild", COPY), prompt()) == pytest.approx(-1)
    assert recitation(answered("mild", COPY), prompt(), delta=1) == pytest.approx(1)
    assert recitation(answered("mild", PARAPHRASE), prompt()) == 0
    assert recitation(answered("mild", COPY), prompt("")) is None


@pytest.mark.parametrize("silent", [FAILED, answered("mild", ""), answered("mild", " ... ")])
def test_silence_never_beats_own_words(silent: Answer) -> None:
    for delta, smoothing in ((-1, "none"), (1, "none"), (-1, "exp"), (1, "exp")):
        settings: dict[str, Any] = {"delta": delta, "smoothing": smoothing}
        quiet = recitation(silent, prompt(), **settings)
        honest = recitation(answered("mild", PARAPHRASE), prompt(), **settings)
        assert quiet is not None and honest is not None
        assert quiet == min(0, delta) and quiet <= honest


@given(st.text(alphabet="abc dark red dots,.\n"), st.sampled_from([-1, 1]), st.sampled_from(["none", "exp"]))
def test_recitation_stays_in_its_range(reasoning: str, delta: Any, smoothing: Any) -> None:
    value = recitation(answered("mild", reasoning), prompt(), delta, smoothing)
    assert value is not None and min(0, delta) <= value <= max(0, delta)


TARGETS = [
    case(label="mild"), case(boxes=()), case(boxes=(SQUARE,)), case(text="mild"), case(),
    case(label="mild", boxes=(SQUARE,), text="mild"),
]  # fmt: skip


@given(
    st.text(),
    st.sampled_from(TARGETS),
    st.sampled_from([GRADE, CLASSIFY, FREE, localise(), localise("a", "b")]),
    st.sampled_from(["", KNOWLEDGE]),
)
def test_whether_a_term_applies_never_hangs_on_the_answer(
    text: str, a_case: Case, task: Task, knowledge: str
) -> None:
    frame = Frame((20, 20), (20, 20), BoxSpace("processed"))
    applies: dict[Callable[[Answer, Case, Task], float | None], bool] = {
        accuracy: (a_case.target.text if task.kind == "answer" else a_case.target.label) is not None
        and task.kind != "localise",
        fuzzy_grade: task.kind == "grade" and a_case.target.label is not None,
        iou: task.kind == "localise" and a_case.target.boxes is not None,
    }
    for completion in (text, f"<answer>{text}</answer>", "<think>a</think><answer>mild</answer>"):
        answer = parse(Rollout(completion), task, frame)
        for term, expected in applies.items():
            value = term(answer, a_case, task)
            assert (value is not None) == expected
            assert value is None or (0 <= value <= 1 and math.isfinite(value))
            assert answer.reason is None or not value
        assert (recitation(answer, prompt(knowledge)) is None) == (knowledge == "")
