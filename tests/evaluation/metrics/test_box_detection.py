"""Metrics of boxes against figures made by hand, and AP50 against scikit-learn's curve."""

from collections.abc import Sequence
from contextlib import redirect_stdout
from io import StringIO
from typing import TypeVar

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import precision_recall_curve, roc_curve

from vrft_aug.evaluation.metrics import box_detection as bm
from vrft_aug.evaluation.metrics.bootstrap import Statistic
from vrft_aug.evaluation.metrics.curves import froc_points
from vrft_aug.nouns import Box
from vrft_aug.perception.matching import iou_matrix, match, matched_iou

UNIT = Box(0, 0, 10, 10)


def far(i: int, label: str | None = None) -> Box:
    """Boxes that overlap no other."""
    return Box(100 * i, 0, 100 * i + 10, 10, label)


T = TypeVar("T")
Predicted = Sequence[bm.Boxes | None]  # None: unanswered
Confidence = Sequence[tuple[float, ...]]


def value(statistic: Statistic, n: int) -> float:
    return float(statistic.of(np.ones((1, n)))[0])


def average_precision(
    predicted: Predicted, confidence: Confidence, true: Sequence[bm.Boxes], label: str | None = None
) -> Statistic:
    return bm.average_precision(bm.RankedBoxes.of(predicted, confidence, true, label))


def test_iou_by_hand() -> None:
    iou = iou_matrix([UNIT, Box(0, 0, 0, 0)], [UNIT, Box(5, 0, 15, 10), Box(10, 0, 20, 10), Box(0, 0, 5, 10)])
    assert iou[0].tolist() == pytest.approx([1, 1 / 3, 0, 1 / 2])
    assert iou[1].tolist() == [0, 0, 0, 0]
    assert iou_matrix([], [UNIT]).shape == (0, 1)


def test_boxes_with_different_labels_do_not_match() -> None:
    assert match([Box(0, 0, 1, 1, "a")], [Box(0, 0, 1, 1, "b")]) == []
    assert match([Box(0, 0, 1, 1, "a")], [Box(0, 0, 1, 1)]) == [(0, 0, 1.0)]


def test_matching_takes_the_best_sum_and_each_box_once() -> None:
    left, right = Box(0, 0, 10, 10), Box(4, 0, 14, 10)
    between = Box(2, 0, 12, 10)  # overlaps both; greedy on the first would leave the second empty
    assert {(i, j) for i, j, _ in match([between, left], [left, right])} == {(0, 1), (1, 0)}
    assert matched_iou([UNIT, UNIT, UNIT, UNIT], [UNIT]) == 1 / 4


box = st.tuples(*[st.integers(0, 30)] * 4).map(
    lambda c: Box(min(c[0], c[2]), min(c[1], c[3]), max(c[0], c[2]) + 1, max(c[1], c[3]) + 1)
)


@settings(max_examples=50, deadline=None)
@given(st.lists(box, max_size=5), st.lists(box, max_size=5))
def test_matched_iou_is_a_symmetric_share(a: list[Box], b: list[Box]) -> None:
    assert 0 <= matched_iou(a, b) <= 1
    assert matched_iou(a, b) == pytest.approx(matched_iou(b, a))
    assert matched_iou(a, a) == 1


def test_mean_iou_found_and_false_boxes_by_hand() -> None:
    true = [(far(1), far(2)), (), (), (far(3),)]
    predicted = [(far(1), far(9)), (), None, None]
    assert value(bm.mean_iou(predicted, true), 4) == pytest.approx((0.5 + 1 + 0 + 0) / 4)
    assert value(bm.found(predicted, true), 4) == pytest.approx(1 / 3)
    assert bm.found(predicted, true).n == 3
    assert value(bm.false_boxes(predicted, true), 4) == pytest.approx(1 / 4)


def test_found_of_a_label() -> None:
    true = [(far(1, "a"), far(2, "b"))]
    predicted = [(far(1, "a"), far(2, "a"))]
    assert value(bm.found(predicted, true, "a"), 1) == 1
    assert value(bm.found(predicted, true, "b"), 1) == 0
    assert np.isnan(value(bm.found(predicted, true, "c"), 1))


def test_average_precision_by_hand() -> None:
    # Ranked: hit, miss, hit; four true boxes. Precision 1 up to recall 1/4, then 2/3 up to 1/2, then 0:
    # 26 recalls (0 .. 0.25) at 1, 25 (0.26 .. 0.50) at 2/3, 50 at 0.
    true = [(far(1), far(2)), (far(3), far(4))]
    predicted = [(far(1), far(9)), (far(3),)]
    ap = average_precision(predicted, [(0.9, 0.8), (0.7,)], true)
    assert value(ap, 2) == pytest.approx((26 + 25 * 2 / 3) / 101)
    assert ap.n == 4


