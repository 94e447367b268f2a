"""Tests of differences: right as often as they say, equal to their references, and corrected by Holm."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from vrft_aug.evaluation.metrics.bootstrap import ratio, resample
from vrft_aug.evaluation.significance import bootstrap_p, holm, independent, mcnemar_p


def test_holm_by_hand() -> None:
    tested = holm({"a": 0.01, "b": 0.04, "c": 0.03, "d": 0.005})
    assert [tested[key].adjusted for key in "abcd"] == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert [tested[key].p for key in "abcd"] == [0.01, 0.04, 0.03, 0.005]
    assert holm({}) == {} and holm({"a": 0.5})["a"].adjusted == 0.5


@given(st.lists(st.floats(0, 1), min_size=1, max_size=8))
def test_holm_never_lowers_keeps_the_order_and_stays_a_probability(p_values: list[float]) -> None:
    tested = list(holm(dict(enumerate(p_values))).values())
    assert [one.p for one in tested] == p_values
    assert all(one.p <= one.adjusted <= 1 for one in tested)
    ranked = sorted(tested, key=lambda one: one.p)
    assert [one.adjusted for one in ranked] == sorted(one.adjusted for one in ranked)
    assert min(one.adjusted for one in tested) == min(1.0, len(p_values) * min(p_values))


def test_mcnemar_is_the_binomial_test_of_discordant_cases() -> None:
    rng = np.random.default_rng(0)
    first, second = rng.random(60) < 0.7, rng.random(60) < 0.5
    only = int((first & ~second).sum()), int((second & ~first).sum())
    assert mcnemar_p(first, second) == binomtest(only[0], sum(only)).pvalue
    # 1 against 9: 2 * (1 + 10) / 2**10
    a = np.array([True] * 1 + [False] * 9 + [True] * 5)
    b = np.array([False] * 1 + [True] * 9 + [True] * 5)
    assert mcnemar_p(a, b) == mcnemar_p(b, a) == pytest.approx(22 / 1024)
    assert mcnemar_p(a, a) == 1


def test_bootstrap_p_by_hand() -> None:
    assert bootstrap_p(np.array([1.0] * 98 + [-1.0])) == pytest.approx(2 * 2 / 100)
    assert bootstrap_p(-np.array([1.0] * 98 + [-1.0])) == pytest.approx(2 * 2 / 100)
    assert bootstrap_p(np.zeros(50)) == 1
    assert bootstrap_p(np.full(999, 0.5)) == pytest.approx(0.002)
    assert bootstrap_p(np.empty(0)) is None and bootstrap_p(np.array([np.nan, np.nan, 1.0])) is None


def test_without_a_difference_p_is_small_about_as_often_as_it_says() -> None:
    rng = np.random.default_rng(5)
    small = []
    for trial in range(400):
        difference = (rng.random(100) < 0.5).astype(float) - (rng.random(100) < 0.5)
        draws = resample({"d": ratio(difference)}, list(range(100)), replicates=400, seed=trial)["d"]
        small.append((bootstrap_p(draws) or 1) < 0.05)
    assert 0.02 <= np.mean(small) <= 0.09


def test_independent() -> None:
    assert independent(["a", "b"]) and not independent(["a", "b", "a"])
