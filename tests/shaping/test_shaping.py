"""Shaped rewards beyond the first presets: ranges, symmetry, monotony, balance, and what is refused."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vrft_aug.errors import UserError
from vrft_aug.imitation.recitation import recitation
from vrft_aug.knowledge.bank_schema import KnowledgeBank
from vrft_aug.labels import match_label, match_labels
from vrft_aug.nouns import Answer, Case, Prompt, Rollout, Target, Task
from vrft_aug.recipe.stage_config import RewardConfig
from vrft_aug.scorer import Scorer
from vrft_aug.shaping.balance import class_weights, count_labels
from vrft_aug.shaping.costs import costs
from vrft_aug.shaping.format import format_reward, strict_format
from vrft_aug.shaping.grades import fuzzy_grade
from vrft_aug.shaping.label import accuracy
from vrft_aug.shaping.label_set import label_set
from vrft_aug.shaping.text import canonical, token_f1_reward

GRADES = ("none", "mild", "moderate", "severe")
GRADE = Task("g", "grade", "?", GRADES)
SETS = Task("s", "multilabel", "?", ("a", "b", "c", "d"))
FREE = Task("f", "answer", "?", synonyms=(("heart attack", "myocardial infarction"), ("left lung", "lung")))
FAILED = Answer(None, "malformed", "x")
# A missed grade costs 4 for every step, a false alarm 1.
COSTS = tuple(tuple(float(4 * (i - j) if i > j else j - i) for j in range(4)) for i in range(4))


def case(**target: Any) -> Case:
    return Case("data/test/1", (), Target(**target))


def said(value: Any) -> Answer:
    return Answer(value, None, "x")


def scorer(task: Task, term: str, bank: KnowledgeBank | None = None, **settings: Any) -> Scorer:
    return Scorer(task, {term: RewardConfig(**settings)}, bank)


@pytest.mark.parametrize(
    ("settings", "values"),
    [
        ({"preset": "linear"}, [1, 2 / 3, 1 / 3, 0]),
        ({"preset": "gaussian"}, [1, 0.249, 0.0039, 0]),
        ({"preset": "gaussian", "sigma": 2.0}, [1, 0.8825, 0.6065, 0.3247]),
    ],
)
def test_fuzzy_presets(settings: dict[str, Any], values: list[float]) -> None:
    got = [fuzzy_grade(said(grade), case(label="none"), GRADE, **settings) for grade in GRADES]
    assert got == pytest.approx(values, abs=5e-4)


grades = st.sampled_from(GRADES)
presets = st.sampled_from(
    [{"preset": "linear"}, {"preset": "gaussian"}, {"preset": "gaussian", "sigma": 3.0}]
)


@given(grades, grades, grades, presets)
def test_presets_are_symmetric_and_fall(a: str, b: str, true: str, preset: dict[str, Any]) -> None:
    def earned(answer: str, truth: str) -> float:
        return fuzzy_grade(said(answer), case(label=truth), GRADE, **preset) or 0.0

    assert 0 <= earned(a, true) <= 1 and earned(a, true) == earned(true, a)
    near, far = sorted((a, b), key=lambda g: abs(GRADES.index(g) - GRADES.index(true)))
    assert earned(near, true) >= earned(far, true)


def test_costs_tell_a_missed_case_from_a_false_alarm() -> None:
    assert costs(said("none"), case(label="severe"), GRADE, COSTS) == 0
    assert costs(said("severe"), case(label="none"), GRADE, COSTS) == pytest.approx(1 - 3 / 12)
    assert costs(said("mild"), case(label="mild"), GRADE, COSTS) == 1
    assert costs(FAILED, case(label="mild"), GRADE, COSTS) == 0
    assert costs(said("mild"), case(), GRADE, COSTS) is None


steps = st.lists(st.floats(0.01, 50), min_size=3, max_size=3)


@given(st.lists(steps, min_size=4, max_size=4), grades, grades, grades)
def test_sound_costs_fall_outwards(rows: list[list[float]], a: str, b: str, true: str) -> None:
    places = range(len(GRADES))
    matrix = tuple(tuple(sum(rows[i][min(i, j) : max(i, j)]) for j in places) for i in places)
    assert scorer(GRADE, "costs", costs=matrix)
    one, other = GRADES.index(a) - GRADES.index(true), GRADES.index(b) - GRADES.index(true)
    near, far = (costs(said(grade), case(label=true), GRADE, matrix) for grade in (a, b))
    assert near is not None and far is not None and 0 <= near <= 1 and 0 <= far <= 1
    if one * other > 0 and abs(one) <= abs(other):  # on one side of the truth
        assert near >= far


@pytest.mark.parametrize(
    ("matrix", "message"),
    [
        ([[0, 1], [1, 0]], "costs has 2 rows of 2, 2; expected 4 x 4 .* in the order none, mild"),
        ([[0, 1, 2, 3]] * 3 + [[3, 2, 1]], "rows of 4, 4, 4, 3"),
        (
            [[0, 1, 2, 3], [1, 0.5, 1, 2], [2, 1, 0, 1], [3, 2, 1, 0]],
            "'mild' is true costs 0.5; expected 0 on",
        ),
        (
            [[0, 1, 2, 3], [0, 0, 1, 2], [2, 1, 0, 1], [3, 2, 1, 0]],
            "'none' where 'mild' is true costs 0; exp",
        ),
        ([[0, 1, 2, float("inf")], [1, 0, 1, 2], [2, 1, 0, 1], [3, 2, 1, 0]], "costs inf"),
        ([[0, 3, 2, 3], [1, 0, 1, 2], [2, 1, 0, 1], [3, 2, 1, 0]], "'moderate' costs 2, less than the"),
        ([[0, "x", 2, 3]], "setting 'costs'"),
    ],
)
def test_costs_that_are_not_sound_are_one_line(matrix: Any, message: str) -> None:
    with pytest.raises(UserError, match=message) as caught:
        scorer(GRADE, "costs", costs=matrix)
    assert "\n" not in str(caught.value)


def test_costs_of_classes_need_not_rise_with_distance() -> None:
    task = Task("c", "classify", "?", ("a", "b", "c"))
    assert scorer(task, "costs", costs=[[0, 3, 1], [1, 0, 1], [1, 1, 0]])
    with pytest.raises(UserError, match="needs the setting 'costs'"):
        scorer(task, "costs")


sets = st.frozensets(st.sampled_from(SETS.labels))
measures = st.sampled_from(
    [
        {"measure": "jaccard"},
        {"measure": "per_label"},
        {"measure": "f_beta"},
        {"measure": "f_beta", "beta": 2.0},
    ]
)


@given(sets, sets, st.sampled_from(["none", "inverse", "sqrt"]), measures)
def test_label_sets_earn_shares(one: frozenset[str], other: frozenset[str], rule: Any, measure: Any) -> None:
    def earned(answer: frozenset[str], truth: frozenset[str]) -> float:
        counts = {"a": 100, "b": 10, "c": 1, "d": 0}
        value = label_set(said(answer), case(labels=truth), SETS, counts, balance=rule, **measure)
        assert value is not None
        return value

    assert -1e-9 <= earned(one, other) <= 1 + 1e-9 and earned(one, one) == pytest.approx(1)
    if measure.get("beta", 1.0) == 1.0:
        assert earned(one, other) == pytest.approx(earned(other, one))
    for label in set(SETS.labels) - one - other:  # a false label more never pays
        assert earned(one | {label}, other) <= earned(one, other) + 1e-9


def test_label_sets_by_hand() -> None:
    truth, answer = case(labels=frozenset("ab")), said(frozenset("bc"))
    assert label_set(answer, truth, SETS) == pytest.approx(1 / 3)
    assert label_set(answer, truth, SETS, measure="f_beta") == pytest.approx(1 / 2)
    assert label_set(answer, truth, SETS, measure="per_label") == pytest.approx(2 / 4)
    rare = {"a": 1, "b": 100, "c": 100, "d": 100}
    missed = label_set(said(frozenset("b")), truth, SETS, rare, balance="inverse")
    kept = label_set(said(frozenset("a")), truth, SETS, rare, balance="inverse")
    assert missed is not None and kept is not None and missed < 0.05 < 0.95 < kept
    assert label_set(FAILED, truth, SETS) == 0 and label_set(answer, case(), SETS) is None
    assert accuracy(answer, truth, SETS) == 0 and accuracy(said(frozenset("ab")), truth, SETS) == 1
    assert accuracy(FAILED, case(labels=frozenset()), SETS) == 0


@pytest.mark.parametrize("rule", ["inverse", "sqrt", "effective"])
def test_balanced_weights_keep_their_mean_over_the_cases(rule: Any) -> None:
    cases = [case(label=label) for label in ("none",) * 12 + ("mild",) * 6 + ("moderate",) * 2]
    counts = count_labels(GRADE, cases)
    weights = class_weights(GRADE, rule, counts)
    assert counts == {"none": 12, "mild": 6, "moderate": 2, "severe": 0}
    assert sum(weights[label] * n for label, n in counts.items()) / 20 == pytest.approx(1)
    assert weights["none"] < weights["mild"] < weights["moderate"] <= weights["severe"]
    for term in (accuracy, fuzzy_grade):
        assert term(said("mild"), case(label="mild"), GRADE, counts, balance=rule) == weights["mild"]


def test_weights_of_the_users_own() -> None:
    weights = {"none": 1.0, "mild": 1.0, "moderate": 2.0, "severe": 4.0}
    rewards = scorer(GRADE, "fuzzy_grade", balance=weights)
    assert rewards.class_weights() == {"fuzzy_grade": weights}
    score = rewards.score(case(label="severe"), Prompt((), ()), Rollout("<answer>severe</answer>"), None)
    assert score.total == 4


@pytest.mark.parametrize(
    ("task", "term", "settings", "message"),
    [
        (GRADE, "accuracy", {"balance": {"non": 2}}, "weighs 'non', .*did you mean 'none'"),
        (GRADE, "accuracy", {"balance": {"none": 2}}, "label 'mild' of task 'g' is missing in balance"),
        (GRADE, "accuracy", {"balance": "invers"}, "setting 'balance' is 'invers'"),
        (GRADE, "accuracy", {"balance": dict.fromkeys(GRADES, -1)}, "setting 'balance'"),
        (FREE, "accuracy", {"balance": "inverse"}, "weighs labels; task 'f' is of kind 'answer'"),
        (SETS, "accuracy", {"balance": "inverse"}, "label_set"),
        (GRADE, "label_set", {}, "judges multilabel tasks; task 'g' is of kind 'grade'"),
        (SETS, "label_set", {"beta": 0}, "setting 'beta' is 0"),
    ],
)
def test_settings_that_do_not_fit(task: Task, term: str, settings: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        scorer(task, term, **settings)


@pytest.mark.parametrize(
    ("answer", "truth", "exact", "same", "f1"),
    [
        ("Myocardial infarction.", "myocardial infarction", 0, 1, 1),
        ("heart attack", "myocardial infarction", 0, 1, 1),
        ("an old heart attack", "old myocardial infarction", 0, 0, 6 / 7),
        ("myocardial infarction", "myocardial infarction", 1, 1, 1),
        ("heart", "myocardial infarction", 0, 0, 0),
        ("left lung", "lung", 0, 1, 1),
        ("heart attacks", "myocardial infarction", 0, 0, 0),
    ],
)
def test_free_text(answer: str, truth: str, exact: float, same: float, f1: float) -> None:
    truths = case(text=truth)
    assert accuracy(said(answer), truths, FREE, match="exact") == exact
    assert accuracy(said(answer), truths, replace(FREE, answer_mode="strict")) == same
    assert accuracy(said(answer), truths, FREE) == (same or answer.startswith("an old"))  # but for an article
    assert token_f1_reward(said(answer), truths, replace(FREE, answer_mode="strict")) == pytest.approx(f1)
    assert token_f1_reward(FAILED, truths, FREE) == 0 and token_f1_reward(said(answer), case(), FREE) is None


words = st.lists(st.sampled_from("left right lower lobe heart attack the".split())).map(" ".join)  # noqa: SIM905


@given(words, words)
def test_token_f1_is_a_symmetric_share(one: str, other: str) -> None:
    value = token_f1_reward(said(one), case(text=other), FREE)
    assert value is not None and 0 <= value <= 1
    assert value == pytest.approx(token_f1_reward(said(other), case(text=one), FREE) or 0)
    assert canonical(canonical(one, FREE.synonyms), FREE.synonyms) == canonical(one, FREE.synonyms)


def test_hedging_between_two_words_can_be_made_not_to_pay() -> None:
    truth = case(text="left lower lobe")
    for beta, pays in ((1.0, True), (0.5, False)):
        hedged, right, wrong = (
            token_f1_reward(said(text), truth, FREE, beta=beta) or 0
            for text in ("left right lower lobe", "left lower lobe", "right lower lobe")
        )
        assert (hedged > (right + wrong) / 2) == pays


@pytest.mark.parametrize(
    ("completion", "strict", "lax"),
    [
        ("<think>a</think><answer>b</answer>", 1, 1),
        ("So: <think>a</think> thus <answer>b</answer>.", 0, 1),
        ("<answer>b</answer>", 0, 0),
        ("<think>a</think><answer> </answer>", 0, 0),
        ("<answer>b</answer><think>a</think>", 0, 0),
        ("<think>a</think><answer>b</answer><answer>c</answer>", 0, 0),
        ("x" * 200_000 + "<think>", 0, 0),
        ("", 0, 0),
    ],
)
def test_format_strict_and_lax(completion: str, strict: float, lax: float) -> None:
    rollout = Rollout(completion)
    assert strict_format(rollout) == format_reward(rollout) == strict
    assert format_reward(rollout, "lax") == lax


def test_synonyms_of_closed_labels_are_read_as_labels() -> None:
    synonyms = (("pdr", "severe"), ("no dr", "none"), ("none at all", "none"))
    assert match_label("PDR.", GRADES, synonyms) == ("severe", None)
    assert match_label("pdr or mild", GRADES, synonyms) == (None, "ambiguous")
    assert match_label("pdr, severe", GRADES, synonyms) == (None, "unknown label")
    assert match_labels("pdr, mild", GRADES[1:], (("pdr", "severe"),)) == (
        frozenset({"severe", "mild"}),
        None,
    )
    assert match_labels("pdr, severe", GRADES[1:], (("pdr", "severe"),)) == (None, "malformed")
    with pytest.raises(UserError, match="synonym 'mild' of 'severe' also means 'mild'"):
        match_label("x", GRADES, (("mild", "severe"),))


KNOWN = Prompt((), (), "What is known:\n- mild: small dark red dots near the macula and nothing else.")


def test_chrf_sees_copies_and_less_of_what_is_said_freely() -> None:
    def share(reasoning: str) -> float:
        return recitation(Answer("mild", None, reasoning), KNOWN, delta=1, metric="chrf") or 0.0

    copied = share("Mild: small dark red dots near the macula, and nothing else!")
    inflected = share("mild, smaller darker redder dot nearer the macula and nothing else")
    free = share("A few tiny spots that look like blood.")
    assert 0 < free < inflected < copied <= 1 and copied == pytest.approx(1)
    assert recitation(Answer("mild", None, ""), KNOWN, metric="chrf") == -1


@given(st.text(alphabet="abc dark red dots,.\n"), st.sampled_from([-1, 1]))
def test_chrf_stays_in_its_range(reasoning: str, delta: Any) -> None:
    value = recitation(Answer("mild", None, reasoning), KNOWN, delta, "chrf")
    assert value is not None and min(0, delta) <= value <= max(0, delta)
