"""Demonstrations drafted through a server: what is right is kept, and can be trained on."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from helpers.chat_server import Answer, serving
from helpers.shades import GRPO, shade_recipe
from vrft_aug.cli import app
from vrft_aug.perception.spaces import BoxSpace
from vrft_aug.recipe.file import save_recipe
from vrft_aug.recipe.schema import Recipe
from vrft_aug.recipe.task_config import Injection
from vrft_aug.tasks.demonstrations import with_demonstrations
from vrft_aug.tasks.taskset import load_taskset

pytest.importorskip("openai", reason="the extra `endpoint` is not installed")
REPLIES = [
    "<think>so</think><answer>dark</answer>",
    "dark",
    "<answer>dark</answer>",
    "\n<think>it is deep grey</think><answer>dark</answer>\n",
]


def draft(tmp_path: Path, replies: list[str], *options: str) -> tuple[Recipe, Result]:
    recipe = shade_recipe(tmp_path, GRPO)
    save_recipe(recipe, tmp_path / "r.yaml")
    with serving(lambda request, n: Answer(replies[n % len(replies)])) as server:
        given = ["traces", str(tmp_path / "r.yaml"), "--model", "m", "--url", server.url, *options]
        return recipe, CliRunner().invoke(app, [*given, "-o", str(tmp_path / "traces.jsonl")])


def test_right_replies_become_demonstrations(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    recipe, result = draft(tmp_path, [REPLIES[0], REPLIES[3]])
    assert result.exit_code == 0, result.output
    assert "5 of 10 replies are right" in result.output and "left out: 5 answers" in result.output
    lines = [json.loads(line) for line in (tmp_path / "traces.jsonl").read_text().splitlines()]
    assert [line["case"] for line in lines] == [f"shades/train/{i}" for i in range(0, 10, 2)]  # the dark ones
    taskset = load_taskset(recipe, "shade", "train", Injection(), BoxSpace("processed"))
    taught = with_demonstrations(taskset, tmp_path / "traces.jsonl", lambda case: None)
    assert taught.completions and len(taught.completions) == 5
    _, again = draft(tmp_path, REPLIES)
    assert again.exit_code == 2 and "exists already" in again.output


def test_replies_that_cannot_be_kept_write_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    _, result = draft(tmp_path, REPLIES[1:3], "--limit", "4")
    assert result.exit_code == 2 and "none of 4 replies of m can be kept" in result.output
    assert "is not <think>REASONING</think>" in result.output and not (tmp_path / "traces.jsonl").exists()
    _, result = draft(tmp_path, REPLIES, "--stage", "reward")
    assert result.exit_code == 2 and "did you mean 'rewards'" in result.output
