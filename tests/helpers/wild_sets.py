"""What the tests of data in the wild share: pictures by name, a task, all splits, and what is said."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from helpers.data_files import save_image
from vrft_aug.data.cases import EmptySplit, load_cases
from vrft_aug.data.notes import Note, collecting
from vrft_aug.data.splits import SPLITS
from vrft_aug.nouns import Case, Task
from vrft_aug.recipe.task_config import TaskConfig
from vrft_aug.tasks.task import make_task

SIZE = (64, 48)


def draw(folder: Path, names: Iterable[str], size: tuple[int, int] = SIZE) -> list[str]:
    """A picture of noise by each name."""
    listed = list(names)
    for seed, name in enumerate(listed):
        save_image(folder / name, size, seed)
    return listed


def read_splits(
    root: Path, data: Mapping[str, Any], kind: str, labels: Sequence[str]
) -> tuple[dict[str, list[Case]], list[Note]]:
    """The cases of every split, [] where it has none, and the notes of the reader."""
    config = TaskConfig.model_validate(
        {"kind": kind, "question": "?", "labels": list(labels), "data": dict(data)}
    )
    task: Task = make_task("t", config)
    found: dict[str, list[Case]] = {}
    with collecting() as notes:
        for split in SPLITS:
            try:
                found[split] = load_cases(config.data, task, root, split)
            except EmptySplit:
                found[split] = []
    return found, notes


def read_cases(root: Path, data: Mapping[str, Any], kind: str, labels: Sequence[str]) -> dict[str, Case]:
    """The cases of all splits by the last part of their ids."""
    found, _ = read_splits(root, data, kind, labels)
    cases = {case.id.rpartition("/")[2]: case for part in found.values() for case in part}
    assert len(cases) == sum(map(len, found.values()))
    return cases


def patients_by_split(found: Mapping[str, Sequence[Case]]) -> dict[str, set[str | None]]:
    """Who is in which split."""
    return {split: {case.patient for case in cases} for split, cases in found.items()}
