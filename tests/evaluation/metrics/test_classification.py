"""Metrics of labels equal scikit-learn's; unanswered cases always count against the model."""

import warnings

import numpy as np
import pytest
from sklearn import metrics as sk

from vrft_aug.evaluation.metrics import classification as by_class
from vrft_aug.evaluation.metrics.bootstrap import Statistic
from vrft_aug.shaping.text import token_f1

SHAPES = [(200, 5, 1.0), (37, 3, 1.0), (12, 7, 1.0), (50, 2, 1.0), (80, 5, 0.4)]  # cases, classes, share used


def value(statistic: Statistic, n: int) -> float:
    return float(statistic.of(np.ones((1, n)))[0])


def draw(seed: int, n: int, classes: int, used: float) -> tuple[np.ndarray, np.ndarray]:
    """Random truth and predictions over the first classes only, so that some are absent."""
    rng = np.random.default_rng(seed)
    present = max(2, round(classes * used))
    truth = rng.integers(present, size=n)
    return truth, np.where(rng.random(n) < 0.5, truth, rng.integers(present, size=n))


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize(("n", "classes", "used"), SHAPES)
def test_equal_to_scikit_learn(seed: int, n: int, classes: int, used: float) -> None:
    truth, predicted = draw(seed, n, classes, used)
    same = pytest.approx
    assert value(by_class.accuracy(truth, predicted), n) == same(sk.accuracy_score(truth, predicted))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of classes that are predicted but absent
        balanced = sk.balanced_accuracy_score(truth, predicted)
    assert value(by_class.balanced_accuracy(truth, predicted, classes), n) == same(balanced)
    f1 = sk.f1_score(truth, predicted, average="macro")
    assert value(by_class.macro_f1(truth, predicted, classes), n) == same(f1)
    kappa = sk.cohen_kappa_score(truth, predicted, weights="quadratic", labels=range(classes))
    assert value(by_class.quadratic_kappa(truth, predicted, classes), n) == same(kappa)
    error = sk.mean_absolute_error(truth, predicted)
    assert value(by_class.grade_error(truth, predicted, classes), n) == same(error)
    recalls = sk.recall_score(truth, predicted, labels=range(classes), average=None, zero_division=np.nan)
    for label in range(classes):
        found = value(by_class.sensitivity(truth, predicted, label), n)
        assert found == same(recalls[label], nan_ok=True)
        others = sk.recall_score(truth != label, predicted != label, zero_division=np.nan)
        assert value(by_class.specificity(truth, predicted, label, classes), n) == same(others, nan_ok=True)
    matrix = sk.confusion_matrix(truth, predicted, labels=range(classes))
    assert (by_class.confusion(truth, predicted, classes)[:, :classes] == matrix).all()


@pytest.mark.filterwarnings("ignore:y_pred contains classes")
@pytest.mark.parametrize("seed", range(3))
def test_weights_are_repeated_cases(seed: int) -> None:
    truth, predicted = draw(seed, 40, 4, 1.0)
    times = np.random.default_rng(seed).integers(4, size=40)
    again, answers = np.repeat(truth, times), np.repeat(predicted, times)
    weights = times[None, :].astype(float)
    kappa = sk.cohen_kappa_score(again, answers, weights="quadratic", labels=range(4))
    assert by_class.quadratic_kappa(truth, predicted, 4).of(weights)[0] == pytest.approx(kappa)
    f1 = sk.f1_score(again, answers, average="macro")
    assert by_class.macro_f1(truth, predicted, 4).of(weights)[0] == pytest.approx(f1)
    balanced = sk.balanced_accuracy_score(again, answers)
    assert by_class.balanced_accuracy(truth, predicted, 4).of(weights)[0] == pytest.approx(balanced)


def test_a_single_class_leaves_kappa_undefined() -> None:
    truth = np.full(10, 2)
    assert np.isnan(value(by_class.quadratic_kappa(truth, truth, 5), 10))
    assert value(by_class.balanced_accuracy(truth, truth, 5), 10) == 1
    assert value(by_class.macro_f1(truth, truth, 5), 10) == 1
    assert value(by_class.quadratic_kappa(truth, np.full(10, 4), 5), 10) == 0
    assert np.isnan(value(by_class.sensitivity(truth, truth, 0), 10))
    assert np.isnan(value(by_class.specificity(truth, truth, 2, 5), 10))


