"""`vrft score`: which stage, which case, what comes out, and that one bad line stops it all."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from helpers.data_files import COCO, CSV, recipe_mapping, save_coco, save_csv, save_table
from vrft_aug.errors import UserError
from vrft_aug.preview.score_file import score_file, write_template
from vrft_aug.recipe.schema import Recipe

RIGHT = "<think>It is bright.</think><answer>bright</answer>"


def classify(root: Path, **changed: Any) -> Recipe:
    save_table(root)
    return Recipe.model_validate(recipe_mapping(root, "classify", ["dark", "bright"], CSV) | changed)


def lines_file(root: Path, *lines: dict[str, Any] | str) -> Path:
    path = root / "completions.jsonl"
    path.write_text("".join((line if isinstance(line, str) else json.dumps(line)) + "\n" for line in lines))
    return path


def test_lines_come_back_in_order_with_every_term(tmp_path: Path) -> None:
    recipe = classify(tmp_path)
    path = lines_file(
        tmp_path,
        {"case": "set/test/i3", "completion": RIGHT},
        {"case": "set/test/i3", "completion": "bright"},
        {"case": "set/test/i3", "completion": "<think>", "finished": False},
        {"case": "set/test/i7", "completion": RIGHT.replace("bright<", "dark<"), "stage": "ignored"},
    )
    right, bare, cut, wrong = score_file(recipe, path)
    assert right == {
        "case": "set/test/i3",
        "answer": "bright",
        "truth": "bright",
        "reason": None,
        "total": 1.2,
        "terms": {"format": 1.0, "accuracy": 1.0},
    }
    assert (bare["answer"], bare["reason"], bare["total"]) == (
        "bright",
        None,
        1,
    )  # right, but without the format
    assert cut["reason"] == "truncated"
    assert (wrong["answer"], wrong["terms"]["accuracy"]) == ("dark", 0)


def test_strict_reading_wants_the_tags(tmp_path: Path) -> None:
    recipe = classify(tmp_path)
    strict = recipe.tasks["look"].model_copy(update={"answer_mode": "strict"})
    path = lines_file(tmp_path, {"case": "set/test/i3", "completion": "bright"})
    (bare,) = score_file(recipe.model_copy(update={"tasks": {"look": strict}}), path)
    assert (bare["answer"], bare["reason"], bare["total"]) == (None, "missing", 0)


def test_cases_of_every_split_are_known(tmp_path: Path) -> None:
    recipe = classify(tmp_path)
    ids = [f"set/{split}/i{i}" for i in range(12) for split in ("train", "validation", "test")]
    known = []
    for id in ids:
        try:
            known += score_file(recipe, lines_file(tmp_path, {"case": id, "completion": ""}))
        except UserError:
            continue
    assert len(known) == 12


def test_the_last_rewarded_stage_of_the_evaluated_task_is_used_unless_one_is_named(tmp_path: Path) -> None:
    stage = {"method": "grpo", "task": "look", "steps": 1}
    stages = [
        {**stage, "name": "first", "rewards": {"format": 1}},
        {**stage, "name": "second", "rewards": {"accuracy": 1}},
        {"name": "third", "method": "sft", "task": "look", "steps": 1},
    ]
    recipe = classify(tmp_path, stages=stages)
    path = lines_file(tmp_path, {"case": "set/test/i3", "completion": RIGHT})
    assert list(score_file(recipe, path)[0]["terms"]) == ["accuracy"]
    assert list(score_file(recipe, path, "first")[0]["terms"]) == ["format"]
    for name in ("third", "frist"):
        with pytest.raises(UserError, match=f"no stage '{name}' with rewards.*first, second"):
            score_file(recipe, path, name)
    with pytest.raises(UserError, match="no stage with rewards for task 'look'"):
        score_file(classify(tmp_path, stages=stages[2:]), path)


def test_knowledge_in_the_prompt_reaches_the_recitation_term(tmp_path: Path) -> None:
    bank = tmp_path / "bank.yaml"
    bank.write_text(
        "name: b\ntitle: t\nauthor: a\nreviewed: false\nsources: [a book]\nclasses:\n"
        "  dark: {definition: the picture as a whole is very dark}\n  bright: {definition: not dark}\n"
    )
    mapping = recipe_mapping(tmp_path, "classify", ["dark", "bright"], CSV)
    mapping["tasks"]["look"]["knowledge"] = str(bank)
    mapping["stages"][0] |= {"rewards": {"recitation": 1}, "injection": {"style": "definitions"}}
    save_table(tmp_path)
    copied = "<think>the picture as a whole is very dark</think><answer>dark</answer>"
    path = lines_file(
        tmp_path,
        {"case": "set/test/i3", "completion": copied},
        {"case": "set/test/i3", "completion": "<think>shadows, mostly</think><answer>dark</answer>"},
    )
    recited, own = score_file(Recipe.model_validate(mapping), path)
    assert recited["terms"]["recitation"] < -0.8  # all but the label in front is copied
    assert own["terms"]["recitation"] == 0


def test_boxes_are_read_in_the_models_pixels_and_given_in_the_originals(tmp_path: Path) -> None:
    save_coco(tmp_path, {"a.png": [("spot", [0, 0, 280, 140])]}, size=(560, 280))
    save_csv(tmp_path / "set/splits.csv", [["image", "split"], ["a.png", "test"]])
    mapping = recipe_mapping(tmp_path, "localise", ["spot"], COCO | {"splits": "set/splits.csv"})
    # Half the size: 39,200 pixels are 280 x 140.
    mapping["model"] = {"name": "Qwen/Qwen2.5-VL-3B-Instruct", "max_pixels": 39_200}
    boxes = '[{"bbox_2d":[0,0,140,70],"label":"spot"}]'
    path = lines_file(
        tmp_path, {"case": "set/test/a", "completion": f"<think>there</think><answer>{boxes}</answer>"}
    )
    (result,) = score_file(Recipe.model_validate(mapping), path)
    assert result["answer"] == result["truth"] == [{"bbox": [0, 0, 280, 140], "label": "spot"}]
    assert result["terms"]["iou"] == 1 and "note" not in result
    for corners, why in (
        ("[0,0,560,280]", "outside: .* 280 x 140 .*looks like pixels of the original picture, 560 x 280"),
        ("[0,0,1000,280]", "coordinates go to 280 x 140 \\(pixels of the picture as the model sees it"),
        ("[9,9,3,12]", "box 1 is inverted"),
        ("[9,9,30,9]", "box 1 has no height"),
        ("[9,9,30]", "neither JSON|no list of four numbers"),
    ):
        said = f'<think>there</think><answer>[{{"bbox_2d":{corners},"label":"spot"}}]</answer>'
        path = lines_file(tmp_path, {"case": "set/test/a", "completion": said})
        (bad,) = score_file(Recipe.model_validate(mapping), path)
        assert bad["reason"] == "malformed" and re.search(why, bad["note"]), bad


def test_a_template_names_cases_and_never_replaces_a_file(tmp_path: Path) -> None:
    recipe, path = classify(tmp_path), tmp_path / "fill.jsonl"
    assert write_template(recipe, path, 2) == 2
    results = score_file(recipe, path)
    assert [result["reason"] for result in results] == ["missing", "missing"]
    with pytest.raises(UserError, match="exists already"):
        write_template(recipe, path, 2)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", r"completions.jsonl line 2 is no JSON"),
        ("[]", r"completions.jsonl line 2: the line is a list"),
        ({"case": "set/test/i3"}, r"line 2: completion is missing"),
        ({"case": 3, "completion": ""}, r"line 2: case is 3"),
        ({"case": "set/test/i3", "completion": None}, r"line 2: completion is empty"),
        ({"case": "set/test/i3", "completion": "", "finished": "yes"}, r"line 2: finished is 'yes'"),
        ({"case": "i4", "completion": ""}, r"line 2: task 'look' has no case 'i4'.*set/test/i3"),
    ],
)
def test_a_bad_line_is_named(tmp_path: Path, line: Any, message: str) -> None:
    path = lines_file(tmp_path, {"case": "set/test/i3", "completion": RIGHT}, line)
    with pytest.raises(UserError, match=message) as caught:
        score_file(classify(tmp_path), path)
    assert "\n" not in str(caught.value)


def test_absent_and_empty_files(tmp_path: Path) -> None:
    recipe = classify(tmp_path)
    with pytest.raises(UserError, match=r"absent.jsonl cannot be read"):
        score_file(recipe, tmp_path / "absent.jsonl")
    with pytest.raises(UserError, match=r"completions.jsonl is empty"):
        score_file(recipe, lines_file(tmp_path, ""))
