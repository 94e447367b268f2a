"""A stated confidence in the ways in which models write it, beside the answer and never instead of it."""

from __future__ import annotations

import pytest

from vrft_aug.answer import parse
from vrft_aug.nouns import ABSTAINED, Answer, AnswerMode, Case, Rollout, Target, Task
from vrft_aug.reading.stated_confidence import read_confidence
from vrft_aug.shaping.format import format_reward

GRADE = Task("g", "grade", "?", ("none", "mild", "severe"), confidence=True, abstain="cannot tell")


def read(text: str, mode: AnswerMode = "lenient", task: Task = GRADE, finished: bool = True) -> Answer:
    task = Task(**{**vars(task), "answer_mode": mode})
    options = ("left", "right") if task.kind == "choice" else ()
    return parse(Rollout(text, finished=finished), task, None, Case("c", (), Target(), options=options))


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("0.8", 0.8), (" 0.8 ", 0.8), (".8", 0.8), ("0,8", 0.8), ("1", 1), ("0", 0), ("1.0", 1),
        ("80%", 0.8), ("80 %", 0.8), ("80 percent", 0.8), ("87.5 %", 0.875), ("80/100", 0.8), ("80", 0.8),
        ("100", 1), ("8/10", 0.8), ("8 out of 10", 0.8), ("**0.8**", 0.8), ("`0.8`", 0.8), ("$0.8$", 0.8),
        ("80\\%", 0.8), ("0.8.", 0.8), ("Confidence: 0.8", 0.8), ("confidence is 80 %", 0.8),
        ("about 0.8", 0.8),
        ("~80%", 0.8), ("０．８", 0.8), ("８０％", 0.8), ("0 %", 0), ("11", 0.11),
    ],
)  # fmt: skip
def test_a_number_is_read_as_it_is_written(text: str, value: float) -> None:
    assert read_confidence(text) == pytest.approx(value)


@pytest.mark.parametrize(
    "text",
    ["", "high", "very sure", "1.2", "-0.1", "120 %", "101", "nan", "inf", "0.8 or 0.9", "0.7-0.9", "8", "10",
     "2", "1.5", "85.5", "1e-1", "0.8 0.9", "11/10", "80 % of the time", "eighty", "0x1",
     "0.8" * 2000, "٠", "½"],
)  # fmt: skip
def test_what_is_no_one_number_from_0_to_1_is_not_read(text: str) -> None:
    assert read_confidence(text) is None


def test_strict_reading_takes_a_decimal_alone() -> None:
    assert [read_confidence(text, True) for text in ("0.8", "1", "0", " 0.75 ", "1.0")] == [
        0.8,
        1,
        0,
        0.75,
        1,
    ]
    assert {read_confidence(text, True) for text in ("80 %", ".8", "0,8", "80", "1.1", "8/10")} == {None}


SAID = "<think>x</think><answer>mild</answer>"


@pytest.mark.parametrize(
    ("text", "value", "sure"),
    [
        (f"{SAID}<confidence>0.8</confidence>", "mild", 0.8),
        (f"{SAID}\n<confidence>\n80 %\n</confidence>\n", "mild", 0.8),
        (f"<confidence>0.8</confidence>{SAID}", "mild", 0.8),
        (f"{SAID}<confidence>0.8", "mild", 0.8),
        ("<think>x</think><answer>mild <confidence>0.8</confidence></answer>", "mild", 0.8),
        ("x</think><answer>mild</answer><confidence>0.8</confidence>", "mild", 0.8),  # the template opened it
        ("◁think▷x◁/think▷The answer is mild.\n<confidence>0.8</confidence>", "mild", 0.8),
        ("mild\n<confidence>0.8</confidence>", "mild", 0.8),
        (f"{SAID}\nConfidence: 80%", "mild", 0.8),
        ("The answer is mild.\n**Confidence:** 0.8", "mild", 0.8),
        # beside the answer, and not read
        (SAID, "mild", None),
        (f"{SAID}<confidence></confidence>", "mild", None),
        (f"{SAID}<confidence>high</confidence>", "mild", None),
        (f"{SAID}<confidence>0.8</confidence><confidence>0.9</confidence>", "mild", None),
        ("<think><confidence>0.9</confidence></think><answer>mild</answer>", "mild", None),
        ("<think>Confidence: 0.9\n</think><answer>mild</answer>", "mild", None),
        (
            "<think><confidence>0.9</confidence></think><answer>mild</answer><confidence>0.8</confidence>",
            "mild",
            0.8,
        ),
        # no answer
        ("<confidence>0.8</confidence>", None, 0.8),
        ("<think>x</think><answer></answer><confidence>0.8</confidence>", None, 0.8),
        (f"{SAID}<answer>none</answer><confidence>0.8</confidence>", None, 0.8),
    ],
)
def test_the_answer_and_its_confidence_are_read_apart(
    text: str, value: str | None, sure: float | None
) -> None:
    found = read(text)
    assert (found.value, found.confidence) == (value, sure)
    assert (found.reason is None) == (value is not None)