def test_average_precision_of_perfect_none_and_nothing_to_find() -> None:
    true = [(far(1),), (far(2), far(3))]
    assert value(average_precision(true, [(1.0,), (1.0, 0.5)], true), 2) == 1
    assert value(average_precision([None, ()], [(), ()], true), 2) == 0
    assert np.isnan(value(average_precision([(far(1),)], [(1.0,)], [()]), 1))


def test_a_second_box_on_the_same_truth_is_false() -> None:
    ap = average_precision([(UNIT, UNIT)], [(0.5, 0.9)], [(UNIT, far(5))])
    assert value(ap, 1) == pytest.approx(51 / 101)  # recall 1/2 at precision 1; the repeat comes later


@pytest.mark.parametrize("seed", range(10))
def test_average_precision_equals_scikit_learns_curve_interpolated(seed: int) -> None:
    """Every box hits its own truth or nothing, so AP is that of a ranking, with some ties."""
    rng = np.random.default_rng(seed)
    n = 60
    hit, scores = rng.random(n) < 0.5, rng.integers(0, 20, size=n) / 20
    missed = 5
    true = [(far(1),) if h else () for h in hit] + [(far(1),)] * missed
    predicted: list[bm.Boxes | None] = [(far(1),) if h else (far(2),) for h in hit] + [None] * missed
    confidence = [(float(s),) for s in scores] + [()] * missed
    precision, recall, _ = precision_recall_curve(hit, scores)
    recall = recall * hit.sum() / (hit.sum() + missed)
    # the curve ends in an artificial point (recall 0, precision 1)
    expected = np.mean([max(precision[:-1][recall[:-1] >= r - 1e-12], default=0) for r in bm.RECALLS])
    assert value(average_precision(predicted, confidence, true), n + missed) == pytest.approx(expected)


def random_boxes(seed: int, images: int = 25) -> tuple[Predicted, Confidence, list[bm.Boxes]]:
    """Predicted boxes (some images unanswered or empty), their confidences (all different), true boxes."""
    rng = np.random.default_rng(seed)

    def box(label: str) -> Box:
        x, y, w, h = rng.integers(0, 80), rng.integers(0, 80), rng.integers(10, 50), rng.integers(10, 50)
        return Box(float(x), float(y), float(x + w), float(y + h), label)

    def near(b: Box) -> Box:
        dx, dy = rng.integers(-8, 9, size=2)
        return Box(b.x1 + dx, b.y1 + dy, b.x2 + dx, b.y2 + dy, b.label)

    true = [tuple(box("ab"[k % 2]) for k in range(rng.integers(0, 5))) for _ in range(images)]
    predicted: list[bm.Boxes | None] = []
    for boxes in true:
        noise = tuple(box("ab"[int(rng.integers(2))]) for _ in range(rng.integers(0, 3)))
        hits = tuple(near(b) for b in boxes if rng.random() < 0.8)
        again = tuple(near(b) for b in boxes if rng.random() < 0.2)
        predicted.append(None if rng.random() < 0.1 else noise + hits + again)
    count = sum(len(p or ()) for p in predicted)
    scores = iter((rng.permutation(count) + 1) / (count + 1))
    return predicted, [tuple(float(next(scores)) for _ in p or ()) for p in predicted], true


@pytest.mark.parametrize("seed", range(8))
def test_ap50_equals_pycocotools(seed: int) -> None:
    predicted, confidence, true = random_boxes(seed)
    expected = coco_ap50(predicted, confidence, true)
    for label, ap in expected.items():
        assert value(average_precision(predicted, confidence, true, label), len(true)) == pytest.approx(ap)
    mean = bm.mean_average_precision([average_precision(predicted, confidence, true, x) for x in "ab"])
    assert value(mean, len(true)) == pytest.approx(np.mean(list(expected.values())))


def coco_ap50(predicted: Predicted, confidence: Confidence, true: list[bm.Boxes]) -> dict[str, float]:
    """AP at IoU 0.5 of either label, by the official code."""
    pytest.importorskip("pycocotools")
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    def corner(box: Box) -> list[float]:
        return [box.x1, box.y1, box.x2 - box.x1, box.y2 - box.y1]

    with redirect_stdout(StringIO()):
        truth = COCO()
        boxes = [(i, b) for i, image in enumerate(true) for b in image]
        truth.dataset = {
            "info": {}, "images": [{"id": i} for i in range(len(true))],
            "categories": [{"id": 1, "name": "a"}, {"id": 2, "name": "b"}],
            "annotations": [
                {"id": n + 1, "image_id": i, "category_id": "ab".index(str(b.label)) + 1, "bbox": corner(b),
                 "area": b.area, "iscrowd": 0}
                for n, (i, b) in enumerate(boxes)
            ],
        }  # fmt: skip
        truth.createIndex()
        found = truth.loadRes([
            {"image_id": i, "category_id": "ab".index(str(b.label)) + 1, "bbox": corner(b), "score": s}
            for i, (image, scores) in enumerate(zip(predicted, confidence, strict=True))
            for b, s in zip(image or (), scores, strict=True)
        ])  # fmt: skip
        judged = COCOeval(truth, found, "bbox")
        judged.params.iouThrs = np.array([0.5])
        judged.evaluate()
        judged.accumulate()
    precision = judged.eval["precision"]  # (threshold, recall, category, area, most boxes)
    return {label: float(precision[0, :, k, 0, -1].mean()) for k, label in enumerate("ab")}