def test_never_answering_is_the_worst_of_all() -> None:
    truth = np.array([0, 0, 1, 1, 2, 2, 3, 3, 4, 4])
    nothing = np.full(10, 5)
    assert value(by_class.accuracy(truth, nothing), 10) == 0
    assert value(by_class.balanced_accuracy(truth, nothing, 5), 10) == 0
    assert value(by_class.macro_f1(truth, nothing, 5), 10) == 0
    assert value(by_class.grade_error(truth, nothing, 5), 10) == pytest.approx(np.mean([4, 3, 2, 3, 4]))
    assert value(by_class.quadratic_kappa(truth, nothing, 5), 10) < -0.5
    for label in range(5):
        assert value(by_class.sensitivity(truth, nothing, label), 10) == 0
        assert value(by_class.specificity(truth, nothing, label, 5), 10) == 0


@pytest.mark.parametrize("seed", range(20))
def test_answering_is_never_worse_than_not_answering(seed: int) -> None:
    truth, predicted = draw(seed, 60, 5, 1.0)
    silent = np.where(np.random.default_rng(seed).random(60) < 0.2, 5, predicted)
    for score in (by_class.balanced_accuracy, by_class.macro_f1):
        answered = np.where(silent == 5, truth, silent)  # the same with the silent cases right
        assert value(score(truth, silent, 5), 60) <= value(score(truth, answered, 5), 60)
    assert value(by_class.grade_error(truth, silent, 5), 60) >= value(
        by_class.grade_error(truth, predicted, 5), 60
    )


def test_unanswered_counts_as_the_farthest_grade_and_the_lowest_of_two() -> None:
    truth, nothing = np.arange(5), np.full(5, 5)
    explicit = np.array([4, 4, 0, 0, 0])
    assert value(by_class.quadratic_kappa(truth, nothing, 5), 5) == pytest.approx(
        sk.cohen_kappa_score(truth, explicit, weights="quadratic", labels=range(5))
    )
    assert by_class.confusion(truth, nothing, 5)[:, 5].tolist() == [1, 1, 1, 1, 1]


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize(("n", "classes", "used"), SHAPES)
def test_thresholds_and_classes_equal_scikit_learn(seed: int, n: int, classes: int, used: float) -> None:
    truth, predicted = draw(seed, n, classes, used)
    assert value(by_class.far_off(truth, predicted, classes), n) == np.mean(np.abs(truth - predicted) > 1)
    scores = sk.f1_score(truth, predicted, labels=range(classes), average=None, zero_division=np.nan)
    for i in range(classes):
        f1 = by_class.f1(truth, predicted, i)
        assert value(f1, n) == pytest.approx(scores[i], nan_ok=True)
        assert f1.n == ((truth == i) | (predicted == i)).sum()
        above = sk.recall_score(truth >= i, predicted >= i, zero_division=np.nan)
        found = value(by_class.sensitivity_from(truth, predicted, i, classes), n)
        assert found == pytest.approx(above, nan_ok=True)
        below = sk.recall_score(truth < i, predicted < i, zero_division=np.nan)
        found = value(by_class.specificity_from(truth, predicted, i), n)
        assert found == pytest.approx(below, nan_ok=True)


def test_no_answer_is_on_the_wrong_side_of_every_threshold() -> None:
    truth, nothing = np.arange(5), np.full(5, 5)
    for i in range(1, 5):
        assert value(by_class.sensitivity_from(truth, nothing, i, 5), 5) == 0
        assert value(by_class.specificity_from(truth, nothing, i), 5) == 0
    assert value(by_class.far_off(truth, nothing, 5), 5) == 1
    assert value(by_class.f1(truth, nothing, 0), 5) == 0


def test_majority() -> None:
    order = ["none", "mild", "severe"]
    assert by_class.majority({"severe": 3, "mild": 2}, order) == "severe"
    assert by_class.majority({"severe": 2, "mild": 2}, order) == "mild"
    assert by_class.majority({}, order) is None
    assert by_class.majority({"b": 1, "a": 1}, ()) == "b"  # free text: the first that was given


def test_token_f1() -> None:
    assert token_f1("The left lung.", "left lung") == pytest.approx(2 * 2 / 5)
    assert token_f1("", "left lung") == 0
    assert token_f1("a a", "a") == pytest.approx(2 / 3)
    assert token_f1("...", "") == token_f1("", "") == 1  # no words on either side