def test_a_confidence_that_was_cut_is_none_and_takes_nothing_from_the_answer() -> None:
    cut = read(f"{SAID}<confidence>0.", finished=False)
    assert (cut.value, cut.confidence) == ("mild", None)


def test_a_task_that_asks_for_none_reads_as_it_did() -> None:
    plain = Task(**{**vars(GRADE), "confidence": False, "abstain": None})
    for text in (f"{SAID}<confidence>0.8</confidence>", SAID):
        found = read(text, task=plain)
        assert (found.value, found.confidence) == ("mild", None)
    assert read("<answer>cannot tell</answer>", task=plain).reason == "unknown label"


@pytest.mark.parametrize(
    ("wanted", "form"),
    [
        ("think-answer", "<think>x</think><answer>mild</answer><confidence>0.8</confidence>"),
        ("answer-first", "<answer>mild</answer><confidence>0.8</confidence><think>x</think>"),
        ("answer-alone", "<answer>mild</answer> <confidence>0.8</confidence>"),
    ],
)
def test_the_format_term_pays_for_the_confidence_where_it_is_asked_for(wanted: str, form: str) -> None:
    task = Task(**{**vars(GRADE), "answer_format": wanted})
    assert format_reward(Rollout(form), task=task) == format_reward(Rollout(form), "lax", task) == 1
    for broken in (
        form.replace("<confidence>0.8</confidence>", ""),
        form.replace("0.8", " "),
        form.replace("0.8", "0.8</confidence><confidence>0.9"),
        "<confidence>0.8</confidence>" + form.replace("<confidence>0.8</confidence>", ""),
    ):
        assert format_reward(Rollout(broken), task=task) == 0
    assert format_reward(Rollout("so: " + form), "lax", task) == 1
    assert format_reward(Rollout(form), task=Task(**{**vars(task), "confidence": False})) == 0


@pytest.mark.parametrize("mode", ["lenient", "strict"])
@pytest.mark.parametrize(
    ("kind", "labels"),
    [
        ("grade", GRADE.labels),
        ("classify", GRADE.labels),
        ("multilabel", GRADE.labels),
        ("choice", ()),
        ("answer", ()),
    ],
)
def test_an_abstention_is_read_where_it_is_the_whole_answer(
    kind: str, labels: tuple[str, ...], mode: AnswerMode
) -> None:
    task = Task("t", kind, "?", labels, abstain="cannot tell")  # type: ignore[arg-type]
    for text in ("cannot tell", "Cannot tell.", "**cannot tell**"):
        found = read(f"<think>x</think><answer>{text}</answer>", mode, task)
        assert (found.value, found.reason, found.reasoning) == (None, ABSTAINED, "x")
    for text in (
        "mild or cannot tell",
        "I cannot tell whether it is mild",
        "not cannot tell",
        "cannot tell, mild",
    ):
        assert read(f"<think>x</think><answer>{text}</answer>", mode, task).reason != ABSTAINED
    hedged = read("The answer is mild.\nThe answer is cannot tell.", "lenient", task)
    if labels:
        assert hedged.reason == "ambiguous"
    assert read("The answer is: cannot tell.", "lenient", task).reason == ABSTAINED
