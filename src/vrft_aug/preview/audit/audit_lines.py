"""An audit in plain text."""

from __future__ import annotations

from collections.abc import Iterator

from vrft_aug.preview.audit.audited import Finding, plural
from vrft_aug.preview.audit.model_sizes import Seen, Spread
from vrft_aug.preview.audit.saved_audit import Audit, TaskAudit

AUCS = 3  # nuisances of a task that are shown, the highest first


def audit_lines(audit: Audit) -> Iterator[str]:
    """The counts of every task, then the findings, the worst first."""
    for task in audit.tasks:
        yield from task_lines(task)
    for finding in audit.findings:
        yield from finding_lines(finding)
    yield summary(audit)


def summary(audit: Audit) -> str:
    """One line of counts."""
    counts = ", ".join(f"{len(audit.of_level(level))} {level}" for level in ("wrong", "warning", "note"))
    accepted = sum(one.accepted for one in audit.findings)
    more = f", {accepted} accepted" if accepted else ""
    return f"{audit.name}: {plural(audit.pictures, 'picture')} opened; findings: {counts}{more}"


def task_lines(task: TaskAudit) -> Iterator[str]:
    """Splits, labels, kinds of pictures, what the model sees, nuisances."""
    splits = ", ".join(f"{one.split} {one.cases:,}" for one in task.splits)
    patients = sum(one.patients for one in task.splits)
    known = plural(patients, "patient") if patients else "no patients known"
    yield f"{task.name} ({task.kind}): {splits}; {known}; {plural(task.pictures, 'picture')}"
    for one in task.splits:
        if one.labels:
            counts = ", ".join(f"{label} {count:,}" for label, count in one.labels.items())
            yield f"  {one.split}: {counts}"
    if task.kinds:
        yield "  files: " + ", ".join(f"{kind} {count:,}" for kind, count in task.kinds.items())
    if task.seen is not None:
        yield "  " + seen_text(task.seen)
        for lesion in task.seen.lesions:
            yield (
                f"  boxes of {lesion.label}: {lesion.boxes:,}, {spread_text(lesion.side)} visual tokens a "
                f"side, {lesion.below:,} smaller than one"
            )
    for auc in task.shortcuts[:AUCS]:
        yield f"  nuisance: {auc}"


def finding_lines(finding: Finding) -> Iterator[str]:
    """The finding, its examples, and what to do."""
    level = "accepted" if finding.accepted else finding.level
    yield f"{level}: {finding.name} ({finding.task}): {finding.what}"
    for example in finding.examples:
        yield "  " + ": ".join(filter(None, (", ".join(example.cases), example.text)))
    yield f"  {finding.advice}"


def seen_text(seen: Seen) -> str:
    """What the model sees, in a sentence."""
    return (
        f"pictures {spread_text(seen.width, 0)} x {spread_text(seen.height, 0)} pixels; the model sees "
        f"{spread_text(seen.scale)} of their sides, in {spread_text(seen.tokens, 0)} visual tokens a case"
    )


def spread_text(spread: Spread, digits: int = 2) -> str:
    """`12`, or `12 (4 to 20)`: the median, and a tenth and nine tenths where these differ."""
    low, median, high = (f"{value:.{digits}f}" for value in (spread.low, spread.median, spread.high))
    return median if low == high else f"{median} ({low} to {high})"
