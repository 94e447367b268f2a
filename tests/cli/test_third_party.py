"""The worked examples of the page on extending, as a package outside the tree, through the command line."""

import json
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml
from PIL import Image

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "extending.md"


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """A folder as pip leaves it: each example a module, and their entry points."""
    site = tmp_path / "site"
    info = site / "their_package-1.0.dist-info"
    info.mkdir(parents=True)
    for block in blocks("python"):
        module = site / block.splitlines()[0].removeprefix("# module ")
        module.with_suffix(Path(__file__).suffix).write_text(block)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: their-package\nVersion: 1.0\n")
    (points,) = blocks("toml")
    groups = tomllib.loads(points)["project"]["entry-points"]
    lines = [
        line
        for group, named in groups.items()
        for line in (f"[{group}]", *(f"{name} = {value}" for name, value in named.items()))
    ]
    (info / "entry_points.txt").write_text("\n".join(lines) + "\n")
    return site


@pytest.fixture
def recipe(tmp_path: Path, random_policy: Path) -> Path:
    for split in ("train", "test"):
        for number, (label, grey) in enumerate([("dark", 20), ("bright", 230)] * 2):
            path = tmp_path / "lights" / split / f"{label}-{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (56, 56), (grey, grey, grey)).save(path)
    content = {
        "name": "theirs", "data_root": ".", "model": {"name": str(random_policy), "device": "cpu"},
        "tasks": {"look": {
            "kind": "classify", "question": "Dark or bright?", "labels": ["dark", "bright"],
            "data": {"reader": "lights", "folder": "lights"},
        }},
        "stages": [{
            "name": "one", "method": "grpo", "task": "look", "steps": 1,
            "rewards": {"accuracy": 1.0, "few_words": {"weight": 0.5, "most": 5}},
        }],
        "evaluation": {
            "task": "look", "max_new_tokens": 8, "bootstrap": 100, "metrics": ["words_said"],
        },
    }  # fmt: skip
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(content))
    return tmp_path / "mine.yaml"


def vrft(site: Path, *command: str) -> subprocess.CompletedProcess[str]:
    paths = os.pathsep.join(filter(None, (str(site), os.environ.get("PYTHONPATH", ""))))
    return subprocess.run(
        [sys.executable, "-m", "vrft_aug", *command],
        capture_output=True, text=True, timeout=240, cwd=site.parent, env={**os.environ, "PYTHONPATH": paths},
    )  # fmt: skip


def test_the_page_holds_a_file_for_each() -> None:
    names = [block.splitlines()[0] for block in blocks("python")]
    assert names == ["# module their_folders", "# module their_reward", "# module their_metric"]


def test_the_bank_of_the_page_is_checked_told_and_pays(site: Path, recipe: Path) -> None:
    """Beside the recipe, which names it: its check, its words in the prompt, and a reward that it decides."""
    (bank,) = blocks("yaml")
    name = bank.splitlines()[0].removeprefix("# file ")
    (recipe.parent / name).write_text(bank)
    checked = vrft(site, "knowledge", "check", str(recipe.parent / name), "dark", "bright")
    assert checked.returncode == 0 and "lights: ok, 2 classes" in checked.stdout, checked.stderr
    told = ["tasks.look.knowledge=lights.yaml", "evaluation.injection.style=definitions"]
    prompt = vrft(site, "prompt", str(recipe), *told, "--no-tokens")
    assert "nearly black all over" in prompt.stdout, prompt.stderr
    said = recipe.with_name("said.jsonl")
    texts = {"dark-0": "<think>There is a glare.</think><answer>dark</answer>",
             "bright-1": "<think>There is a dazzling light.</think><answer>bright</answer>"}  # fmt: skip
    lines = [{"case": f"lights/test/{case}", "completion": text} for case, text in texts.items()]
    said.write_text("".join(json.dumps(line) + "\n" for line in lines))
    scored = vrft(site, "score", str(recipe), str(said), *told[:1], "stages.one.rewards={consistency: 1}")
    assert scored.returncode == 0, scored.stderr
    dark, bright = (json.loads(line)["terms"]["consistency"] for line in scored.stdout.splitlines())
    assert dark < bright


def test_reader_reward_and_metric_of_another_package(site: Path, recipe: Path) -> None:
    checked = vrft(site, "check", str(recipe))
    assert checked.returncode == 0, checked.stderr
    assert "4 cases; dark 2, bright 2" in checked.stdout
    said = recipe.with_name("said.jsonl")
    words = {
        "dark-0": "<answer>dark</answer>",
        "bright-1": "<answer>dark</answer> and many more words than five",
    }
    lines = [{"case": f"lights/test/{case}", "completion": text} for case, text in words.items()]
    said.write_text("".join(json.dumps(line) + "\n" for line in lines))
    scored = vrft(site, "score", str(recipe), str(said))
    assert scored.returncode == 0, scored.stderr
    terms = [json.loads(line)["terms"] for line in scored.stdout.splitlines()]
    assert terms == [{"accuracy": 1.0, "few_words": 1.0}, {"accuracy": 0.0, "few_words": 0.0}]
    model = yaml.safe_load(recipe.read_text())["model"]["name"]
    report = recipe.with_name("report.json")
    judged = vrft(site, "evaluate", model, "--recipe", str(recipe), "-o", str(report))
    assert judged.returncode == 0, judged.stderr
    assert "Words" in judged.stdout
    assert "words_said" in report.read_text()


def test_without_the_package_the_names_are_unknown(tmp_path: Path, recipe: Path) -> None:
    (tmp_path / "empty").mkdir()
    missing = vrft(tmp_path / "empty", "check", str(recipe))
    assert missing.returncode == 2 and "reader 'lights' is unknown" in missing.stderr


@pytest.mark.parametrize(
    ("line", "wanted"),
    [
        ("csv = their_folders:read_lights", "has a name that vrft-aug has itself"),
        ("lights = their_folders:no_such", "cannot be loaded: .*has no 'no_such'"),
        ("lights = gone:read", "cannot be loaded: .*finds no module 'gone'"),
    ],
)
def test_a_wrong_entry_point_is_named(site: Path, recipe: Path, line: str, wanted: str) -> None:
    (site / "their_package-1.0.dist-info" / "entry_points.txt").write_text(f"[vrft_aug.readers]\n{line}\n")
    content = yaml.safe_load(recipe.read_text())
    content["tasks"]["look"]["data"]["reader"] = line.partition(" ")[0]
    recipe.write_text(yaml.safe_dump(content))
    found = vrft(site, "check", str(recipe))
    assert found.returncode == 2 and found.stderr.count("\n") == 1
    assert re.search(wanted, found.stderr) and "their-package" in found.stderr
