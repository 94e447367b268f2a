"""What tells a label without a look at the lesion: does a nuisance alone predict it?

For each family of nuisances (the picture's size, its file, its brightness, its border, its JPEG quality,
burned-in marks) a small forest is trained to tell the labels from that family alone, cross-validated in five
parts in which copies and pictures of a patient stay together. Its AUC on held-out cases, with a bootstrap
interval by patient, says how far the nuisance goes. Brightness may be a sign of the disease: a shortcut is a
suspicion.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

import numpy as np
from numpy.typing import NDArray

from vrft_aug.evaluation.metrics.bootstrap import measure
from vrft_aug.evaluation.metrics.votes import auroc
from vrft_aug.preview.audit.audited import AuditedTask, Finding
from vrft_aug.preview.audit.duplicate_findings import near_cases
from vrft_aug.preview.audit.label_findings import labels_of
from vrft_aug.preview.audit.picture_facts import PictureFacts

TOLD, SURE = 0.75, 0.65  # an AUC, and the lower end of its interval, from which it is a finding
FEWEST = 10  # groups with, and as many without, a label
MOST = 4000  # cases that are looked at, drawn with a fixed seed
FOLDS, TREES, REPLICATES = 5, 50, 500
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class NuisanceAuc:
    """How well one family of nuisances tells one label from the others."""

    nuisance: str
    label: str
    auc: float
    low: float | None  # of the 95 % interval
    high: float | None
    cases: int

    @property
    def told(self) -> bool:
        """Whether it is a shortcut worth telling."""
        return self.auc >= TOLD and self.low is not None and self.low >= SURE

    def __str__(self) -> str:
        interval = f" [{self.low:.2f}, {self.high:.2f}]" if self.low is not None else ""
        return f"{self.nuisance} tells {self.label} with an AUC of {self.auc:.2f}{interval}"


def nuisance_aucs(data: AuditedTask) -> list[NuisanceAuc]:
    """Of every family that varies and every label with enough cases, the highest first; [] for texts."""
    if data.task.kind in ("choice", "answer"):
        return []
    usable = [
        place
        for place, shown in enumerate(data.shown)
        if shown and data.pictures.facts[shown[0]].error is None
    ]
    chosen = sorted(Random(0).sample(usable, min(MOST, len(usable))))
    groups = _groups(data)
    owners = [groups[place] for place in chosen]
    facts = [data.pictures.facts[data.shown[place][0]] for place in chosen]
    labels = [labels_of(data.cases[place].target, data.task.kind) for place in chosen]
    truths = {label: np.array([label in one for one in labels]) for label in data.task.labels}
    truths = {label: truth for label, truth in truths.items() if _enough(truth, owners)}
    found = []
    for nuisance, columns in nuisances(facts).items():
        if not truths or not (np.ptp(columns, axis=0) > 0).any():
            continue
        scores = _held_out(columns, np.stack(list(truths.values()), axis=1), owners)
        for (label, truth), score in zip(truths.items(), scores.T, strict=True):
            metric = measure({"auc": auroc(truth, score)}, owners, replicates=REPLICATES, seed=0)["auc"]
            if metric.value is not None:
                value = round(metric.value, 3)
                found.append(NuisanceAuc(nuisance, label, value, metric.low, metric.high, len(chosen)))
    return sorted(found, key=lambda one: -one.auc)


def shortcut_findings(data: AuditedTask, measured: Sequence[NuisanceAuc]) -> list[Finding]:
    """One finding for all shortcuts of a task, or none."""
    told = [one for one in measured if one.told]
    if not told:
        return []
    what = f"{told[0]}, without a look at what is in the picture"
    return [data.finding("shortcut", len(told), what, (data.example(str(one)) for one in told))]


def nuisances(facts: Sequence[PictureFacts]) -> dict[str, Floats]:
    """Family -> (pictures, features)."""
    suffixes = sorted({(one.suffix, one.format, one.mode, str(one.bits)) for one in facts})
    quality = [one.quality or 0 for one in facts]
    columns = {
        "size": [(*one.size, one.size[0] / max(1, one.size[1])) for one in facts],
        "file": [
            [(one.suffix, one.format, one.mode, str(one.bits)) == kind for kind in suffixes] for one in facts
        ],
        "file size": [(one.length, one.length / max(1, one.size[0] * one.size[1])) for one in facts],
        "JPEG quality": [(value,) for value in quality],
        "brightness": [(one.mean, one.spread, one.span, one.dark, one.bright, one.colour) for one in facts],
        "border": [one.border for one in facts],
        "burned-in marks": [(one.letters,) for one in facts],
    }
    return {name: np.array(values, dtype=np.float64) for name, values in columns.items()}


def _enough(truth: NDArray[np.bool_], owners: Sequence[int]) -> bool:
    with_it = {owner for owner, is_true in zip(owners, truth, strict=True) if is_true}
    without = {owner for owner, is_true in zip(owners, truth, strict=True) if not is_true}
    return min(len(with_it), len(without)) >= FEWEST


def _held_out(columns: Floats, truths: NDArray[np.bool_], owners: Sequence[int]) -> Floats:
    """(cases, labels): the forest's score of each case in the part that it was not trained on."""
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.model_selection import GroupKFold, StratifiedGroupKFold

    scores = np.zeros(truths.shape)
    single = bool((truths.sum(axis=1) == 1).all())
    strata = truths.argmax(axis=1) if single else truths @ (1 << np.arange(truths.shape[1]))
    splitter = StratifiedGroupKFold(FOLDS, shuffle=True, random_state=0) if single else GroupKFold(FOLDS)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # a label with fewer cases than parts
        parts = list(splitter.split(columns, strata, owners))
    for train, test in parts:
        leaf = max(3, len(train) // 100)
        forest = RandomForestClassifier(TREES, min_samples_leaf=leaf, random_state=0)
        one = truths.shape[1] == 1
        forest.fit(columns[train], truths[train, 0] if one else truths[train])
        told, seen = forest.predict_proba(columns[test]), forest.classes_
        for label, (part, classes) in enumerate(
            zip([told] if one else told, [seen] if one else seen, strict=True)
        ):
            scores[test, label] = part[:, list(classes).index(True)] if True in classes else 0.0
    return scores


def _groups(data: AuditedTask) -> list[int]:
    """A number for each case; the same for cases of a patient and for copies of a picture."""
    parent = list(range(len(data.cases)))

    def top(place: int) -> int:
        while parent[place] != place:
            parent[place] = parent[parent[place]]
            place = parent[place]
        return place

    first: dict[str, int] = {}
    for place, case in enumerate(data.cases):
        if case.patient:
            parent[top(place)] = top(first.setdefault(case.patient, place))
    for members in data.cases_of.values():
        for place in members[1:]:
            parent[top(place)] = top(members[0])
    for _, firsts, seconds in near_cases(data):
        parent[top(firsts[0])] = top(seconds[0])
    return [top(place) for place in range(len(parent))]
