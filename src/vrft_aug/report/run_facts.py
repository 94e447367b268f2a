"""What a report says about the run itself: what on what, when, how long, and what rang."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from vrft_aug.evaluation.metrics.catalogue import drawn_units
from vrft_aug.report.run_data import Run, rewards_of


@dataclass(frozen=True)
class Span:
    """A stretch of the run's timeline."""

    name: str
    what: str  # method and task, or what was evaluated
    seconds: float
    share: float  # of the whole, 0 to 1
    colour: int  # place in the palette of the page


def timeline(run: Run) -> list[Span]:
    """The stages in their order with the time they took, then the evaluation; [] where nothing was timed."""
    spans: list[tuple[str, str, float]] = []
    for stage in run.recipe.stages:
        done = run.stages.get(stage.name, {})
        seconds = float(done.get("seconds", 0.0)) or _logged_seconds(run, stage.name)
        if seconds:
            tasks = " + ".join(part.task for part in stage.parts())
            spans.append((stage.name, f"{stage.method.upper()} on {tasks}", seconds))
    if run.report is not None and run.report.provenance.seconds:
        spans.append(("evaluation", f"{len(run.report.rows)} cases", run.report.provenance.seconds))
    whole = sum(seconds for *_, seconds in spans)
    return [Span(name, what, seconds, seconds / whole, i) for i, (name, what, seconds) in enumerate(spans)]


def provenance(run: Run) -> list[tuple[str, str]]:
    """What was trained on what, with what, for how long: (name, value) rows."""
    recipe, facts = run.recipe, run.facts
    rows = [("Recipe", recipe.name), ("Start", recipe.model.name), ("Seed", str(recipe.seed))]
    for stage, parts in _mapping(facts.get("data")).items():
        for part in parts if isinstance(parts, list) else ():
            named = _mapping(part)
            cases = f"{named.get('task')}: {named.get('cases')} cases, {named.get('hash')}"
            rows.append((f"Trained in {stage}", cases))
    if run.report is not None:
        source = run.report.provenance
        hashes = {"recipe": source.recipe, "data": source.data, "model": source.model}
        rows += [
            ("Hashes (SHA-256)", ", ".join(f"{what} {digits}" for what, digits in hashes.items() if digits)),
            ("Evaluation", f"{minutes(source.seconds)}; model {source.model_name}"),
        ]
        for use in source.knowledge:
            review = "reviewed" if use.reviewed else "not reviewed by a clinician"
            facts_of = f"{use.sourced} facts with a source, {use.review} marked for review"
            rows.append(
                (f"Knowledge in {use.user}", f"{use.bank} ({use.style}), {review}; {facts_of}; {use.hash}")
            )
    if took := _took(facts):
        rows.append(("Time", took))
    if machine := _mapping(facts.get("hardware")):
        rows.append(("Hardware", _machine(machine)))
        rows.append(("Cost", _cost(run, machine)))
    versions = _mapping(facts.get("versions")) or (run.report.provenance.versions if run.report else {})
    if versions:
        rows.append(("Versions", ", ".join(f"{name} {version}" for name, version in versions.items())))
    return rows


def card(run: Run) -> list[tuple[str, str]]:
    """The model card: what the model is, for what, on what, and what is known to be wrong with it."""
    recipe, report = run.recipe, run.report
    task = recipe.tasks.get(recipe.evaluation.task)
    trained = "; ".join(
        f"{stage.name}: {stage.method.upper()}, {stage.steps} steps"
        + (f", {rewards_of(stage)}" if stage.rewards else "")
        for stage in recipe.stages
    )
    rows = [
        ("Model", f"{recipe.model.name}" + (f", then {trained}" if trained and run.lines else ", as it is")),
    ]
    if task is not None:
        labels = f" Labels: {', '.join(task.labels)}." if task.labels else ""
        rows.append(("Task", f"{task.question}{labels}"))
        rows.append(
            ("Intended use", f"Research on {task.kind} of {task.modality} images like those named here.")
        )
    rows.append(
        (
            "Not intended",
            "Clinical use without validation: no diagnosis, no triage, no advice to patients. Other devices, "
            "sites, populations and diseases are untested.",
        )
    )
    if report is not None:
        patients = len({row.patient for row in report.rows if row.patient})
        by = f"; patients are not known, so intervals are by {drawn_units(report.rows)[:-1]}"
        of = f" of {patients} patients" if patients else by
        cases = f"{len(report.rows)} cases{of}"
        rows.append(("Evaluated on", f"split {report.split}: {cases}. One split of one data set."))
    rows.append(
        (
            "Its reasoning",
            "is generated text. It can be wrong where the answer is right, and it need not be why the model "
            "answered so.",
        )
    )
    return rows


def minutes(seconds: float) -> str:
    """`45 s`, `12 min`, `3.2 h`."""
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def _logged_seconds(run: Run, stage: str) -> float:
    values = [line.get("seconds") for line in run.lines if line.get("stage") == stage]
    return float(sum(value for value in values if isinstance(value, int | float)))


def _took(facts: Mapping[str, Any]) -> str:
    try:
        start = datetime.fromisoformat(str(facts.get("started")))
    except ValueError:
        return ""
    begun = f"started {start:%Y-%m-%d %H:%M} UTC"
    try:
        end = datetime.fromisoformat(str(facts.get("finished")))
    except ValueError:
        return f"{begun}, not finished"
    return f"{begun}, finished {minutes((end - start).total_seconds())} later (pauses included)"


def _cost(run: Run, machine: Mapping[str, Any]) -> str:
    """The hours that a provider bills, of GPUs or else of cores, and what was had for them."""
    hours = sum(span.seconds for span in timeline(run)) / 3600
    gpus, cores = len(machine.get("gpus") or ()), int(machine.get("cores") or 1)
    billed = f"{hours * gpus:.2f} GPU hours" if gpus else f"{hours * cores:.2f} core hours"
    had = [f"{int(sum(stage.get('rollouts', 0) for stage in run.stages.values())):,} rollouts"]
    if run.report is not None:
        had.append(f"{len(run.report.rows):,} evaluated cases")
    return f"{billed} for {' and '.join(had)}"


def _machine(machine: Mapping[str, Any]) -> str:
    gpus = [str(name) for name in machine.get("gpus") or ()]
    parts = [
        ", ".join(gpus) or "no GPU",
        f"{machine.get('processor')}, {machine.get('cores')} cores ({machine.get('threads')} threads used)",
        f"{machine.get('memory_gb')} GB of memory" if machine.get("memory_gb") else "",
        str(machine.get("system") or ""),
    ]
    return "; ".join(part for part in parts if part)


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
