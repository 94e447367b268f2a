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
    iou[_other_label(a, b)] = 0.0
    return iou


def match(predicted: Sequence[Box], true: Sequence[Box]) -> list[tuple[int, int, float]]:
    """The one-to-one matching with the greatest sum of IoU, as (predicted, true, IoU); overlaps only."""
    iou = iou_matrix(predicted, true)
    rows, columns = linear_sum_assignment(iou, maximize=True)
    return [(int(i), int(j), float(iou[i, j])) for i, j in zip(rows, columns, strict=True) if iou[i, j] > 0]


def hits(predicted: Sequence[Box], true: Sequence[Box], threshold: float) -> list[tuple[int, int, float]]:
    """The matching with the most pairs of at least `threshold` IoU, and of these the greatest sum of IoU."""
    iou = iou_matrix(predicted, true)
    hit = (iou >= threshold) & (iou > 0)
    # A pair is worth more than all IoU together, which is at most the number of pairs.
    rows, columns = linear_sum_assignment(np.where(hit, iou + min(iou.shape) + 1, 0.0), maximize=True)
    return [(int(i), int(j), float(iou[i, j])) for i, j in zip(rows, columns, strict=True) if hit[i, j]]


def matched_iou(predicted: Sequence[Box], true: Sequence[Box]) -> float:
    """Sum of matched IoU over the larger number of boxes, 0 to 1; no boxes where there are none is 1."""
    if not predicted and not true:
        return 1.0
    total = sum(iou for _, _, iou in match(predicted, true))
    return min(1.0, total / max(len(predicted), len(true)))  # the sum may exceed its bound by rounding


def matched_nearness(predicted: Sequence[Box], true: Sequence[Box]) -> float:
    """As `matched_iou`, with the nearness of boxes in place of their IoU."""
    if not predicted and not true:
        return 1.0
    near = nearness_matrix(predicted, true)
    rows, columns = linear_sum_assignment(near, maximize=True)
    return min(1.0, float(near[rows, columns].sum()) / max(len(predicted), len(true)))


def nearness_matrix(a: Sequence[Box], b: Sequence[Box]) -> NDArray[np.float64]:
    """How near boxes are, (len(a), len(b)), 0 to 1: the normalised Wasserstein distance, exp(-W / s).

    W is the Wasserstein-2 distance of the Gaussians that boxes stand for (Wang et al., "A Normalized Gaussian
    Wasserstein Distance for Tiny Object Detection", arXiv 2110.13389), s the root of the smaller box's area
    in place of their constant, so that nearness knows no scale and a box far too large is not near. Equal
    boxes have 1; equal squares that only touch at a side have 1/e. 0 for other labels and boxes without area.
    """
    first, second = _corners(a), _corners(b)
    sizes = [box[:, 2:] - box[:, :2] for box in (first, second)]
    centres = [(box[:, 2:] + box[:, :2]) / 2 for box in (first, second)]
    apart = ((centres[0][:, None] - centres[1][None]) ** 2).sum(axis=-1)
    unlike = ((sizes[0][:, None] - sizes[1][None]) ** 2).sum(axis=-1) / 4
    areas = [np.array([box.area for box in boxes], dtype=np.float64) for boxes in (a, b)]
    smaller = np.sqrt(np.minimum(areas[0][:, None], areas[1][None]))
    ratio = np.divide(np.sqrt(apart + unlike), smaller, out=np.full_like(smaller, np.inf), where=smaller > 0)
    near: NDArray[np.float64] = np.where(_other_label(a, b), 0.0, np.exp(-ratio))
    return near


def _other_label(a: Sequence[Box], b: Sequence[Box]) -> NDArray[np.bool_]:
    """Where both boxes have a label and the labels differ, (len(a), len(b))."""
    differ = [[None not in (one.label, other.label) and one.label != other.label for other in b] for one in a]
    return np.array(differ, dtype=np.bool_).reshape(len(a), len(b))


def _corners(boxes: Sequence[Box]) -> NDArray[np.float64]:
    return np.array([(box.x1, box.y1, box.x2, box.y2) for box in boxes], dtype=np.float64).reshape(-1, 4)
