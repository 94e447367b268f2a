"""The audit of a recipe's data: every case of every split read, every picture opened once, all findings.

Pictures are opened by one process a core and forgotten once they are measured. `quick_findings` are those
that need no picture; `vrft check` has them always.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from vrft_aug.data.open_all import on_all_cores, refuse_broken
from vrft_aug.errors import UserError
from vrft_aug.nouns import Case, ImageRef
from vrft_aug.perception.model_view import View, model_view
from vrft_aug.preview.audit import (
    box_findings,
    duplicate_findings,
    label_findings,
    patient_findings,
    picture_findings,
    row_findings,
)
from vrft_aug.preview.audit.audited import AuditedTask, Finding, Pictures
from vrft_aug.preview.audit.model_sizes import lost_detail, what_is_seen
from vrft_aug.preview.audit.near_search import near_pairs
from vrft_aug.preview.audit.picture_facts import PictureFacts, measure_picture, picture_key
from vrft_aug.preview.audit.saved_audit import Audit, SplitCount, TaskAudit
from vrft_aug.preview.audit.shortcuts import nuisance_aucs, shortcut_findings
from vrft_aug.preview.audit.task_reading import ReadTask, read_tasks
from vrft_aug.recipe.schema import Recipe

Progress = Callable[[str, int, int], None]  # (what is done, how many are done, of how many)
Finder = Callable[[AuditedTask], Iterable[Finding]]
# Without a look at a picture: files, labels, patients and boxes alone.
QUICK: tuple[Finder, ...] = (
    row_findings.bad_rows,
    duplicate_findings.copies_across_splits,
    patient_findings.patients_across_splits,
    label_findings.contradicting_labels,
    box_findings.slips,
)
FINDERS: tuple[Finder, ...] = (
    picture_findings.unusable,
    *QUICK,
    duplicate_findings.copies,
    duplicate_findings.altered_copies,
    label_findings.copies_that_disagree,
    patient_findings.series_across_splits,
    label_findings.spread_of_labels,
    picture_findings.burned_text,
    picture_findings.mixed_kinds,
    patient_findings.unknown_patients,
)
ORDER = {"wrong": 0, "warning": 1, "note": 2}


def _silent(what: str, done: int, of: int) -> None:
    """Tell nobody."""


def audit_tasks(
    name: str, tasks: Sequence[ReadTask], view: View, progress: Progress = _silent, strict: bool = False
) -> Audit:
    """Open every picture and look for everything; where `strict` raise UserError for broken pictures."""
    images, shown = _pictures(tasks)
    facts = []
    for one in on_all_cores(measure_picture, images):
        facts.append(one)
        progress("opening pictures", len(facts), len(images))
    if strict:
        refuse_broken(images, [one.error for one in facts])
    progress("looking for copies", 0, 1)
    pictures = Pictures(facts, near_pairs(facts))
    audited = [_audited(task, places, pictures) for task, places in zip(tasks, shown, strict=True)]
    findings: list[Finding] = []
    parts = []
    for number, (data, read) in enumerate(zip(audited, tasks, strict=True)):
        progress("looking at tasks", number, len(audited))
        measured, seen = nuisance_aucs(data), what_is_seen(data, view)
        findings += [finding for find in FINDERS for finding in find(data)]
        findings += [*shortcut_findings(data, measured), *lost_detail(data, seen)]
        parts.append(
            TaskAudit(
                name=data.task.name,
                kind=data.task.kind,
                splits=_counts(data),
                pictures=len({place for places in data.shown for place in places}),
                kinds=dict(Counter(picture_findings.kind_of(one) for _, one in _files(data)).most_common()),
                seen=seen,
                shortcuts=tuple(measured),
                notes=read.notes,
            )
        )
    findings += duplicate_findings.copies_across_tasks(audited)
    findings.sort(key=lambda one: (one.accepted, ORDER[one.level]))
    return Audit(name=name, tasks=tuple(parts), findings=tuple(findings), pictures=len(images))


def audit_recipe(
    recipe: Recipe, progress: Progress = _silent, strict: bool = False
) -> tuple[Audit, dict[str, Case]]:
    """The audit of all of a recipe's tasks, and their cases by id, for a page with pictures.

    Raises UserError where the data cannot be read, and where `strict` for a picture that cannot be opened.
    """
    tasks = read_tasks(recipe)
    audit = audit_tasks(recipe.name, tasks, model_view(recipe.model), progress, strict)
    return audit, {case.id: case for task in tasks for case in _cases(task)}


def quick_findings(tasks: Sequence[ReadTask]) -> list[Finding]:
    """What can be found without opening a picture: the same file counts as the same picture."""
    images, shown = _pictures(tasks)
    pictures = Pictures([PictureFacts()] * len(images), unopened=True)
    audited = [_audited(task, places, pictures) for task, places in zip(tasks, shown, strict=True)]
    findings = [finding for data in audited for find in QUICK for finding in find(data)]
    return [*findings, *duplicate_findings.copies_across_tasks(audited)]


def refuse_wrong(findings: Sequence[Finding], recipe: str) -> None:
    """Raise UserError, one line, where a finding of level wrong is not accepted."""
    wrong = [one for one in findings if one.level == "wrong" and not one.accepted]
    if not wrong:
        return
    first = wrong[0]
    shown = f" ({', '.join(first.examples[0].cases[:2])})"[:150] if first.examples else ""
    others = "".join(f"; {one.name}: {one.what}" for one in wrong[1:])[:110]
    raise UserError(
        f"{first.name}: task {first.task}, {first.what[:150]}{shown}{others}. Mend the data (vrft data "
        f"{recipe} shows it), or data.accept: [{', '.join(dict.fromkeys(one.name for one in wrong[:2]))}]"
    )


def _pictures(tasks: Sequence[ReadTask]) -> tuple[list[ImageRef], list[list[tuple[int, ...]]]]:
    """Every picture once; and for each task the places of the pictures of each case."""
    places: dict[Any, int] = {}
    images: list[ImageRef] = []
    shown = []
    for task in tasks:
        of_task = []
        for case in _cases(task):
            own = []
            for image in case.images:
                place = places.setdefault(picture_key(image), len(images))
                if place == len(images):
                    images.append(image)
                own.append(place)
            of_task.append(tuple(own))
        shown.append(of_task)
    return images, shown


def _audited(task: ReadTask, shown: list[tuple[int, ...]], pictures: Pictures) -> AuditedTask:
    splits = [split for split, cases in task.cases.items() for _ in cases]
    return AuditedTask(task.task, list(_cases(task)), splits, shown, pictures, task.faults, task.accept)


def _cases(task: ReadTask) -> Iterator[Case]:
    for cases in task.cases.values():
        yield from cases


def _counts(data: AuditedTask) -> tuple[SplitCount, ...]:
    labels = label_findings.label_counts(data)
    found = []
    for split in dict.fromkeys(data.splits):
        cases = [case for case, own in zip(data.cases, data.splits, strict=True) if own == split]
        patients = {case.patient for case in cases if case.patient}
        found.append(SplitCount(split, len(cases), len(patients), labels.get(split, {})))
    return tuple(found)


def _files(data: AuditedTask) -> Iterator[tuple[int, PictureFacts]]:
    return ((case, one) for case, one in picture_findings.first_facts(data) if one.format)
