"""Options: found, checked, shuffled by seed and case, and the right one named by letter or text."""

from collections import Counter
from dataclasses import replace

import pytest

from vrft_aug.answer import parse
from vrft_aug.data.choices import with_options
from vrft_aug.errors import UserError
from vrft_aug.nouns import Case, Rollout, Target, Task
from vrft_aug.perception.spaces import BoxSpace
from vrft_aug.prompt import build_prompt
from vrft_aug.tasks.targets import target_answer

TASK = Task("t", "choice", "Which lesion?")
OPTIONS = ("naevus", "melanoma", "keratosis", "angioma")


def case(
    truth: str | None, options: tuple[str, ...] = OPTIONS, id: str = "c", question: str | None = None
) -> Case:
    return Case(id, (), Target(text=truth), options=options, question=question)


@pytest.mark.parametrize("truth", ["melanoma", "Melanoma.", "B", "(b)", "B. melanoma"])
def test_the_truth_is_named_by_letter_of_the_data_or_by_text(truth: str) -> None:
    made = with_options(case(truth), TASK)
    assert made.target == Target(label="melanoma") and sorted(made.options) == sorted(OPTIONS)


def test_letters_teach_nothing_and_the_order_depends_on_seed_and_case_alone() -> None:
    cases = [with_options(case("B", id=f"c{i}"), TASK) for i in range(400)]
    places = Counter(made.options.index("melanoma") for made in cases)
    assert min(places.values()) > 70 and set(places) == {0, 1, 2, 3}
    assert cases[0] == with_options(case("B", id="c0"), TASK)
    other = [with_options(case("B", id=f"c{i}"), replace(TASK, option_seed=1)) for i in range(400)]
    assert sum(a.options != b.options for a, b in zip(cases, other, strict=True)) > 300
    assert with_options(case("B"), replace(TASK, option_seed=None)).options == OPTIONS


@pytest.mark.parametrize("last", ["all of the above", "Both A and B", "A, C"])
def test_options_that_speak_of_others_stay_in_place(last: str) -> None:
    options = (*OPTIONS[:3], last)
    assert all(with_options(case("B", options, f"c{i}"), TASK).options == options for i in range(20))


def test_options_that_the_question_lists_are_taken_out_of_it() -> None:
    asked = "Which lesion? A. naevus B. melanoma C. keratosis D. angioma"
    for options in ((), OPTIONS):
        made = with_options(case("B", options, question=asked), TASK)
        assert (made.question, sorted(made.options)) == ("Which lesion?", sorted(OPTIONS))
    made = with_options(case("B", (), question="Which?\nAnswer Choices: (A) x y (B) z"), TASK)
    assert (made.question, made.target.label) == ("Which?", "z")


def test_the_options_of_the_task_are_for_cases_without_any() -> None:
    made = with_options(case("melanoma", ()), replace(TASK, labels=OPTIONS))
    assert sorted(made.options) == sorted(OPTIONS)


@pytest.mark.parametrize(
    ("truth", "options", "message"),
    [
        ("E", OPTIONS, r"case c: the answer 'E' is not among the options; they are A\. naevus"),
        ("wart", OPTIONS, "'wart' is not among"),
        (None, OPTIONS, "the answer empty is not among"),
        ("A", ("one",), "has 1 options"),
        ("A", (), "has 0 options"),
        ("A", ("x-ray", "X‑Ray."), "read alike"),
        ("A", ("a", " "), "blank"),
        ("A", ("B", "A"), "also the letter of another"),
    ],
)
def test_wrong_options_are_one_line(truth: str | None, options: tuple[str, ...], message: str) -> None:
    with pytest.raises(UserError, match=message) as error:
        with_options(case(truth, options), TASK)
    assert "\n" not in str(error.value) and len(str(error.value)) < 500


@pytest.mark.parametrize("names", ["letter", "text"])
@pytest.mark.parametrize("mode", ["strict", "lenient"])
def test_what_is_told_is_what_is_taught_and_read(names: str, mode: str) -> None:
    task = replace(TASK, option_names=names, answer_mode=mode)  # type: ignore[arg-type]
    for i in range(8):
        made = with_options(case("B", id=f"c{i}"), task)
        told = str(build_prompt(task, made, BoxSpace("processed")).messages[-1]["content"][-1]["text"])
        answer = target_answer(made, task)
        assert answer == ("ABCD"[made.options.index("melanoma")] if names == "letter" else "melanoma")
        assert (f"{answer}. melanoma" if names == "letter" else "melanoma") in told
        said = Rollout(f"<think>x</think><answer>{answer}</answer>")
        assert parse(said, task, None, made).value == "melanoma"


def test_strict_reading_takes_nothing_but_what_is_told() -> None:
    strict = replace(TASK, answer_mode="strict", option_seed=None)
    made = with_options(case("B"), strict)
    for text, value in [("B", "melanoma"), ("(B)", "melanoma"), ("melanoma", None), ("B) melanoma", None)]:
        said = Rollout(f"<think>x</think><answer>{text}</answer>")
        assert parse(said, strict, None, made).value == value
