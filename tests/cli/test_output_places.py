"""A place that cannot be written to is one line, before anything is computed; nothing is half-written."""

from pathlib import Path

import pytest
from PIL import Image
from typer.testing import CliRunner

from helpers.data_files import CSV, recipe_mapping, save_recipe_mapping, save_table
from helpers.synthetic_run import grade_report, write_run
from vrft_aug.cli import app
from vrft_aug.files import check_place


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A recipe, two evaluated runs, a picture, and a file where a folder is asked for."""
    save_table(tmp_path)
    save_recipe_mapping(tmp_path / "mine.yaml", recipe_mapping(tmp_path, "classify", ["dark", "bright"], CSV))
    for seed in (0, 1):
        write_run(tmp_path / f"run{seed}", grade_report(seed=seed), seed)
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png")
    (tmp_path / "file").write_text("")
    return tmp_path


@pytest.mark.parametrize(
    "command",
    [
        "check mine.yaml -o file/run",
        "train mine.yaml -o file/run",
        "evaluate run0 -o file/report.json",
        "evaluate run0 --page file/page.html",
        "predict run0 a.png -o file/drawn",
        "predict run0 a.png --table file/answers.csv",
        "score mine.yaml file/fill.jsonl --template 2",
        "compare run0 run1 -o file/tables",
        "bench --quick --json file/bench.json",
        "selftest --json file/fit.json",
        "init retinamnist file/mine.yaml",
    ],
)
def test_a_place_below_a_file(root: Path, command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(root)
    before = sorted(root.rglob("*"))
    found = CliRunner().invoke(app, command.split())
    assert found.exit_code == 2 and found.stderr.startswith("error: "), (found.output, found.exception)
    assert found.stderr.count("\n") == 1 and len(found.stderr) <= 500
    assert "file" in found.stderr and "--output" in found.stderr
    assert sorted(root.rglob("*")) == before


def test_a_place_that_can_be_written_passes_and_nothing_is_made(tmp_path: Path) -> None:
    check_place(None, tmp_path / "new" / "file.json", tmp_path)
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "old").write_text("")
    check_place(tmp_path / "old")
    with pytest.raises(NotADirectoryError):
        check_place(tmp_path / "old" / "file")
