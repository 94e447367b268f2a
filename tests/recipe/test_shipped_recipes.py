"""Every shipped recipe holds together; on the real data where that is at hand."""

import os
from pathlib import Path

import pytest

from vrft_aug.data.cases import load_cases
from vrft_aug.data.settings import DATA_ROOT_VARIABLE
from vrft_aug.data.splits import SPLITS
from vrft_aug.knowledge.bank import injected_text, load_bank
from vrft_aug.preview.check import check_recipe
from vrft_aug.recipe.file import load_recipe, shipped_recipes
from vrft_aug.scorer import Scorer
from vrft_aug.tasks.task import make_task

ROOT = Path(os.environ.get(DATA_ROOT_VARIABLE) or "data")


@pytest.mark.parametrize("name", shipped_recipes())
def test_rewards_and_knowledge_fit_the_tasks(name: str) -> None:
    recipe = load_recipe(name)
    for part in (part for stage in recipe.stages for part in stage.parts()):
        task = make_task(part.task, recipe.tasks[part.task])
        known = recipe.tasks[part.task].knowledge
        bank = load_bank(known) if known is not None else None
        Scorer(task, part.rewards, bank, dict.fromkeys(task.labels, 1))
        assert bank is None or injected_text(bank, task.labels, "attributes")


@pytest.mark.parametrize("name", shipped_recipes())
def test_trainer_settings_are_known_to_trl(name: str) -> None:
    from dataclasses import fields

    from trl import GRPOConfig, SFTConfig

    for stage in load_recipe(name).stages:
        config = SFTConfig if stage.method == "sft" else GRPOConfig
        assert stage.trainer.keys() <= {field.name for field in fields(config)}


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in shipped_recipes() if name.startswith("fundus-demo")])
def test_demo_recipes_check_out_without_any_data(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(DATA_ROOT_VARIABLE, raising=False)
    assert check_recipe(load_recipe(name))[-1].cases == 400


@pytest.mark.parametrize(
    ("name", "needs", "counts"),
    [
        ("retinamnist", "retinamnist.npz", {"grade": [1080, 120, 400]}),
        ("idrid-grade", "idrid", {"grade": [313, 58, 79], "lesions": [313, 58, 79]}),
        ("idrid-localise", "idrid", {"lesions": [313, 58, 79]}),
        ("idrid-beyond", "idrid", {"grade": [313, 58, 79], "lesions": [313, 58, 79]}),
        ("qwen2.5-vl-3b-idrid-full", "idrid", {"grade": [313, 58, 79], "lesions": [313, 58, 79]}),
        ("busi", "busi", {"tumour": [540, 81, 159]}),
        ("smolvlm-256m-busi", "busi", {"tumour": [540, 81, 159]}),
        ("qwen2.5-vl-7b-lora-24gb", "idrid", {"grade": [313, 58, 79]}),
        ("photo-idrid", "idrid", {"grade": [313, 58, 79], "lesions": [313, 58, 79]}),
        ("photo-retinamnist", "retinamnist.npz", {"grade": [1080, 120, 400]}),
        ("photo-busi", "busi", {"tumour": [540, 81, 159]}),
    ],
)
def test_real_data_loads_and_decodes(name: str, needs: str, counts: dict[str, list[int]]) -> None:
    if not (ROOT / needs).exists():
        pytest.skip(f"no {needs} under {ROOT} ({DATA_ROOT_VARIABLE})")
    built = ["model.name=tiny"] if name.startswith("photo-") else []  # whose base is made by its user
    recipe = load_recipe(name, [f"data_root={ROOT}", *built])
    assert check_recipe(recipe)
    for task_name, wanted in counts.items():
        config = recipe.tasks[task_name]
        task = make_task(task_name, config)
        found = [load_cases(config.data, task, recipe.root(), split) for split in SPLITS]
        assert [len(cases) for cases in found] == wanted
        owners = [{case.id.rpartition("/")[2] for case in cases} for cases in found]
        assert name.endswith("retinamnist") or not owners[0] & owners[1]
        assert found[2][-1].images[0].open().mode == "RGB"


def test_the_full_recipe_knows_what_is_in_the_picture() -> None:
    if not (ROOT / "idrid").exists():
        pytest.skip(f"no idrid under {ROOT} ({DATA_ROOT_VARIABLE})")
    recipe = load_recipe("idrid-full", [f"data_root={ROOT}"])
    grade = recipe.tasks["grade"]
    cases = load_cases(grade.data, make_task("grade", grade), recipe.root(), "train")
    assert all(case.target.boxes is not None for case in cases)
    found = {box.label for case in cases for box in case.target.boxes or ()}
    assert found == {"hard exudates"} <= load_bank("idrid").findings.keys()


def test_grading_and_localising_share_their_splits() -> None:
    if not (ROOT / "idrid").exists():
        pytest.skip(f"no idrid under {ROOT} ({DATA_ROOT_VARIABLE})")
    recipe = load_recipe("idrid-grade", [f"data_root={ROOT}"])
    for split in SPLITS:
        lesions, grade = (
            load_cases(config.data, make_task(name, config), recipe.root(), split)
            for name, config in recipe.tasks.items()
        )
        assert [case.id for case in lesions] == [case.id for case in grade]
