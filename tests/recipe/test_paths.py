"""Paths in a recipe start at its own folder, those of overrides at the working one; runs keep whole ones."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from helpers.data_files import CSV, recipe_mapping, save_table
from vrft_aug.errors import UserError
from vrft_aug.knowledge.bank import bank_text, load_bank
from vrft_aug.preview.check import check_recipe
from vrft_aug.recipe.file import load_recipe, save_recipe
from vrft_aug.run.layout import RUN_RECIPE
from vrft_aug.run.resume import plan_resume


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """`study/my.yaml` with data, a bank and a reward beside it; the tests stand elsewhere."""
    study = tmp_path / "study"
    save_table(study / "pictures", labels=["glioma", "meningioma"])
    (study / "own_bank.yaml").write_text(bank_text(load_bank("idrid")))
    (study / "beside_the_recipe.py").write_text("def always(answer):\n    return 1.0\n")
    recipe: dict[str, Any] = recipe_mapping(study, "classify", ["glioma", "meningioma"], CSV)
    recipe["data_root"] = "pictures"
    recipe["stages"][0]["rewards"]["beside_the_recipe:always"] = 1.0
    (study / "my.yaml").write_text(yaml.safe_dump(recipe))
    return study


def test_a_recipe_works_from_any_folder(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    recipe = load_recipe("../study/my.yaml")
    assert recipe.data_root == str(project / "pictures")
    assert check_recipe(recipe)[0].cases > 0
    monkeypatch.chdir(tmp_path)
    assert load_recipe("study/my.yaml") == recipe


def test_banks_models_and_demonstrations(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (project / "weights").mkdir()
    (project / "told.jsonl").write_text("")
    recipe = yaml.safe_load((project / "my.yaml").read_text())
    recipe["model"] = {"name": "weights"}
    recipe["tasks"]["look"]["knowledge"] = "./own_bank.yaml"
    sft = {"name": "warm", "method": "sft", "task": "look", "steps": 1, "demonstrations": "told.jsonl"}
    recipe["stages"].append(sft)
    recipe["stages"].append({**sft, "name": "warmer", "demonstrations": "below/the/root.jsonl"})
    (project / "all.yaml").write_text(yaml.safe_dump(recipe))
    monkeypatch.chdir("/")
    loaded = load_recipe(str(project / "all.yaml"))
    assert loaded.model.name == str(project / "weights")
    assert loaded.tasks["look"].knowledge == str(project / "own_bank.yaml")
    assert [s.demonstrations for s in loaded.stages[1:]] == [
        str(project / "told.jsonl"),
        "below/the/root.jsonl",
    ]
    hub = load_recipe(str(project / "all.yaml"), ["model.name=Qwen/Qwen2.5-VL-3B-Instruct"])
    assert hub.model.name == "Qwen/Qwen2.5-VL-3B-Instruct"


def test_an_override_starts_at_the_working_folder(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(project.parent)
    recipe = load_recipe(
        "study/my.yaml", ["data_root=study/pictures", "tasks.look.knowledge=study/own_bank.yaml"]
    )
    assert recipe.data_root == str(project / "pictures")
    assert recipe.tasks["look"].knowledge == str(project / "own_bank.yaml")


def test_a_bank_in_the_working_folder_is_told(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = yaml.safe_load((project / "my.yaml").read_text())
    recipe["tasks"]["look"]["knowledge"] = "study/own_bank.yaml"
    (project / "my.yaml").write_text(yaml.safe_dump(recipe))
    monkeypatch.chdir(project.parent)
    with pytest.raises(UserError, match="start at its own folder, but study/own_bank"):
        load_recipe("study/my.yaml")


def test_a_run_keeps_whole_paths_and_an_older_one_is_the_same_recipe(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = load_recipe(str(project / "my.yaml"))
    (tmp_path / "run").mkdir()
    save_recipe(recipe, tmp_path / "run" / RUN_RECIPE)
    monkeypatch.chdir("/")
    assert load_recipe(str(tmp_path / "run")) == recipe
    monkeypatch.chdir(project)
    save_recipe(recipe.model_copy(update={"data_root": "pictures"}), tmp_path / "run" / RUN_RECIPE)
    assert plan_resume(recipe, tmp_path / "run").change == ""
