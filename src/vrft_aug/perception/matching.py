"""Which predicted box stands for which true one: intersection over union, and one-to-one matching."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from vrft_aug.nouns import Box


def iou_matrix(a: Sequence[Box], b: Sequence[Box]) -> NDArray[np.float64]:
    """Intersection over union of every pair, (len(a), len(b)), 0 to 1; both in the same pixels.

    0 where both boxes have a label and the labels differ, and where a box has no area.
    """
    first, second = _corners(a), _corners(b)
    top_left = np.maximum(first[:, None, :2], second[None, :, :2])
    bottom_right = np.minimum(first[:, None, 2:], second[None, :, 2:])
    shared = np.clip(bottom_right - top_left, 0, None).prod(axis=-1)
    areas = np.array([box.area for box in a])[:, None] + np.array([box.area for box in b])[None, :] - shared
    iou: NDArray[np.float64] = np.divide(
        shared, areas, out=np.zeros_like(shared), where=(shared > 0) & (areas > 0)
    )
    for i, one in enumerate(a):
        for j, other in enumerate(b):
            if one.label is not None and other.label is not None and one.label != other.label:
                iou[i, j] = 0.0
    return iou


def match(predicted: Sequence[Box], true: Sequence[Box]) -> list[tuple[int, int, float]]:
    """The one-to-one matching with the greatest sum of IoU, as (predicted, true, IoU); overlaps only."""
    iou = iou_matrix(predicted, true)
    rows, columns = linear_sum_assignment(iou, maximize=True)
    return [(int(i), int(j), float(iou[i, j])) for i, j in zip(rows, columns, strict=True) if iou[i, j] > 0]


def matched_iou(predicted: Sequence[Box], true: Sequence[Box]) -> float:
    """Sum of matched IoU over the larger number of boxes, 0 to 1; no boxes where there are none is 1."""
    if not predicted and not true:
        return 1.0
    total = sum(iou for _, _, iou in match(predicted, true))
    return min(1.0, total / max(len(predicted), len(true)))  # the sum may exceed its bound by rounding


def _corners(boxes: Sequence[Box]) -> NDArray[np.float64]:
    return np.array([(box.x1, box.y1, box.x2, box.y2) for box in boxes], dtype=np.float64).reshape(-1, 4)