@pytest.mark.parametrize("seed", range(8))
def test_froc_equals_scikit_learns_curve_scaled(seed: int) -> None:
    """Counts of hits and of false boxes by confidence are the ROC curve's, times what there is of either."""
    predicted, confidence, true = random_boxes(seed)
    boxes = bm.RankedBoxes.of(predicted, confidence, true)
    fpr, tpr, _ = roc_curve(boxes.hit, boxes.confidence, drop_intermediate=False)
    false = fpr * (boxes.hit == 0).sum() / len(true)
    found = tpr * boxes.hit.sum() / sum(map(len, true))
    expected = np.mean([found[false <= rate + 1e-12].max() for rate in bm.FALSE_RATES])
    assert value(bm.froc(boxes), len(true)) == pytest.approx(expected)
    points = froc_points(boxes)
    assert [p.false_per_image for p in points] == pytest.approx(false[1:].tolist())
    assert [p.sensitivity for p in points] == pytest.approx(found[1:].tolist())


def test_froc_by_hand_and_of_nothing() -> None:
    true = [(far(1), far(2)), ()]
    ranked = bm.RankedBoxes.of([(far(9), far(1)), (far(3),)], [(0.9, 0.8), (0.7,)], true)
    # Over two images: the first box is false (1/2 an image), the second finds one of two, the third is false.
    assert value(bm.froc(ranked), 2) == pytest.approx((0 + 0 + 5 * 0.5) / 7)
    assert value(bm.froc(bm.RankedBoxes.of([None, ()], [(), ()], true)), 2) == 0
    nothing = bm.RankedBoxes.of([(far(1),)], [(1.0,)], [()])
    assert np.isnan(value(bm.froc(nothing), 1)) and froc_points(nothing) == ()


def test_froc_weights_are_repeated_cases() -> None:
    predicted, confidence, true = random_boxes(3)
    times = np.random.default_rng(0).integers(3, size=len(true))

    def again(values: Sequence[T]) -> list[T]:
        return [v for v, t in zip(values, times, strict=True) for _ in range(t)]

    repeated = bm.RankedBoxes.of(again(predicted), again(confidence), again(true))
    weighted = bm.froc(bm.RankedBoxes.of(predicted, confidence, true)).of(times[None, :].astype(float))[0]
    assert weighted == pytest.approx(value(bm.froc(repeated), int(times.sum())))


def test_the_order_of_the_cases_has_no_influence() -> None:
    rng = np.random.default_rng(0)
    true = [(far(1),)] * 30
    predicted = [(far(1),) if rng.random() < 0.5 else (far(2), far(1)) for _ in range(30)]
    confidence = [bm.ranks(boxes) for boxes in predicted]
    forward = value(average_precision(predicted, confidence, true), 30)
    assert value(average_precision(predicted[::-1], confidence[::-1], true), 30) == forward


def test_mean_over_labels_leaves_out_those_without_boxes() -> None:
    true = [(far(1, "a"), far(2, "b"))]
    predicted = [(far(1, "a"), far(3, "b"), far(4, "c"))]
    parts = [average_precision(predicted, [(1.0, 0.5, 0.3)], true, label) for label in "abc"]
    assert value(bm.mean_average_precision(parts), 1) == 0.5


def test_weights_are_repeated_cases() -> None:
    rng = np.random.default_rng(3)
    true = [tuple(far(i) for i in range(rng.integers(0, 3))) for _ in range(12)]
    predicted = [tuple(far(int(i)) for i in rng.integers(0, 4, size=2)) for _ in range(12)]
    confidence = [tuple(rng.random(2)) for _ in range(12)]
    times = rng.integers(3, size=12)

    def again(values: Sequence[T]) -> list[T]:
        return [v for v, count in zip(values, times, strict=True) for _ in range(count)]

    weighted = average_precision(predicted, confidence, true).of(times[None, :].astype(float))[0]
    repeated = average_precision(again(predicted), again(confidence), again(true))
    assert weighted == pytest.approx(value(repeated, int(times.sum())))


def test_confidence() -> None:
    assert bm.ranks((UNIT, UNIT)) == (1, 0.5)
    samples = [(UNIT,), (far(1), UNIT), None, ()]
    assert bm.agreement((UNIT, far(1), far(2)), samples) == (0.5, 0.25, 0)
