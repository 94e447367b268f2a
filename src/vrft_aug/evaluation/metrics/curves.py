"""The curves of a report as plain points that a page draws; empty where task or samples have none."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from vrft_aug.evaluation.metrics.bootstrap import Metric
from vrft_aug.evaluation.metrics.box_detection import RankedBoxes
from vrft_aug.evaluation.metrics.votes import BINS, Majorities


@dataclass(frozen=True)
class Bin:
    """Cases whose majority has a share of the samples (or a confidence) above `low` and up to `high`."""

    low: float
    high: float
    confidence: float  # their mean share
    accuracy: float  # share of them whose majority is right
    n: int


@dataclass(frozen=True)
class RiskPoint:
    """Answering only where the majority has at least `confidence` of the samples."""

    confidence: float
    coverage: float  # share of the cases that are answered
    risk: float  # share of these that are wrong


@dataclass(frozen=True)
class Threshold:
    """Cases from `label` up (in the order of the grades) told from those below."""

    label: str
    sensitivity: Metric
    specificity: Metric
    auroc: Metric | None = None  # of the votes; None without samples


@dataclass(frozen=True)
class FrocPoint:
    """Counting only boxes of at least `confidence`."""

    confidence: float
    false_per_image: float
    sensitivity: float  # share of the true boxes that are found


@dataclass(frozen=True)
class PassPoint:
    """Chance that at least one of `k` samples is right."""

    k: int
    rate: Metric


@dataclass(frozen=True)
class Curves:
    """All curves of a report."""

    reliability: tuple[Bin, ...] = ()
    risk_coverage: tuple[RiskPoint, ...] = ()  # from the surest cases to all of them
    thresholds: tuple[Threshold, ...] = ()  # from the second grade to the last
    froc: tuple[FrocPoint, ...] = ()  # from the surest boxes to all of them
    pass_at: tuple[PassPoint, ...] = ()
    stated_reliability: tuple[Bin, ...] = ()  # as reliability, by the confidence that answers state
    stated_risk: tuple[RiskPoint, ...] = ()


def reliability(votes: Majorities) -> tuple[Bin, ...]:
    """Share of the samples against share right, by bins; bins without cases are left out."""
    edges = np.linspace(0, 1, BINS + 1)
    place = np.searchsorted(edges[1:-1], votes.share)
    bins = []
    for i in range(BINS):
        inside = votes.voted & (place == i)
        if inside.any():
            confidence, accuracy = float(votes.share[inside].mean()), float(votes.right[inside].mean())
            bins.append(Bin(float(edges[i]), float(edges[i + 1]), confidence, accuracy, int(inside.sum())))
    return tuple(bins)


def risk_coverage(votes: Majorities) -> tuple[RiskPoint, ...]:
    """One point for every share of the samples that a majority has."""
    points = []
    for share in np.unique(votes.share)[::-1]:
        kept = votes.share >= share
        points.append(RiskPoint(float(share), float(kept.mean()), float(1 - votes.right[kept].mean())))
    return tuple(points)


def thresholds(measured: Mapping[tuple[str, str], Metric], labels: Sequence[str]) -> tuple[Threshold, ...]:
    """From the measured `sensitivity_from`, `specificity_from` and `auroc_from` of the labels."""
    return tuple(
        Threshold(
            label,
            measured["sensitivity_from", label],
            measured["specificity_from", label],
            measured.get(("auroc_from", label)),
        )
        for label in labels
        if ("sensitivity_from", label) in measured
    )


def pass_points(measured: Mapping[tuple[str, str], Metric]) -> tuple[PassPoint, ...]:
    """From the measured `pass_at`, whose label is k."""
    return tuple(PassPoint(int(k), metric) for (name, k), metric in measured.items() if name == "pass_at")


def froc_points(boxes: RankedBoxes) -> tuple[FrocPoint, ...]:
    """One point for every confidence that boxes have; empty without true boxes."""
    once = np.ones((1, len(boxes.positives)))
    total = boxes.positives.sum()
    if not total:
        return ()
    (hits,), (named,) = boxes.so_far(once)
    steps = zip(boxes.confidence[boxes.ends], hits, named, strict=True)
    return tuple(
        FrocPoint(float(c), float((named - hit) / once.size), float(hit / total)) for c, hit, named in steps
    )
