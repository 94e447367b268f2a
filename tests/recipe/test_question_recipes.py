"""The recipes for public question sets, on files of their layouts that are drawn here; and the demo's."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from helpers.data_files import save_image
from vrft_aug.data.cases import EmptySplit, load_cases
from vrft_aug.errors import UserError
from vrft_aug.nouns import Case
from vrft_aug.preview.check import check_recipe
from vrft_aug.recipe.file import load_recipe
from vrft_aug.recipe.schema import Recipe
from vrft_aug.tasks.task import make_task

WHERE = {"closed": "Is there an effusion?", "open": "Where is it?"}


def pictures(folder: Path, count: int = 6) -> list[str]:
    return [save_image(folder / f"i{i}.png", seed=i).name for i in range(count)]


def write_vqa_rad(root: Path) -> None:
    names = pictures(root / "vqa-rad" / "VQA_RAD Image Folder")
    records: list[dict[str, Any]] = [
        {"qid": i, "phrase_type": ("freeform", "para", "test_freeform", "test_para")[i % 4],
         "image_name": names[i % 6], "image_organ": ("CHEST", "HEAD")[i % 2],
         "question": WHERE["closed" if i % 3 else "open"], "question_type": "PRES",
         "answer": "Yes" if i % 3 else "left lung", "answer_type": "CLOSED " if i % 3 else "OPEN"}
        for i in range(24)
    ]  # fmt: skip
    (root / "vqa-rad" / "VQA_RAD Dataset Public.json").write_text(json.dumps(records))


def write_slake(root: Path) -> None:
    names = pictures(root / "slake" / "imgs")
    for part, own in (("train", names[:4]), ("validate", names[4:5]), ("test", names[5:])):
        records = [
            {"img_id": i, "img_name": name, "question": ("Is it an MRI?", "这是什么?")[language == "zh"],
             "answer": "Yes" if language == "en" else "肺", "q_lang": language, "location": "Lung",
             "modality": "MRI", "answer_type": "CLOSED", "base_type": "vqa", "triple": ["vhead", "_", "_"],
             "content_type": "Modality", "qid": 10 * i + (language == "zh")}
            for i, name in enumerate(own) for language in ("en", "zh")
        ]  # fmt: skip
        (root / "slake" / f"{part}.json").write_text(json.dumps(records, ensure_ascii=False))


def write_pmc_vqa(root: Path) -> None:
    names = pictures(root / "pmc-vqa" / "images")
    head = "Figure_path,Question,Answer,Choice A,Choice B,Choice C,Choice D,Answer_label\n"
    for part, own in (("train", names[:4]), ("test", names[4:])):
        rows = [f"{name},Which modality?,B,A:CT ,B:MRI ,C:PET ,D:film ,B\n" for name in own]
        (root / "pmc-vqa" / f"{part}.csv").write_text(head + "".join(rows))


WRITTEN = {"vqa-rad": write_vqa_rad, "slake": write_slake, "pmc-vqa-choice": write_pmc_vqa}
COUNTS = {"vqa-rad": [12, 0, 12], "slake": [4, 1, 1], "pmc-vqa-choice": [4, 0, 2]}


def cases(recipe: Recipe, split: str) -> list[Case]:
    name = recipe.evaluation.task
    config = recipe.tasks[name]
    try:
        return load_cases(config.data, make_task(name, config), recipe.root(), split)
    except EmptySplit:
        return []


@pytest.mark.parametrize("name", WRITTEN)
def test_a_recipe_reads_files_of_its_layout(name: str, tmp_path: Path) -> None:
    WRITTEN[name](tmp_path)
    recipe = load_recipe(name, [f"data_root={tmp_path}"])
    checked = check_recipe(recipe)
    assert [one.cases for one in checked] == [COUNTS[name][0], COUNTS[name][2]]
    found = [cases(recipe, split) for split in ("train", "validation", "test")]
    assert [len(one) for one in found] == COUNTS[name]
    for case in found[0]:
        assert case.picture is not None and case.images[0].open().mode == "RGB"
    facets = Counter(facet for case in found[0] + found[2] for facet in case.facets)
    if name == "vqa-rad":
        assert facets["type", "closed"] == 16 and facets["type", "open"] == 8
        assert facets["organ", "chest"] == 12 and facets["topic", "pres"] == 24
    elif name == "slake":
        assert facets["language", "en"] == 5 and ("language", "zh") not in facets
    else:
        assert {case.target.label for case in found[0]} == {"MRI"}
        assert len({case.options.index("MRI") for case in found[0] + found[2]}) > 1  # shuffled


def test_slake_in_both_languages(tmp_path: Path) -> None:
    write_slake(tmp_path)
    recipe = load_recipe("slake", [f"data_root={tmp_path}", "tasks.ask.data.keep={}"])
    assert Counter(dict(case.facets)["language"] for case in cases(recipe, "train")) == {"en": 4, "zh": 4}


@pytest.mark.parametrize("name", WRITTEN)
def test_absent_data_is_one_line(name: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="does not exist") as error:
        check_recipe(load_recipe(name, [f"data_root={tmp_path}"]))
    assert "\n" not in str(error.value) and len(str(error.value)) < 500


def test_the_demo_of_questions_checks_out_without_any_data() -> None:
    small = [f"tasks.{task}.data.{split}=8" for task in ("choose", "ask") for split in ("train", "test")]
    recipe = load_recipe("vqa-demo", small)
    checked = check_recipe(recipe)
    assert len(checked) == 1 + sum(len(stage.parts()) for stage in recipe.stages)
    assert all(8 < one.cases <= 24 for one in checked)
