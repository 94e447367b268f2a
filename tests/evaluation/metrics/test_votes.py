"""Metrics of votes equal scikit-learn's on random data with ties, absent classes and missing votes."""

import itertools

import numpy as np
import pytest
from sklearn import metrics as sk
from sklearn.calibration import calibration_curve

from helpers.vote_rows import LABELS, random_rows, row, value
from vrft_aug.evaluation.metrics import curves, votes
from vrft_aug.evaluation.metrics.votes import Majorities


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("levels", [2, 9, 1000])
def test_auroc_and_average_precision(seed: int, levels: int) -> None:
    rng = np.random.default_rng(seed)
    n = int(rng.integers(2, 60))
    positive = rng.random(n) < 0.4
    positive[:2] = True, False
    score = rng.integers(levels, size=n) / levels
    weights = rng.integers(0, 4, size=n).astype(float)
    weights[:2] = 1
    for ours, theirs in (
        (votes.auroc(positive, score), sk.roc_auc_score),
        (votes.average_precision(positive, score), sk.average_precision_score),
    ):
        assert value(ours, n) == pytest.approx(theirs(positive, score))
        weighted = theirs(positive, score, sample_weight=weights)
        assert ours.of(weights[None, :])[0] == pytest.approx(weighted)


def test_ranking_is_undefined_with_one_class_alone() -> None:
    score = [0.1, 0.5, 0.5]
    assert np.isnan(value(votes.auroc([True] * 3, score), 3))
    assert np.isnan(value(votes.auroc([False] * 3, score), 3))
    assert np.isnan(value(votes.average_precision([False] * 3, score), 3))
    assert value(votes.average_precision([True] * 3, score), 3) == 1
    mean = votes.mean_over_classes([votes.auroc([True] * 3, score), votes.auroc([True, False, True], score)])
    assert value(mean, 3) == value(votes.auroc([True, False, True], score), 3)


def test_equal_scores_rank_nothing() -> None:
    assert value(votes.auroc([True, False, True], [0.5] * 3), 3) == 0.5


@pytest.mark.parametrize("seed", range(5))
def test_shares_are_of_all_samples_and_rank_classes_as_scikit_learn_does(seed: int) -> None:
    rows = random_rows(seed)
    shares = votes.vote_shares("classify", LABELS, rows)
    truth = votes.true_labels("classify", LABELS, rows)
    assert shares[0].tolist() == [0, 0, 0] and (shares.sum(axis=1) <= 1 + 1e-12).all()
    areas = [votes.auroc(truth[:, i], shares[:, i]) for i in range(3)]
    expected = np.mean([sk.roc_auc_score(truth[:, i], shares[:, i]) for i in range(3)])
    assert value(votes.mean_over_classes(areas), len(rows)) == pytest.approx(expected)


@pytest.mark.parametrize("seed", range(10))
def test_calibration_error_is_that_of_scikit_learns_curve(seed: int) -> None:
    rows = random_rows(seed)
    ballot = votes.majorities("classify", LABELS, rows)
    kept = ballot.voted
    right, share = calibration_curve(ballot.right[kept], ballot.share[kept], n_bins=votes.BINS)
    bins = curves.reliability(ballot)
    assert [b.accuracy for b in bins] == pytest.approx(right.tolist())
    assert [b.confidence for b in bins] == pytest.approx(share.tolist())
    assert sum(b.n for b in bins) == kept.sum() == len(rows) - 1
    expected = np.average(np.abs(right - share), weights=[b.n for b in bins])
    error = votes.calibration_error(ballot)
    assert value(error, len(rows)) == pytest.approx(expected) and error.n == len(rows) - 1


@pytest.mark.parametrize("seed", range(10))
def test_risk_and_coverage_are_scikit_learns_precision_by_threshold(seed: int) -> None:
    ballot = votes.majorities("classify", LABELS, random_rows(seed))
    points = curves.risk_coverage(ballot)
    precision, _, threshold = sk.precision_recall_curve(ballot.right, ballot.share)
    by_threshold = dict(zip(threshold.tolist(), precision, strict=False))
    for point in points:
        assert 1 - point.risk == pytest.approx(by_threshold[point.confidence])
        assert point.coverage == pytest.approx((ballot.share >= point.confidence).mean())
    steps = np.diff([0.0, *[point.coverage for point in points]])
    area = float(steps @ [point.risk for point in points])
    assert value(votes.risk_area(ballot), len(ballot.share)) == pytest.approx(area)
    assert points[-1].coverage == 1 and points[-1].risk == pytest.approx(1 - ballot.right.mean())


def test_perfect_and_hopeless_votes() -> None:
    n = 6
    sure = np.ones(n)
    for right in (True, False):
        ballot = Majorities(sure, np.full(n, right), np.full(n, True))
        assert value(votes.calibration_error(ballot), n) == (0 if right else 1)
        assert value(votes.risk_area(ballot), n) == (0 if right else 1)
        assert value(votes.clear_accuracy(ballot), n) == float(right)
    nobody = Majorities(np.zeros(n), np.full(n, False), np.full(n, False))
    assert np.isnan(value(votes.calibration_error(nobody), n))
    assert np.isnan(value(votes.clear_accuracy(nobody), n)) and value(votes.clear_share(nobody), n) == 0
    assert value(votes.risk_area(nobody), n) == 1 and curves.reliability(nobody) == ()


def test_clear_votes_by_hand() -> None:
    rows = [
        row("none", {"none": 8}, 10),
        row("none", {"mild": 8, "none": 2}, 10),
        row("none", {"none": 7}, 10),
    ]
    ballot = votes.majorities("classify", LABELS, rows)
    assert value(votes.clear_share(ballot), 3) == pytest.approx(2 / 3)
    assert value(votes.clear_accuracy(ballot), 3) == 0.5


@pytest.mark.parametrize("right", range(6))
def test_pass_at_k_is_the_share_of_draws_that_hold_a_right_one(right: int) -> None:
    rows = [row("none", {"none": right, "mild": 5 - right}, 5)]
    assert votes.passes(rows) == [1, 2, 4, 5]
    for k in range(1, 6):
        draws = list(itertools.combinations([True] * right + [False] * (5 - right), k))
        expected = np.mean([any(draw) for draw in draws])
        assert value(votes.pass_at(k, "classify", rows), 1) == pytest.approx(expected)


def test_samples_without_an_answer_count_as_wrong_in_pass_at_k() -> None:
    rows = [row("none", {"none": 1}, 4)]
    assert value(votes.pass_at(1, "classify", rows), 1) == 0.25
