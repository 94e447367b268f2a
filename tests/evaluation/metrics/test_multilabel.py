"""Metrics of label sets equal scikit-learn's, the official MedMNIST figures their definition."""

from collections import Counter
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from sklearn import metrics as sk

from helpers.vote_rows import LABELS, random_rows, row, value
from vrft_aug.evaluation.metrics import medmnist_official, multilabel
from vrft_aug.evaluation.metrics.case_rows import Row, joined
from vrft_aug.evaluation.metrics.multilabel import LabelSets
from vrft_aug.evaluation.metrics.votes import true_labels, vote_shares
from vrft_aug.nouns import TaskKind


def random_sets(seed: int, n: int = 60, labels: int = 4, absent: bool = False) -> LabelSets:
    rng = np.random.default_rng(seed)
    true = rng.random((n, labels)) < 0.3
    said = true ^ (rng.random((n, labels)) < 0.2)
    if absent:
        true[:, 0] = said[:, 0] = False
    return LabelSets(true, said, np.full(n, True))


@pytest.mark.parametrize("absent", [False, True])
@pytest.mark.parametrize("seed", range(10))
def test_equal_to_scikit_learn(seed: int, absent: bool) -> None:
    sets = random_sets(seed, absent=absent)
    n, labels = sets.true.shape
    same = pytest.approx
    assert value(multilabel.exact(sets), n) == same(sk.accuracy_score(sets.true, sets.said))
    assert value(multilabel.label_accuracy(sets), n) == same(1 - sk.hamming_loss(sets.true, sets.said))
    by_label = sk.f1_score(sets.true, sets.said, average=None, zero_division=np.nan)
    assert value(multilabel.macro_f1(sets), n) == same(np.nanmean(by_label))
    assert value(multilabel.micro_f1(sets), n) == same(sk.f1_score(sets.true, sets.said, average="micro"))
    for i in range(labels):
        true, said = sets.true[:, i], sets.said[:, i]
        assert value(multilabel.f1(sets, i), n) == same(by_label[i], nan_ok=True)
        recall = sk.recall_score(true, said, zero_division=np.nan)
        assert value(multilabel.sensitivity(sets, i), n) == same(recall, nan_ok=True)
        others = sk.recall_score(~true, ~said, zero_division=np.nan)
        assert value(multilabel.specificity(sets, i), n) == same(others, nan_ok=True)
        assert value(multilabel.label_accuracy(sets, i), n) == same(sk.accuracy_score(true, said))


def test_weights_are_repeated_cases() -> None:
    sets = random_sets(1)
    times = np.random.default_rng(1).integers(3, size=len(sets.true))
    true, said = np.repeat(sets.true, times, axis=0), np.repeat(sets.said, times, axis=0)
    weights = times[None, :].astype(float)
    assert multilabel.macro_f1(sets).of(weights)[0] == pytest.approx(sk.f1_score(true, said, average="macro"))
    assert multilabel.exact(sets).of(weights)[0] == pytest.approx(sk.accuracy_score(true, said))


def test_no_answer_is_wrong_and_not_the_empty_set() -> None:
    true = np.array([[False, False], [True, False]])
    silent = LabelSets(true, np.zeros((2, 2), bool), np.array([False, False]))
    empty = LabelSets(true, np.zeros((2, 2), bool), np.array([True, True]))
    assert value(multilabel.exact(silent), 2) == 0 and value(multilabel.exact(empty), 2) == 0.5
    assert value(multilabel.label_accuracy(silent), 2) == 0
    assert value(multilabel.specificity(silent, 0), 2) == 0
    assert value(multilabel.micro_f1(silent), 2) == 0
    nothing = LabelSets(np.zeros((2, 2), bool), np.zeros((2, 2), bool), np.array([True, True]))
    assert np.isnan(value(multilabel.micro_f1(nothing), 2)) and np.isnan(
        value(multilabel.macro_f1(nothing), 2)
    )
    assert value(multilabel.exact(nothing), 2) == 1


