"""Which arms a command line names: `RUN` or `NAME=RUN`, a run folder or a report file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from vrft_aug.errors import UserError
from vrft_aug.evaluation.report_data import Report, load_report
from vrft_aug.run.layout import EVALUATION


def read_arms(given: Sequence[str]) -> dict[str, list[Report]]:
    """The reports by arm, in the order given; runs of the same `NAME=` are training seeds of one arm.

    Without a name an arm is called as the folder (or the file without suffix); where two are called the same,
    by their paths. Raises UserError where a run is not there, has no evaluation, or is given twice.
    """
    named = [_split(one) for one in given]
    bare = [_short(path) for name, path in named if not name]
    arms: dict[str, list[Report]] = {}
    seen: dict[Path, str] = {}
    for name, path in named:
        short = _short(path)
        arm = name or (short if bare.count(short) == 1 else str(path))
        file = _report_file(path)
        if file.resolve() in seen:
            raise UserError(
                f"{path} is given twice, as {seen[file.resolve()]!r} and {arm!r}; give each run once"
            )
        seen[file.resolve()] = arm
        arms.setdefault(arm, []).append(load_report(file))
    if len(arms) < 2:
        raise UserError(f"only arm {next(iter(arms), '')!r} is given; expected two or more runs to compare")
    return arms


def _split(given: str) -> tuple[str, Path]:
    """The name, "" where there is none, and the path; a path that exists may hold an equals sign."""
    name, equals, path = given.partition("=")
    if equals and name and path and not Path(given).expanduser().exists():
        return name, Path(path).expanduser()
    return "", Path(given).expanduser()


def _short(path: Path) -> str:
    return path.resolve().name if path.is_dir() else path.stem


def _report_file(path: Path) -> Path:
    if path.is_file():
        return path
    if not path.is_dir():
        raise UserError(
            f"{path} does not exist; expected a run folder or a report that `vrft evaluate -o` wrote"
        )
    if not (path / EVALUATION).is_file():
        raise UserError(f"run {path} has no evaluation; run `vrft evaluate {path}` first")
    return path / EVALUATION
