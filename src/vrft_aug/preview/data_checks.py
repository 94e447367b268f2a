"""What `vrft check` does with the data itself: pictures opened, findings refused, warnings told."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rich.console import Console
from rich.progress import Progress

from vrft_aug.data.notes import Note
from vrft_aug.data.open_all import check_pictures, sampled_pictures
from vrft_aug.nouns import Case
from vrft_aug.preview.audit.audit import audit_recipe, quick_findings, refuse_wrong
from vrft_aug.preview.audit.audited import Finding
from vrft_aug.preview.audit.task_reading import ReadTask, accepted
from vrft_aug.recipe.schema import Recipe
from vrft_aug.tasks.task import make_task


def audit_findings(
    recipe: Recipe, read: Mapping[tuple[str, str], Sequence[Case]], decode: bool
) -> list[Note]:
    """The warnings of an audit; of what was read, by task and split, or with `decode` of all data.

    Raises UserError for pictures that cannot be opened (a sample, or with `decode` all), and for findings of
    level wrong that the recipe does not accept.
    """
    findings = _whole(recipe) if decode else _quick(recipe, read)
    refuse_wrong(findings, recipe.name)
    told = (one for one in findings if one.level == "warning" and not one.accepted)
    return [Note(f"{one.task}: {one.what} ({one.name})", "warning") for one in told]


def _quick(recipe: Recipe, read: Mapping[tuple[str, str], Sequence[Case]]) -> list[Finding]:
    """A sample of the pictures opened; then what the cases alone tell."""
    check_pictures(sampled_pictures(case for cases in read.values() for case in cases))
    tasks: dict[str, dict[str, Sequence[Case]]] = {}
    for (name, split), cases in read.items():
        tasks.setdefault(name, {})[split] = cases
    return quick_findings(
        [
            ReadTask(make_task(name, recipe.tasks[name]), splits, accepted(recipe, name))
            for name, splits in tasks.items()
        ]
    )


def _whole(recipe: Recipe) -> list[Finding]:
    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("reading", total=None)
        audit, _ = audit_recipe(
            recipe,
            lambda what, done, of: bar.update(task, description=what, completed=done, total=of),
            strict=True,
        )
    return list(audit.findings)
