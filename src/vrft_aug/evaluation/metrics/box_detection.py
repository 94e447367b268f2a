"""Metrics of boxes. A case without a readable answer is None: no boxes at all, and an IoU of 0.

Average precision needs a confidence for every box. A language model gives none, so `ranks` takes the order in
which an answer names its boxes, and `agreement`, where further answers were sampled, the share of these that
name the box too. Boxes of equal confidence enter together: the order of cases has no influence.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vrft_aug.evaluation.metrics.bootstrap import Floats, Statistic, divide, mean_of_defined, ratio
from vrft_aug.nouns import Box
from vrft_aug.perception.matching import iou_matrix, match, matched_iou

Boxes = tuple[Box, ...]
HIT = 0.5  # IoU from which a box counts as found
RECALLS = np.linspace(0.0, 1.0, 101)
FALSE_RATES = (1 / 8, 1 / 4, 1 / 2, 1, 2, 4, 8)  # false boxes an image, as in LUNA16 and CAMELYON16


def mean_iou(predicted: Sequence[Boxes | None], true: Sequence[Boxes]) -> Statistic:
    """Matched IoU over the larger number of boxes, averaged over cases; an empty picture left empty is 1."""
    pairs = zip(predicted, true, strict=True)
    return ratio([0.0 if p is None else matched_iou(p, t) for p, t in pairs])


def found(predicted: Sequence[Boxes | None], true: Sequence[Boxes], label: str | None = None) -> Statistic:
    """Share of the true boxes (of a label) that a box of its own covers with an IoU of 0.5 or more."""
    hits, boxes = [], []
    for p, t in zip(predicted, true, strict=True):
        wanted = [label is None or box.label == label for box in t]
        hits.append(sum(wanted[j] for _, j, iou in match(p or (), t) if iou >= HIT))
        boxes.append(sum(wanted))
    return ratio(hits, boxes)


def false_boxes(predicted: Sequence[Boxes | None], true: Sequence[Boxes]) -> Statistic:
    """Boxes per case that find nothing; lower is better, and only of use beside `found`."""
    pairs = zip(predicted, true, strict=True)
    wrong = [len(p or ()) - sum(iou >= HIT for _, _, iou in match(p or (), t)) for p, t in pairs]
    return ratio(wrong)


@dataclass(frozen=True)
class RankedBoxes:
    """All predicted boxes (N,) of a data set from the highest confidence down; equal ones are one step.

    Per case, boxes are matched in the order of their confidence, each to the free true box that it overlaps
    most, from an IoU of 0.5.
    """

    case: NDArray[np.intp]
    hit: Floats
    confidence: Floats
    ends: NDArray[np.intp]  # the last box of every step
    positives: Floats  # true boxes of each case (n,)

    @classmethod
    def of(
        cls,
        predicted: Sequence[Boxes | None],
        confidence: Sequence[Sequence[float]],
        true: Sequence[Boxes],
        label: str | None = None,
    ) -> RankedBoxes:
        """Of one label; None: of boxes whatever their label."""
        boxes: list[tuple[float, int, bool]] = []  # confidence, case, hit
        positives = np.zeros(len(true))
        for case, (p, c, t) in enumerate(zip(predicted, confidence, true, strict=True)):
            wanted = [box for box in t if label is None or box.label == label]
            positives[case] = len(wanted)
            named = [(s, box) for s, box in zip(c, p or (), strict=True) if label in (None, box.label)]
            named.sort(key=lambda pair: -pair[0])
            hits = _greedy_hits([box for _, box in named], wanted)
            boxes += [(score, case, hit) for (score, _), hit in zip(named, hits, strict=True)]
        boxes.sort(key=lambda one: -one[0])
        scores = np.array([score for score, _, _ in boxes])
        last = np.append(scores[1:] != scores[:-1], True) if boxes else np.empty(0, bool)
        return cls(
            case=np.array([case for _, case, _ in boxes], dtype=np.intp),
            hit=np.array([hit for _, _, hit in boxes], dtype=np.float64),
            confidence=scores,
            ends=np.flatnonzero(last),
            positives=positives,
        )

    def so_far(self, weights: Floats) -> tuple[Floats, Floats]:
        """How many boxes hit and how many were named down to each step, both (replicates, steps)."""
        times = weights[:, self.case]
        hits, named = np.cumsum(times * self.hit, axis=1), np.cumsum(times, axis=1)
        return hits[:, self.ends], named[:, self.ends]


def average_precision(boxes: RankedBoxes) -> Statistic:
    """AP at IoU 0.5, 101-point interpolated as in COCO; undefined where there is no true box.

    n is the number of true boxes.
    """

    def of(weights: Floats) -> Floats:
        hits, named = boxes.so_far(weights)
        precision = np.nan_to_num(divide(hits, named))
        best_from_here = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]
        total = weights @ boxes.positives
        return np.array(
            [_interpolated(h / t, p) if t else np.nan for h, p, t in zip(hits, best_from_here, total)]  # noqa: B905 (arrays)
        )

    return Statistic(of, round(float(boxes.positives.sum())))


def froc(boxes: RankedBoxes) -> Statistic:
    """Mean sensitivity where at most 1/8, 1/4, 1/2, 1, 2, 4 and 8 boxes an image are false (FROC score).

    A box is false where it finds nothing, or what another has found. Undefined where there is no true box.
    """

    def of(weights: Floats) -> Floats:
        hits, named = boxes.so_far(weights)
        start = np.zeros((len(weights), 1))  # before any box: nothing found, nothing false
        sensitivity = divide(np.hstack([start, hits]), (weights @ boxes.positives)[:, None] + 0 * start)
        false = np.hstack([start, named - hits]) / weights.sum(axis=1, keepdims=True)
        allowed = [np.where(false <= rate, sensitivity, 0.0).max(axis=1) for rate in FALSE_RATES]
        return np.where(weights @ boxes.positives > 0, np.mean(allowed, axis=0), np.nan)

    return Statistic(of, round(float(boxes.positives.sum())))


def mean_average_precision(per_label: Sequence[Statistic]) -> Statistic:
    """Mean over the labels that have true boxes."""
    return Statistic(
        lambda weights: mean_of_defined(np.stack([ap.of(weights) for ap in per_label], axis=-1)),
        sum(ap.n for ap in per_label),
    )


def ranks(boxes: Boxes) -> tuple[float, ...]:
    """Confidence by order alone: 1, 1/2, 1/3, ..."""
    return tuple(1 / (place + 1) for place in range(len(boxes)))


def agreement(boxes: Boxes, samples: Sequence[Boxes | None]) -> tuple[float, ...]:
    """For each box the share of sampled answers with a box matched to it at an IoU of 0.5 or more."""
    times = np.zeros(len(boxes))
    for sample in samples:
        for i, _, iou in match(boxes, sample or ()):
            times[i] += iou >= HIT
    return tuple((times / max(1, len(samples))).tolist())


def _greedy_hits(ranked: Sequence[Box], true: Sequence[Box]) -> list[bool]:
    iou = iou_matrix(ranked, true)
    hits = []
    for row in iou:
        best = int(row.argmax()) if len(row) else -1
        hits.append(best >= 0 and bool(row[best] >= HIT))
        if hits[-1]:
            iou[:, best] = 0.0  # taken
    return hits


def _interpolated(recall: Floats, best_precision: NDArray[np.float64]) -> float:
    """Mean over 101 recalls of the best precision at that recall or beyond, 0 where it is never reached."""
    first = np.searchsorted(recall, RECALLS, side="left")
    return float(np.append(best_precision, 0.0)[first].mean())