def official(task: str, true: np.ndarray, score: np.ndarray) -> tuple[float, float]:
    """ACC and AUC by the definition of medmnist.evaluator, written out."""
    if task == "multi-label, binary-class":
        columns = range(true.shape[1])
        acc = np.mean([sk.accuracy_score(true[:, i], score[:, i] > 0.5) for i in columns])
        return float(acc), float(np.mean([sk.roc_auc_score(true[:, i], score[:, i]) for i in columns]))
    if task == "binary-class":
        return sk.accuracy_score(true, score[:, -1] > 0.5), sk.roc_auc_score(true, score[:, -1])
    areas = [sk.roc_auc_score(true == i, score[:, i]) for i in range(score.shape[1])]
    return sk.accuracy_score(true, score.argmax(axis=1)), float(np.mean(areas))


def both(kind: TaskKind, labels: tuple[str, ...], rows: list[Row]) -> list[float]:
    return [value(one, len(rows)) for one in medmnist_official.scores(kind, labels, rows)]


@pytest.mark.parametrize("seed", range(5))
def test_medmnist_figures_follow_the_evaluators_definition(seed: int) -> None:
    rows = random_rows(seed)[1:]  # all with a vote
    true = true_labels("grade", LABELS, rows).argmax(axis=1)
    shares = vote_shares("grade", LABELS, rows)
    assert both("grade", LABELS, rows) == pytest.approx(official("multi-class", true, shares))

    rng = np.random.default_rng(seed)
    drawn = zip(rng.integers(2, size=50).tolist(), rng.integers(1, 8, size=50).tolist(), strict=True)
    two = [row(LABELS[t], {LABELS[0]: 8 - v, LABELS[1]: v}, 8) for t, v in drawn]
    true, shares = true_labels("classify", LABELS[:2], two), vote_shares("classify", LABELS[:2], two)
    assert both("classify", LABELS[:2], two) == pytest.approx(official("binary-class", true[:, 1], shares))

    sets = [joined([label for label in LABELS if rng.random() < 0.5]) for _ in range(121)]
    several = [row(now, dict(Counter([now, now, before])), 3) for before, now in pairwise(sets)]
    several[::3] = [row(one.truth or "", {"mild": 3}, 3) for one in several[::3]]
    true, shares = true_labels("multilabel", LABELS, several), vote_shares("multilabel", LABELS, several)
    expected = official("multi-label, binary-class", true, shares)
    assert both("multilabel", LABELS, several) == pytest.approx(expected)


def test_medmnist_figures_without_samples_and_without_answers() -> None:

    rows = [
        replace(row(t, {}, 0), answer=a) for t, a in [("none", "none"), ("mild", "none"), ("severe", None)]
    ]
    acc, auc = both("grade", LABELS, rows)
    hard = np.array([[1, 0, 0], [1, 0, 0], [0, 0, 0]], float)
    assert auc == pytest.approx(official("multi-class", np.arange(3), hard)[1])
    assert acc == pytest.approx(1 / 3)
    silent = [replace(one, truth="none", answer=None) for one in rows]
    acc, auc = both("grade", LABELS, silent)
    assert acc == 0 and np.isnan(auc)  # the evaluator would call silence the first class


@pytest.mark.parametrize("seed", range(3))
def test_medmnist_figures_equal_the_package(seed: int) -> None:
    evaluator = pytest.importorskip("medmnist.evaluator", reason="the extra `medmnist` is not installed")
    rows = random_rows(seed)[1:]
    true = true_labels("grade", LABELS, rows).argmax(axis=1)[:, None]
    shares = vote_shares("grade", LABELS, rows)
    task = "multi-class"
    expected = [evaluator.getACC(true, shares, task), evaluator.getAUC(true, shares, task)]
    assert both("grade", LABELS, rows) == pytest.approx(expected)
