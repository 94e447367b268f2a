"""Intervals: reproducible, by patient, honest about the undefined, and right as often as they say."""

import numpy as np
import pytest

from vrft_aug.evaluation.metrics.bootstrap import CHUNK, Metric, Statistic, measure, ratio


def groups(n: int, per_group: int = 1) -> list[int]:
    return [i // per_group for i in range(n)]


def test_same_seed_same_interval_and_another_seed_another() -> None:
    values = np.random.default_rng(0).random(60)
    first, again, other = (
        measure({"m": ratio(values)}, groups(60), replicates=200, seed=seed)["m"] for seed in (3, 3, 4)
    )
    assert first == again
    assert first.value == other.value and (first.low, first.high) != (other.low, other.high)


def test_chunks_do_not_change_the_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    values = np.random.default_rng(0).random(50)
    whole = measure({"m": ratio(values)}, groups(50), replicates=200, seed=1)["m"]
    assert CHUNK > 200 * 50  # one chunk above, many below
    monkeypatch.setattr("vrft_aug.evaluation.metrics.bootstrap.CHUNK", 350)
    chunked = measure({"m": ratio(values)}, groups(50), replicates=200, seed=1)["m"]
    assert (chunked.low, chunked.high) == pytest.approx((whole.low, whole.high))


def covers(metric: Metric, truth: float) -> bool:
    assert metric.low is not None and metric.high is not None
    return metric.low <= truth <= metric.high


def test_interval_covers_the_truth_about_as_often_as_it_says() -> None:
    rng = np.random.default_rng(7)
    covered = []
    for trial in range(300):
        values = rng.random(80) < 0.3
        metric = measure({"m": ratio(values)}, groups(80), replicates=300, seed=trial)["m"]
        covered.append(covers(metric, 0.3))
    assert 0.90 <= np.mean(covered) <= 0.99


def test_drawing_by_patient_covers_the_truth_where_drawing_by_case_does_not() -> None:
    rng = np.random.default_rng(11)
    by_patient, by_case = [], []
    for trial in range(150):  # 40 patients, 10 cases each that all come out alike
        values = np.repeat(rng.random(40) < 0.5, 10)
        one = {"m": ratio(values)}
        patient = measure(one, groups(400, 10), replicates=200, seed=trial)["m"]
        case = measure(one, groups(400), replicates=200, seed=trial)["m"]
        by_patient.append(covers(patient, 0.5))
        by_case.append(covers(case, 0.5))
    assert np.mean(by_patient) > 0.88
    assert np.mean(by_case) < 0.6


def test_undefined_statistics_have_no_value_and_rarely_defined_ones_no_interval() -> None:
    never = ratio(np.zeros(20), np.zeros(20))
    once = ratio(np.eye(200)[0], np.eye(200)[0])  # defined in 63 % of replicates
    seldom = Statistic(lambda w: np.where(w[:, 0] == 1, 1.0, np.nan), 1)  # in 37 %
    assert measure({"m": never}, groups(20), replicates=100, seed=0)["m"] == Metric(None, 0)
    assert measure({"m": once}, groups(200), replicates=500, seed=0)["m"] == Metric(1.0, 1, 1.0, 1.0)
    assert measure({"m": seldom}, groups(200), replicates=500, seed=0)["m"] == Metric(1.0, 1)


def test_a_single_patient_has_no_interval() -> None:
    metric = measure({"m": ratio(np.array([0.0, 1.0]))}, ["a", "a"], replicates=100, seed=0)["m"]
    assert metric == Metric(0.5, 2)


def test_text_of_a_metric() -> None:
    assert str(Metric(0.8123, 400, 0.77, 0.851)) == "0.81 [0.77, 0.85]"
    assert str(Metric(81.27, 400, 79.0, 83.0)) == "81.3 [79.0, 83.0]"
    assert str(Metric(0.5, 3)) == "0.50"
    assert str(Metric(None, 0)) == "–"
