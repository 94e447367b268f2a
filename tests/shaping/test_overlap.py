"""Free texts against their reference: the terms are what their papers say, and saying all does not pay."""

import re
from dataclasses import replace

import pytest
import sacrebleu
from hypothesis import given
from hypothesis import strategies as st

from vrft_aug.evaluation.metrics import open_answers
from vrft_aug.nouns import Answer, Case, Target, Task
from vrft_aug.shaping import overlap
from vrft_aug.shaping.label import accuracy
from vrft_aug.shaping.text import token_f1_reward

ASK = Task("t", "answer", "?")
TERMS = (overlap.recall, overlap.bleu, overlap.rouge_l, token_f1_reward)
FAILED = Answer(None, "missing", "")


def said(text: str) -> Answer:
    return Answer(text, None, "x")


def case(text: str | None, question: str | None = None) -> Case:
    return Case("c", (), Target(text=text), question=question)


words = st.lists(st.sampled_from(["left", "right", "lower", "lobe", "no", "effusion"]), max_size=7)


def subsequence(one: list[str], other: list[str]) -> int:
    """By the textbook's table."""
    table = [[0] * (len(other) + 1) for _ in range(len(one) + 1)]
    for i, a in enumerate(one):
        for j, b in enumerate(other):
            table[i + 1][j + 1] = table[i][j] + 1 if a == b else max(table[i][j + 1], table[i + 1][j])
    return table[-1][-1]


@given(words, words)
def test_the_longest_common_subsequence_is_the_textbooks(one: list[str], other: list[str]) -> None:
    assert overlap.common_subsequence(one, other) == subsequence(one, other)


@given(words, words)
def test_every_term_is_a_share_and_full_for_the_reference(one: list[str], other: list[str]) -> None:
    for term in TERMS:
        value = term(said(" ".join(one)), case(" ".join(other)), ASK)
        assert value is not None and 0 <= value <= 1
        assert term(said(" ".join(other)), case(" ".join(other)), ASK) == 1
        assert term(FAILED, case("x"), ASK) == 0 and term(said("x"), case(None), ASK) is None


def test_bleu_is_sacrebleus() -> None:
    answer, truth = "a large effusion in the left lower lobe", "large effusion of the left lower lobe"
    expected = sacrebleu.sentence_bleu(answer, [truth], tokenize="none").score / 100
    assert overlap.bleu(said(answer), case(truth), ASK) == pytest.approx(expected)
    assert overlap.rouge_l(said(answer), case(truth), ASK) == pytest.approx(2 * 6 / (8 + 7))
    assert overlap.recall(said(answer), case(truth), ASK) == pytest.approx(6 / 7)


def test_saying_everything_does_not_pay() -> None:
    truth = case("left lower lobe")
    everything = "a b c d e f g h i j k l left lower lobe right upper middle apex base"
    for term in TERMS:
        paid = term(said(everything), truth, ASK)
        assert paid is not None and paid < 0.35
    assert overlap.recall(said(everything), truth, ASK) == 0  # beyond what is read
    assert overlap.recall(said(everything), truth, ASK, longest=20) == 1


@pytest.mark.parametrize(
    ("answer", "truth", "exact", "near"),
    [
        ("12 mm", "12 mm", 1, 1), ("1.2 cm", "12 mm", 1, 1), ("1.3 cm", "12 mm", 0, 1), ("12", "12 mm", 0, 0),
        ("two", "2", 1, 1), ("2.0", "two", 1, 1), ("1,200 mm", "1.2 m", 1, 1), ("50%", "50 percent", 1, 1),
        ("10-14 mm", "12 mm", 0, 0), ("12 mm or 13 mm", "12 mm", 0, 0), ("12 kg", "12 mm", 0, 0),
        ("1 year", "12 months", 1, 1), ("-12 mm", "12 mm", 0, 0), ("1e9", "12 mm", 0, 0), ("", "3", 0, 0),
    ],
)  # fmt: skip
def test_numbers_are_compared_with_their_units(answer: str, truth: str, exact: float, near: float) -> None:
    assert overlap.number(said(answer), case(truth), ASK) == exact
    assert overlap.number(said(answer), case(truth), ASK, tolerance=0.1) == near
    assert accuracy(said(answer), case(truth), ASK) == exact
    assert overlap.number(said(answer), case("left lobe"), ASK) is None


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        ("Yes", "yes"), ("yes.", "yes"), ("No", "no"), ("Yes, there is a nodule.", "yes"),
        ("No, there is no nodule.", "no"), ("No evidence of a nodule.", "no"), ("There is a nodule", "yes"),
        ("There are no nodules", "no"), ("There is not a nodule", "no"), ("No nodule is seen", "no"),
        ("Not seen", "no"), ("True", "yes"), ("是", "yes"), ("没有。", "no"),
        ("Yes and no", ""), ("Yes, no nodule", ""), ("No, yes", ""), ("maybe", ""), ("Possibly yes", ""),
        ("There may be a nodule", ""), ("Yes?", ""), ("nodule", ""), ("It cannot be ruled out", ""),
        ("yesterday", ""),
        ("none of your business", ""), ("no doubt there is no nodule", ""),
    ],
)  # fmt: skip
def test_yes_and_no_are_read_with_negation(answer: str, says: str) -> None:
    for truth in ("yes", "No"):
        expected = float(says == truth.lower())
        assert overlap.yes_no(said(answer), case(truth), ASK) == expected
        assert accuracy(said(answer), case(truth), ASK) == expected
    assert overlap.yes_no(said(answer), case("a nodule"), ASK) is None


def test_what_is_the_same_is_paid_in_full_by_every_term_and_strictly_by_none() -> None:
    strict = replace(ASK, answer_mode="strict")
    for answer, truth, asked in [
        ("1.2 cm", "12 mm", None),
        ("There is no effusion.", "no", None),
        ("B) melanoma", "B", "Which? A. naevus B. melanoma"),
        ("B", "melanoma", "Which? A. naevus B. melanoma"),
    ]:
        of = case(truth, asked)
        for term in (*TERMS, accuracy):
            assert term(said(answer), of, ASK) == 1
        assert accuracy(said(answer), of, strict) == 0


def test_metrics_are_the_reward_terms() -> None:
    of, answer = case("left lower lobe"), said("lower left lobe")
    for name in ("recall", "bleu", "rouge_l", "number", "yes_no"):
        assert getattr(open_answers, name)(answer, of, ASK) == getattr(overlap, name)(answer, of, ASK)
    assert re.fullmatch(r"0\.\d+", str(overlap.bleu(answer, of, ASK)))
