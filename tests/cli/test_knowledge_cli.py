"""The knowledge commands, and where a run says what it was told."""

import json
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner, Result

from helpers.shades import shade_recipe
from vrft_aug.cli import app
from vrft_aug.evaluation.provenance import knowledge_uses
from vrft_aug.knowledge.bank import load_bank, shipped_banks
from vrft_aug.recipe.file import load_recipe

FEW = [f"tasks.{task}.data.{split}=2" for task in ("lesions", "grade") for split in ("train", "test")]


def vrft(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def test_all_shipped_banks_are_listed_and_pass() -> None:
    listed = vrft("knowledge", "list").stdout.splitlines()
    checked = vrft("knowledge", "check")
    assert checked.exit_code == 0
    assert [line.split(":")[0] for line in listed] == shipped_banks()
    assert [line.split(":")[0] for line in checked.stdout.splitlines()] == shipped_banks()
    assert all(" ok, " in line and "not reviewed" in line for line in checked.stdout.splitlines())


def test_a_bank_is_shown_as_the_yaml_that_it_can_be_loaded_from(tmp_path: Path) -> None:
    for name in ("idrid", "fundus"):
        path = tmp_path / f"{name}.yaml"
        path.write_text(vrft("knowledge", "show", name).stdout)
        assert load_bank(str(path)) == load_bank(name)


def test_check_names_the_first_problem_and_counts(tmp_path: Path) -> None:
    assert vrft("knowledge", "check", "busi", "normal", "maligant").stderr == (
        "error: knowledge bank 'busi' has no class 'maligant'; did you mean 'malignant'?\n"
    )
    assert "'bussi' not found" in vrft("knowledge", "check", "bussi").stderr
    content = yaml.safe_load(vrft("knowledge", "show", "busi").stdout)
    content["classes"]["benign"]["source"] = "birad"
    del content["classes"]["normal"]["source"]
    path = tmp_path / "mine.yaml"
    path.write_text(yaml.safe_dump(content, sort_keys=False))
    result = vrft("knowledge", "check", path)
    assert result.exit_code == 2
    assert "class 'normal': definition names no source; expected one of birads, " in result.stderr
    assert result.stderr.endswith("(and 1 more)\n")
    counted = json.loads(vrft("knowledge", "check", "busi", "--json").stdout)
    assert counted == {
        "bank": "busi", "reviewed": False, "facts": {"sourced": 40, "review": 32, "whole": 0}, "problems": [],
    }  # fmt: skip
    assert "words; expected at most 30" in vrft("knowledge", "check", "busi", "--words", "30").stderr


def test_a_broken_bank_ends_in_one_line(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    head = "name: b\ntitle: t\nauthor: a\nreviewed: false\nsources: [x]\nclasses: "
    for text, says in (
        ("a: [", "is not valid YAML"),
        ("name: b\nname: c\n", "'name' twice"),
        ("just words", "the file is 'just words'; expected a mapping"),
        ("name: b\nclases: {}\n", "expected a knowledge bank"),
        (f"{head}{{mild: {{definition: d, attributes: [{{what: w, color: red}}]}}}}\n", "attributes.0.color"),
    ):
        path.write_text(text)
        result = vrft("knowledge", "show", path)
        assert result.exit_code == 2 and says in result.stderr and result.stderr.count("\n") == 1
    path.write_bytes(b"\xff\xfe\x00")
    assert "cannot be read as UTF-8" in vrft("knowledge", "show", path).stderr


def test_a_run_says_which_banks_it_was_told_and_that_nobody_reviewed_them(tmp_path: Path) -> None:
    recipe = load_recipe("fundus-demo", ["evaluation.injection.style=attributes"])
    uses = knowledge_uses(recipe)
    assert [(use.user, use.bank, use.style, use.reviewed) for use in uses] == [
        ("grade", "fundus", "definitions", False),
        ("evaluation", "fundus", "attributes", False),
    ]
    assert uses[0].hash == uses[1].hash and len(uses[0].hash) == 12
    assert knowledge_uses(shade_recipe(tmp_path)) == ()
    told = vrft("check", "fundus-demo", *FEW).stdout.splitlines()
    assert "knowledge in grade: fundus (definitions), not reviewed" in told
    assert (
        json.loads(vrft("check", "fundus-demo", *FEW, "--json").stdout)["knowledge"][0]["reviewed"] is False
    )


INJECTED = [*FEW, "evaluation.injection={style: attributes, budget: 70, order: random, place: system}"]


def test_prompt_counts_words_where_no_tokenizer_is_asked() -> None:
    plain = json.loads(vrft("prompt", "fundus-demo", *INJECTED, "--no-tokens", "--json").stdout)
    assert plain["tokens"] is None and 42 < plain["parts"]["knowledge"] <= 70
    assert set(plain["parts"]) == {"system", "question", "knowledge"}
    refused = vrft("prompt", "fundus-demo", "evaluation.injection={style: attributes, budget: 9}")
    assert refused.exit_code == 2 and "injection.budget 9 does not hold the definitions" in refused.stderr
    wrong = vrft("prompt", "fundus-demo", "evaluation.injection={style: shufled}").stderr
    assert "is 'shufled'; expected 'none', " in wrong


@pytest.mark.slow
def test_prompt_counts_tokens_by_part() -> None:
    shown = json.loads(vrft("prompt", "fundus-demo", *INJECTED, "--json").stdout)
    assert sum(shown["parts"].values()) == shown["tokens"]
    assert shown["parts"]["image"] == 49 and shown["parts"]["knowledge"] > 50
    assert set(shown["parts"]) == {"system", "question", "knowledge", "image", "chat"}
