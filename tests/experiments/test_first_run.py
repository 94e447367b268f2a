"""The page of the first run: its commands, as they stand there, do what it says."""

import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from helpers.documents import DOCS, commands, read
from vrft_aug.cli import app


@pytest.mark.slow
def test_the_first_run_goes_as_the_page_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = read(DOCS / "start" / "first-run.md")
    monkeypatch.chdir(tmp_path)
    lines = [line for line in commands(page) if not line.startswith("vrft view")]  # serves for ever
    assert [line.split()[1] for line in lines] == ["init", "check", "prompt", "train", "evaluate", "report"]
    for line in lines:
        result = CliRunner().invoke(app, line.split()[1:])
        assert result.exit_code == 0, (line, result.output)
    named = re.findall(r"`(?:runs/first/)?([a-z]+\.(?:jsonl?|yaml|html)|model/)`", page)
    assert {"recipe.yaml", "metrics.jsonl", "rollouts.jsonl", "evaluation.json", "model/"} <= set(named)
    assert [name for name in named if not (tmp_path / "runs" / "first" / name).exists()] == []
