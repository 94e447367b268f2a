"""The runs that a viewer shows: rollouts of training, answers of the evaluation, and their cases."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from vrft_aug.errors import UserError
from vrft_aug.evaluation.metrics.case_rows import Row
from vrft_aug.evaluation.report_data import Report, load_report
from vrft_aug.recipe.file import load_recipe
from vrft_aug.recipe.schema import Recipe
from vrft_aug.run.layout import EVALUATION, RUN_RECIPE
from vrft_aug.run.rollout_lines import RolloutLine, plain_value
from vrft_aug.view.case_facts import CaseBook
from vrft_aug.view.filters import Filter
from vrft_aug.view.rollout_index import STEPLESS, Group, RolloutFile


@dataclass
class ViewedRun:
    """A run folder as the viewer holds it."""

    name: str  # in addresses; the folder's name where no other run has the same
    folder: Path
    recipe: Recipe
    book: CaseBook
    training: RolloutFile
    evaluation: RolloutFile
    evaluated: tuple[int, int] | None = None  # time and size of the evaluation.json that was read
    _matches: dict[tuple[Filter, int, int], list[tuple[Group, list[int]]]] = field(default_factory=dict)

    def refresh(self) -> None:
        """Read what training or evaluation have written since."""
        self.training.refresh()
        path = self.folder / EVALUATION
        state = path.stat() if path.is_file() else None
        seen = (state.st_mtime_ns, state.st_size) if state is not None else None
        if seen != self.evaluated:
            self.evaluated = seen
            try:
                report = load_report(path) if seen is not None else None
            except UserError:  # of another version; the report says so
                report = None
            rows = report.rows if report is not None else ()
            self.evaluation.add_all([_entry(report, row) for row in rows if report is not None])
            self._matches.clear()

    def source(self, stage: str) -> RolloutFile:
        """Where a stage's entries are."""
        return self.evaluation if stage == STEPLESS else self.training

    def stages(self) -> list[str]:
        """The stages that have anything to show, the evaluation last."""
        trained = list(dict.fromkeys(group.stage for group in self.training.groups))
        return [*trained, STEPLESS] if self.evaluation.groups else trained

    def labels(self) -> list[str]:
        """The labels of the run's tasks, in their clinical order."""
        names = dict.fromkeys(label for task in self.book.tasks.values() if task.kind != "localise"
                              for label in task.labels)  # fmt: skip
        return list(names)

    def matches(self, wanted: Filter) -> list[tuple[Group, list[int]]]:
        """The groups with completions that pass, in order, each with the places of those."""
        source = self.source(wanted.stage)
        key = (wanted, id(source.entries), len(source.entries))
        if key not in self._matches:
            if len(self._matches) > 32:
                self._matches.clear()
            holds = wanted.test(lambda entry: self.book.truth(entry.task, entry.case), self.book.outcome)
            everything = not wanted.is_set
            found = []
            for group in source.groups:
                kept = [i for i in group.places if everything or holds(source.entries[i])]
                if kept:
                    found.append((group, kept))
            self._matches[key] = found
        return self._matches[key]


def open_runs(folders: Sequence[Path]) -> dict[str, ViewedRun]:
    """The runs by their names; raises UserError for a folder that is no run."""
    runs: dict[str, ViewedRun] = {}
    for folder in folders:
        recipe_file = folder / RUN_RECIPE
        if not recipe_file.is_file():
            raise UserError(
                f"{folder} holds no {RUN_RECIPE}; expected a run folder that `vrft train` has written"
            )
        recipe = load_recipe(str(recipe_file))
        tasks = {stage.name: stage.task for stage in recipe.stages}
        name, number = folder.resolve().name, 2
        while name in runs:
            name, number = f"{folder.resolve().name}-{number}", number + 1
        run = ViewedRun(
            name, folder, recipe, CaseBook(recipe), RolloutFile(folder, tasks), RolloutFile(folder, tasks)
        )
        run.refresh()
        runs[name] = run
    return runs


def _entry(report: Report, row: Row) -> RolloutLine:
    """An evaluated case as a rollout: not scored, its own group."""
    answer: object = row.answer
    if row.boxes is not None:
        answer = plain_value(row.boxes)
    elif report.kind == "multilabel" and row.answer is not None:
        answer = [label for label in report.labels if label in row.answer.split(", ")]
    return RolloutLine(
        stage=STEPLESS,
        step=0,
        task=report.task,
        case=row.case,
        completion=row.completion,
        answer=answer,
        reason=row.reason,
        total=None,
        tokens=row.tokens,
        finished=row.reason != "truncated",
    )
