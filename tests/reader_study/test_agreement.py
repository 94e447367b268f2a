"""Agreement and MRMC figures equal those of scikit-learn, statsmodels and what was published."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import cohen_kappa_score

from vrft_aug.evaluation.metrics.bootstrap import Statistic
from vrft_aug.reader_study.agreement import (
    UNREAD,
    cohen_kappa,
    fleiss_kappa,
    krippendorff_alpha,
    quadratic_cohen_kappa,
)
from vrft_aug.reader_study.mrmc import (
    from_covariance,
    obuchowski_rockette,
    over_readers_and_cases,
    reader_means,
)

RNG = np.random.default_rng(0)
RATINGS = RNG.integers(0, 5, (4, 60))
RATINGS[1:] = np.where(RNG.random((3, 60)) < 0.6, RATINGS[0], RATINGS[1:])
# Krippendorff, "Computing Krippendorff's Alpha-Reliability" (2011): four observers, twelve units, gaps.
OBSERVERS = """1 2 3 3 2 1 4 1 2 * * *
1 2 3 3 2 2 4 1 2 5 * 3
* 3 3 3 2 3 4 2 2 5 1 *
1 2 3 3 2 4 4 1 2 5 1 *"""


def value(statistic: Statistic, weights: np.ndarray) -> float:
    return float(statistic.of(weights[None].astype(float))[0])


def weighted() -> list[tuple[np.ndarray, np.ndarray]]:
    """Weights of the cases, and the cases that they stand for."""
    drawn = RNG.integers(60, size=60)
    return [(np.ones(60), np.arange(60)), (np.bincount(drawn, minlength=60), np.sort(drawn))]


@pytest.mark.parametrize(("weights", "cases"), weighted(), ids=["all", "drawn"])
def test_cohens_kappa_is_scikit_learns(weights: np.ndarray, cases: np.ndarray) -> None:
    a, b = RATINGS[:2]
    assert value(cohen_kappa(a, b, 5), weights) == pytest.approx(cohen_kappa_score(a[cases], b[cases]))
    squared = cohen_kappa_score(a[cases], b[cases], weights="quadratic")
    assert value(quadratic_cohen_kappa(a, b, 5), weights) == pytest.approx(squared)


@pytest.mark.parametrize(("weights", "cases"), weighted(), ids=["all", "drawn"])
def test_kappas_are_statsmodels(weights: np.ndarray, cases: np.ndarray) -> None:
    from statsmodels.stats.inter_rater import aggregate_raters, cohens_kappa, to_table
    from statsmodels.stats.inter_rater import fleiss_kappa as theirs

    table = aggregate_raters(RATINGS[:, cases].T, n_cat=5)[0]
    assert value(fleiss_kappa(RATINGS, 5), weights) == pytest.approx(theirs(table))
    pair = to_table(RATINGS[:2, cases].T, bins=5)[0]
    assert value(cohen_kappa(RATINGS[0], RATINGS[1], 5), weights) == pytest.approx(cohens_kappa(pair).kappa)


def test_krippendorffs_alpha_is_as_published() -> None:
    rows = [line.split() for line in OBSERVERS.splitlines()]
    ratings = np.array([[UNREAD if one == "*" else int(one) - 1 for one in row] for row in rows])
    ones = np.ones(12)
    assert value(krippendorff_alpha(ratings, 5), ones) == pytest.approx(0.743, abs=5e-4)
    assert value(krippendorff_alpha(ratings, 5, squared=True), ones) == pytest.approx(0.849, abs=5e-4)
    assert krippendorff_alpha(ratings, 5).n == 11  # a unit with one rating says nothing
    twice = np.concatenate([ratings, ratings[:, :3]], axis=1)  # a case that is drawn twice is there twice
    drawn = np.array([2] * 3 + [1] * 9)
    alphas = value(krippendorff_alpha(ratings, 5), drawn), value(krippendorff_alpha(twice, 5), np.ones(15))
    assert alphas[0] == pytest.approx(alphas[1])


def test_what_was_not_read_by_both_is_left_out() -> None:
    a, b = RATINGS[:2].copy()
    a[:10], b[5:20] = UNREAD, UNREAD
    kappa = cohen_kappa(a, b, 5)
    assert kappa.n == 40 and value(kappa, np.ones(60)) == pytest.approx(cohen_kappa_score(a[20:], b[20:]))
    assert fleiss_kappa(np.stack([a, b]), 5).n == 40
    nobody = np.full(60, UNREAD)
    for statistic in (cohen_kappa(nobody, b, 5), krippendorff_alpha(np.stack([nobody, b]), 5)):
        assert np.isnan(value(statistic, np.ones(60)))
    same = np.zeros(60, dtype=np.intp)
    assert np.isnan(value(cohen_kappa(same, same, 5), np.ones(60)))


def test_obuchowski_rockette_is_as_published_for_van_dykes_data() -> None:
    """What RJafroc (its book, chapter "Obuchowski Rockette Applications") gives for dataset02, Wilcoxon."""
    from vrft_aug.reader_study.mrmc import _tested

    interaction, cov2, cov3 = 0.000551028, 0.00034407483, 0.00023902837
    found = _tested(-0.0438003, 0.004796171, interaction, interaction + 5 * (cov2 - cov3), 5)
    assert found is not None
    assert found.f == pytest.approx(4.456319, abs=1e-4)
    assert found.degrees == pytest.approx(15.259675, abs=1e-3)
    assert found.p == pytest.approx(0.051666, abs=1e-5)
    assert (found.low, found.high) == pytest.approx((-0.08795918, 0.00035885), abs=2e-6)


def test_mean_squares_and_covariances_are_those_of_the_definition() -> None:
    """F from scratch: sums of squares of a two-way layout, covariances of figures with a case left out."""
    marks = (RNG.random((2, 4, 30)) < np.array([0.55, 0.75])[:, None, None]).astype(float)
    theta = marks.mean(axis=2)
    means = theta.mean(axis=1)
    square = 4 * ((means - theta.mean()) ** 2).sum()
    rest = sum(
        (theta[c, r] - means[c] - theta[:, r].mean() + theta.mean()) ** 2 for c in (0, 1) for r in range(4)
    )
    left = np.stack([np.delete(marks, n, axis=2).mean(axis=2) for n in range(30)])
    about = left - left.mean(axis=0)

    def covariance(c: int, r: int, c2: int, r2: int) -> float:
        return float(29 / 30 * (about[:, c, r] * about[:, c2, r2]).sum())

    pairs = [(r, r2) for r in range(4) for r2 in range(4) if r != r2]
    cov2 = np.mean([covariance(c, r, c, r2) for c in (0, 1) for r, r2 in pairs])
    cov3 = np.mean([covariance(c, r, 1 - c, r2) for c in (0, 1) for r, r2 in pairs])
    found = obuchowski_rockette(marks, range(30))
    assert found is not None
    assert found.f == pytest.approx(square / (rest / 3 + max(4 * (cov2 - cov3), 0)))
    assert found.difference == pytest.approx(means[1] - means[0])
    assert found.low < found.difference < found.high


def test_what_cannot_be_tested_is_not() -> None:
    marks = np.ones((2, 3, 10))
    assert obuchowski_rockette(marks, range(10)) is None  # nothing varies
    marks[0, 0, 0] = np.nan
    assert obuchowski_rockette(marks, range(10)) is None
    assert obuchowski_rockette(RNG.random((2, 1, 10)), range(10)) is None
    assert obuchowski_rockette(RNG.random((1, 3, 10)), range(10)) is None
    assert from_covariance(np.array([[0.5, 0.6], [0.5, 0.6]]), np.zeros((4, 4))) is None


def test_drawing_readers_too_widens_the_interval_and_finds_the_truth() -> None:
    """Readers of very unlike skill: an interval over cases alone is for these readers only."""
    skill = np.array([0.3, 0.5, 0.7, 0.95])
    marks = (RNG.random((1, 4, 200)) < skill[None, :, None]).astype(float)
    (both,) = over_readers_and_cases(marks, range(200), replicates=600, seed=0)
    (one,) = over_readers_and_cases(marks[:, :1], range(200), replicates=600, seed=0)
    assert both.value == pytest.approx(marks.mean()) and both.low is not None and both.high is not None
    assert both.high - both.low > 0.3 and one.low is None  # one reader says nothing about others
    again = over_readers_and_cases(marks, range(200), replicates=600, seed=0)
    assert again == (both,)


def test_a_reader_without_readings_is_left_out_of_the_mean() -> None:
    marks = np.full((2, 2, 4), np.nan)
    marks[:, 0] = [[1, 1, 0, 0], [1, 1, 1, 0]]
    marks[0, 1] = [0, 0, 0, 0]
    unaided, aided, gain = over_readers_and_cases(marks, range(4), replicates=200, seed=1)
    assert (unaided.value, aided.value, gain.value) == (0.25, 0.75, 0.5) and aided.n == 4
    assert np.isnan(reader_means(marks, np.ones((1, 4)))[0, 1, 1])
