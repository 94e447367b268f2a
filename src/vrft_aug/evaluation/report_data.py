"""The report: metrics with intervals, a row a case, and what all of it rests on; to and from JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from vrft_aug.errors import UserError, first_fault
from vrft_aug.evaluation.blind import Blind
from vrft_aug.evaluation.meanings import MEANINGS, Meaning
from vrft_aug.evaluation.metrics import curves
from vrft_aug.evaluation.metrics.bootstrap import Metric, measure
from vrft_aug.evaluation.metrics.case_metrics import CaseMetric
from vrft_aug.evaluation.metrics.case_rows import Row, make_rows
from vrft_aug.evaluation.metrics.catalogue import (
    Key,
    class_numbers,
    groups,
    ranked_boxes,
    right_cases,
    statistics,
    were_sampled,
)
from vrft_aug.evaluation.metrics.classification import confusion
from vrft_aug.evaluation.metrics.curves import Curves
from vrft_aug.evaluation.metrics.question_slices import Slice, slices
from vrft_aug.evaluation.metrics.stated import stated_confidence
from vrft_aug.evaluation.metrics.votes import majorities
from vrft_aug.evaluation.provenance import Provenance
from vrft_aug.files import write_text
from vrft_aug.knowledge.bank_schema import KnowledgeBank
from vrft_aug.nouns import Answer, Case, Prompt, Rollout, Task, TaskKind

# Metrics that have a label, but are no metrics of a class: `failures` and `curves` hold them.
ELSEWHERE = ("failed", "sensitivity_from", "specificity_from", "auroc_from", "pass_at")


@dataclass(frozen=True)
class Report:
    """How a model did on a split of a task.

    Args:
        task: its name, with its `kind` and `labels`.
        kind: see task.
        labels: see task.
        split: train, validation or test.
        metrics: by the names of `meanings`.
        per_class: label -> name -> metric.
        failures: reason -> share of the cases without a readable answer.
        confusion: (classes, classes + 1) counts, truth by row, answer by column, "no answer" last; None where
            the task has no single label.
        rows: one a case; all metrics can be computed from them again.
        left_out: cases whose target does not hold what the task asks for.
        seed: of the bootstrap and the sampling.
        bootstrap: replicates.
        provenance: hashes of recipe, data and model, and versions.
        medmnist: with the figures of MedMNIST's official evaluator.
        curves: the points that pages draw.
        named: how the metrics that the recipe names are read.
        slices: the cases told apart by what the data says of their questions.
        notes: sentences on what could not be measured.
    """

    task: str
    kind: TaskKind
    labels: tuple[str, ...]
    split: str
    metrics: Mapping[str, Metric]
    per_class: Mapping[str, Mapping[str, Metric]]
    failures: Mapping[str, Metric]
    confusion: tuple[tuple[int, ...], ...] | None
    rows: tuple[Row, ...]
    left_out: int
    seed: int
    bootstrap: int
    provenance: Provenance
    medmnist: bool = False
    curves: Curves = field(default_factory=Curves)
    named: Mapping[str, Meaning] = field(default_factory=dict)
    slices: tuple[Slice, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def meanings(self) -> Mapping[str, Meaning]:
        """How every metric of the report is called and read, by name."""
        return {**MEANINGS, **self.named}


def build_report(
    task: Task,
    cases: Sequence[Case],
    answers: Sequence[Answer],
    rollouts: Sequence[Rollout],
    sampled: Sequence[Sequence[Answer]] | None,
    *,
    seed: int,
    bootstrap: int,
    split: str,
    provenance: Provenance,
    prompts: Sequence[Prompt] | None = None,
    bank: KnowledgeBank | None = None,
    medmnist: bool = False,
    metrics: Sequence[CaseMetric] = (),
    blind: Blind | None = None,
) -> Report:
    """Judge greedy answers (one a case, with the rollouts they were parsed from) and sampled ones, if any.

    `prompts` tell what knowledge the reasoning may have recited, `bank` what it may be checked by; `medmnist`
    adds the official figures, `metrics` those that the recipe names; `blind` are the answers of policies that
    do not see the pictures.

    Raises UserError where no case has what the task asks for.
    """
    unseen = blind.answers if blind is not None else None
    rows = make_rows(task, cases, answers, rollouts, sampled, prompts, bank, metrics, unseen)
    if not rows:
        raise UserError(
            f"task {task.name!r}: none of the {len(cases)} cases of split {split!r} has a target of kind "
            f"{task.kind!r}; check the split and the columns or annotations that the recipe names"
        )
    named = {metric.name: metric.meaning for metric in metrics}
    found = statistics(task.kind, task.labels, rows, medmnist, named)
    measured = measure(found, groups(rows), replicates=bootstrap, seed=seed)
    per_class: dict[str, dict[str, Metric]] = {}
    for (name, label), metric in measured.items():
        if label and name not in ELSEWHERE:
            per_class.setdefault(label, {})[name] = metric
    return Report(
        task=task.name,
        kind=task.kind,
        labels=task.labels,
        split=split,
        metrics={name: metric for (name, label), metric in measured.items() if not label},
        per_class=per_class,
        failures={reason: metric for (name, reason), metric in measured.items() if name == "failed"},
        confusion=_confusion(task, rows),
        rows=tuple(rows),
        left_out=len(cases) - len(rows),
        seed=seed,
        bootstrap=bootstrap,
        provenance=provenance,
        medmnist=medmnist,
        curves=_curves(task, rows, measured),
        named=named,
        slices=slices(task.kind, rows, replicates=bootstrap, seed=seed),
        notes=blind.notes if blind is not None else (),
    )


def save_report(report: Report, path: Path) -> None:
    """Write as JSON, whole or not at all."""
    write_text(path, _json().dump_json(report, indent=1).decode() + "\n")


def load_report(path: Path) -> Report:
    """Read what `save_report` wrote; raises UserError where there is no such file or it is something else."""
    try:
        return _json().validate_json(path.read_bytes())
    except OSError:
        raise UserError(f"{path} cannot be read; expected the report that `vrft evaluate` writes") from None
    except ValidationError as error:
        raise UserError(
            f"{path}: {first_fault(error)}; expected a report of this version, run `vrft evaluate` again"
        ) from None


@cache
def _json() -> TypeAdapter[Report]:
    return TypeAdapter(Report)


def _curves(task: Task, rows: Sequence[Row], measured: Mapping[Key, Metric]) -> Curves:
    if task.kind == "localise":
        return Curves(froc=curves.froc_points(ranked_boxes(rows)))
    below = curves.thresholds(measured, task.labels)
    own = Curves(thresholds=below)
    sure = stated_confidence(rows, right_cases(task.kind, rows))
    if sure.voted.any():
        own = replace(
            own, stated_reliability=curves.reliability(sure), stated_risk=curves.risk_coverage(sure)
        )
    if not were_sampled(rows):
        return own
    votes = majorities(task.kind, task.labels if task.kind in ("classify", "grade") else (), rows)
    return replace(
        own,
        reliability=curves.reliability(votes),
        risk_coverage=curves.risk_coverage(votes),
        pass_at=curves.pass_points(measured),
    )


def _confusion(task: Task, rows: Sequence[Row]) -> tuple[tuple[int, ...], ...] | None:
    if task.kind not in ("classify", "grade"):
        return None
    truth = class_numbers(task.labels, [row.truth for row in rows])
    answer = class_numbers(task.labels, [row.answer for row in rows])
    return tuple(tuple(int(n) for n in line) for line in confusion(truth, answer, len(task.labels)))
