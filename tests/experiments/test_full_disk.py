"""A disk that fills up at any moment of a run: one line, nothing complete is lost, and the run goes on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from helpers.run_checks import same_run
from helpers.shades import GRPO, SFT, shade_recipe
from helpers.small_disk import fill, free, small_disk
from vrft_aug.cli import app
from vrft_aug.recipe.file import save_recipe

pytestmark = pytest.mark.slow
# What is about to be written when the disk becomes full: a function, and at which of its calls.
MOMENTS = {
    "the run's recipe": ("vrft_aug.run.folder.save_recipe", 1),
    "the run's facts": ("vrft_aug.experiments.run.write_text", 1),
    "the first metrics": ("vrft_aug.training.monitoring.progress.append_lines", 1),
    "the first checkpoint": ("transformers.Trainer._save_checkpoint", 1),
    "the first optimiser": ("transformers.Trainer._save_optimizer_and_scheduler", 1),
    "the first random numbers": ("transformers.Trainer._save_rng_state", 1),
    "the first stage's model": ("vrft_aug.training.stage.publish_model", 1),
    "the rollouts of stage 2": ("vrft_aug.training.monitoring.progress.append_lines", 6),
    "a later checkpoint": ("transformers.Trainer._save_checkpoint", 4),
    "the last stage's model": ("vrft_aug.training.stage.publish_model", 2),
    "the run's model": ("vrft_aug.experiments.run.publish_copy", 1),
    "the evaluation": ("vrft_aug.experiments.run.save_report", 1),
    "the report": ("vrft_aug.experiments.run.write_report", 1),
}


def run(recipe: Path, folder: Path, *options: str) -> Result:
    return CliRunner().invoke(app, ["train", str(recipe), "-o", str(folder), *options])


@pytest.fixture(scope="module")
def recipe(random_policy: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("recipe") / "mine.yaml"
    save_recipe(shade_recipe(random_policy, {**SFT, "save_steps": 1}, {**GRPO, "save_steps": 1}), path)
    return path


@pytest.fixture(scope="module")
def whole(recipe: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("whole") / "run"
    assert run(recipe, folder).exit_code == 0
    return folder


def complete(folder: Path) -> set[str]:
    """Models and checkpoints that can be gone on with."""
    return {str(path.parent.relative_to(folder)) for path in folder.rglob("trainer_state.json")} | {
        str(path.relative_to(folder)) for path in folder.rglob("model") if path.is_dir()
    }


@pytest.mark.parametrize("moment", MOMENTS)
def test_nothing_is_lost_and_the_run_goes_on(
    moment: str, recipe: Path, whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from importlib import import_module

    target, call = MOMENTS[moment]
    holder: Any = import_module("transformers") if target.startswith("transformers") else None
    if holder is not None:
        holder, name = holder.Trainer, target.rsplit(".", 1)[1]
    else:
        module, name = target.rsplit(".", 1)
        holder = import_module(module)
    stock, calls, before = getattr(holder, name), [0], set()
    with small_disk(tmp_path / "disk", 40) as disk:
        folder = disk / "run"

        def filled(*arguments: Any, **settings: Any) -> Any:
            calls[0] += 1
            if calls[0] == call:
                before.update(complete(folder))
                fill(disk)
            return stock(*arguments, **settings)

        with monkeypatch.context() as patched:
            patched.setattr(holder, name, filled)
            failed = run(recipe, folder)
        assert failed.exit_code == 2, (failed.output, failed.exception)
        last = failed.stderr.rstrip().splitlines()[-1]
        assert last.startswith("error: ") and "free some space" in last and len(last) <= 500
        assert "Traceback" not in failed.output
        assert before <= complete(folder)
        free(disk)
        resumed = (
            run(recipe, folder, "--resume") if (folder / "recipe.yaml").exists() else run(recipe, folder)
        )
        assert resumed.exit_code == 0, (resumed.output, resumed.exception)
        same_run(whole, folder)
