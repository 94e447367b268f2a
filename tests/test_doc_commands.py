"""The commands of the documents run as they stand there: on a small recipe, a few pictures, the tiny model.

Each block runs in a folder of its own that has what pages speak of: my.yaml, mine/, runs/mine and so on. One
thing is changed: recipes that `vrft init` has written, and overrides for steps, ask for a step or two.
"""

from __future__ import annotations

import re
import shlex
import shutil
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from helpers.data_files import save_csv, save_image
from helpers.doc_blocks import Block, all_blocks, lines_of, ours, why_not_run
from vrft_aug.cli import app
from vrft_aug.recipe.file import shipped_recipes

BLOCKS = [block for block in all_blocks() if block.language == "sh" and not block.reason]
RUN = [block for block in BLOCKS if any(why_not_run(line) is None for line in lines_of(block))]
pytestmark = pytest.mark.slow


def vrft(line: str) -> str:
    """What a command prints, after it went well; `> FILE` is obeyed."""
    result = CliRunner().invoke(app, ours(re.sub(r"steps=\d+", "steps=2", line)))
    assert result.exit_code == 0, f"{line}\n{result.output}"
    if found := re.search(r"\s>\s*(\S+)", line):
        Path(found[1]).write_text(result.stdout, "utf-8")
    return result.stdout


def make_small(recipe: Path) -> None:
    """Leave as little as there can be to a recipe: a step, a prompt, two completions of eight tokens."""
    content = yaml.safe_load(recipe.read_text("utf-8"))
    for stage in content["stages"]:
        stage |= {"steps": 1, "prompts_per_step": 1, "generations": 2, "max_new_tokens": 8}
    content["evaluation"] |= {"max_new_tokens": 8, "bootstrap": 100}
    recipe.write_text(yaml.safe_dump(content, sort_keys=False), "utf-8")


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with all that the pages speak of."""
    world = tmp_path_factory.mktemp("world")
    recipe = yaml.safe_load(shipped_recipes()["fundus-demo"].read_text("utf-8"))
    for task in recipe["tasks"].values():
        task["data"] |= {"train": 8, "validation": 4, "test": 6}
    (world / "my.yaml").write_text(yaml.safe_dump(recipe, sort_keys=False), "utf-8")
    make_small(world / "my.yaml")
    rows = [["image", "grade"], *([f"eye{i:02d}.png", str(i % 3)] for i in range(30))]
    save_csv(world / "mine" / "grades.csv", rows)
    for folder, count in (("mine/images", 30), ("mine/scans", 4), ("folder", 2)):
        for i in range(count):
            save_image(world / folder / f"eye{i:02d}.png", seed=i)
    sentence = '{"class": "mild", "text": "A few microaneurysms, nothing else."}\n'
    (world / "sentences.jsonl").write_text(sentence, "utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(world)
        vrft("vrft knowledge show idrid > mine.yaml")
        vrft("vrft data mine/scans --json a.json")
        vrft("vrft train my.yaml --output runs/mine")
    shutil.copy(world / "a.json", world / "b.json")
    shutil.copy(world / "runs" / "mine" / "evaluation.json", world / "remote.json")
    for run in ("longer", "vrft-aug", "rft"):
        shutil.copytree(world / "runs" / "mine", world / "runs" / run)
    shutil.copytree(world / "runs" / "mine" / "model", world / "qwen-folder")
    return world


@pytest.mark.parametrize("block", RUN, ids=[block.name for block in RUN])
def test_commands_run_as_they_stand(
    block: Block, world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = tmp_path / "here"
    shutil.copytree(world, here)
    monkeypatch.chdir(here)
    lines = [line for line in lines_of(block) if why_not_run(line) is None]
    for word in {word for line in lines for word in shlex.split(line) if line.startswith("vrft init ")}:
        if word.endswith(".yaml"):
            (here / word).unlink(missing_ok=True)  # a recipe that is there is not written over
    if any(line.startswith("vrft train ") and "--resume" not in line for line in lines):
        shutil.rmtree(here / "runs")
    for line in lines:
        vrft(line)
        if (made := re.match(r"vrft init .* (\S+\.yaml)$", line)) and lines[-1] != line:
            make_small(here / made[1])


def test_most_commands_are_run() -> None:
    lines = [line for block in BLOCKS for line in lines_of(block)]
    assert sum(why_not_run(line) is None for line in lines) > 0.6 * len(lines)
