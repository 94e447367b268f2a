"""Folders that are closed to the user: one line, and the run stays as it was."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from helpers.plain_user import need_closed_folders, vrft
from helpers.run_checks import same_run
from helpers.shades import SFT, shade_recipe
from vrft_aug.cli import app
from vrft_aug.recipe.file import save_recipe

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def recipe(random_policy: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("recipe") / "mine.yaml"
    save_recipe(shade_recipe(random_policy, SFT, evaluation={"base": False}), path)
    return path


@pytest.fixture(scope="module")
def run(recipe: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "run"
    assert CliRunner().invoke(app, ["train", str(recipe), "-o", str(folder)]).exit_code == 0
    return folder


@pytest.fixture
def closed(tmp_path: Path) -> Path:
    folder = tmp_path / "closed"
    folder.mkdir(mode=0o555)
    need_closed_folders(folder)
    return folder


def line(told: tuple[int, str, str]) -> str:
    """The one line of a refused command."""
    code, out, err = told
    assert code == 2 and out == "" and err.startswith("error: "), told
    assert err.count("\n") == 1 and len(err) <= 500, err
    return err


def test_a_closed_place_is_told_before_training(recipe: Path, closed: Path) -> None:
    for command in ("check", "train"):
        said = line(vrft(command, recipe, "-o", closed / "run"))
        assert f"{closed} cannot be written to" in said and "--output" in said


def test_a_closed_home_and_working_folder_are_no_matter(
    recipe: Path, run: Path, closed: Path, tmp_path: Path
) -> None:
    code, _, err = vrft("train", recipe, "-o", tmp_path / "run", home=closed, cwd=closed)
    assert code == 0 and "Permission" not in err and "atplotlib" not in err, err
    same_run_without_rollouts(run, tmp_path / "run")


def same_run_without_rollouts(one: Path, two: Path) -> None:
    for folder in (one, two):
        (folder / "rollouts.jsonl").touch()  # supervised runs have none
    same_run(one, two)


def test_a_closed_run_is_told_and_stays_as_it_is(run: Path, closed: Path) -> None:
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    folders = [run, *(path for path in run.rglob("*") if path.is_dir())]
    for folder in folders:
        folder.chmod(0o555)
    try:
        for command in ("evaluate", "report"):
            assert str(run) in line(vrft(command, run, home=closed))
    finally:
        for folder in folders:
            folder.chmod(0o755)
    assert {path: path.read_bytes() for path in run.rglob("*") if path.is_file()} == before
