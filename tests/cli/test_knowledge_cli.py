"""The knowledge commands, and where a run says what it was told."""

import json
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner, Result

from helpers.shades import shade_recipe
from helpers.written_bank import CONTENT, agree_to, changed, write_bank
from vrft_aug.cli import app
from vrft_aug.errors import UserError
from vrft_aug.evaluation.provenance import knowledge_uses
from vrft_aug.knowledge.bank import load_bank, shipped_banks
from vrft_aug.perception.spaces import BoxSpace
from vrft_aug.recipe.file import load_recipe
from vrft_aug.recipe.task_config import Injection
from vrft_aug.tasks.taskset import load_taskset

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
        (f"{head}{{}}\n".replace("[x]", "{x: a book, page 3}"), "sources.page 3 is empty; expected text"),
        (f"{head}{{mild: {{definition: d, attributes: [{{what: w, color: red}}]}}}}\n", "attributes.0.color"),
    ):
        path.write_text(text)
        result = vrft("knowledge", "show", path)
        assert result.exit_code == 2 and says in result.stderr and result.stderr.count("\n") == 1
    path.write_bytes(b"\xff\xfe\x00")
    assert "cannot be read as UTF-8" in vrft("knowledge", "show", path).stderr


WRONG = {
    "an unknown finding": (
        ("classes", "mild", "typical"),
        {"atlas": ["dotts"]},
        "class 'mild': finding 'dotts' is not listed under findings; did you mean 'dots'?",
    ),
    "a circle": (
        ("findings", "dots"),
        {"includes": ["lesions"]},
        "findings include each other in a circle: dots -> lesions -> dots",
    ),
    "a finding that excludes its own kind": (
        ("findings", "dots"),
        {"excludes": ["lesions"]},
        "finding 'dots' excludes 'lesions', though one is a kind of the other",
    ),
    "an unknown finding to exclude": (
        ("findings", "dots"),
        {"excludes": ["blot"]},
        "finding 'dots' excludes 'blot', which is not listed under findings; did you mean 'blots'?",
    ),
    "a class that excludes what defines it": (
        ("classes", "mild", "excludes"),
        {"book": ["lesions"]},
        "class 'mild': is told by 'dots' and excludes 'lesions', of which it is a kind",
    ),
    "a word twice": (
        ("findings", "haze"),
        ["Stain"],
        "findings 'blots' and 'haze' are both called 'Stain'",
    ),
    "a class name twice": (
        ("classes", "severe", "synonyms"),
        ["Mild"],
        "classes 'mild' and 'severe' are both called 'Mild'",
    ),
    "a source missing": (
        ("classes", "mild", "source"),
        None,
        "class 'mild': definition names no source; expected one of atlas, book, review",
    ),
    "a source that is none": (
        ("classes", "mild", "excludes"),
        {"atlass": ["blots"]},
        "class 'mild': excludes 'blots' has the unknown source 'atlass'; did you mean 'atlas'?",
    ),
}


@pytest.mark.parametrize("fault", WRONG)
def test_a_faulty_bank_is_one_line_with_file_class_and_near_name(tmp_path: Path, fault: str) -> None:
    path, value, says = WRONG[fault]
    bank = write_bank(tmp_path, changed(path, value))
    checked = vrft("knowledge", "check", bank)
    assert (checked.exit_code, checked.stderr.count("\n")) == (2, 1)
    assert checked.stderr.startswith(f"error: knowledge bank {bank}: {says}") and len(checked.stderr) < 500
    own = [*FEW, f"tasks.grade.knowledge={bank}", "tasks.grade.labels=[none, mild, severe]"]
    refused = vrft("check", "fundus-demo", *own)
    assert (refused.exit_code, refused.stderr.count("\n")) == (2, 1)
    assert refused.stderr.startswith(f"error: task 'grade': knowledge bank {bank}: {says}")
    with pytest.raises(UserError, match=r"^task 'grade': knowledge bank "):  # as training and scoring begin
        load_taskset(load_recipe("fundus-demo", own), "grade", "train", Injection(), BoxSpace("processed"))


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


def test_try_prints_lines_or_json(tmp_path: Path) -> None:
    bank, file = write_bank(tmp_path), tmp_path / "s.jsonl"
    file.write_text('{"class": "mild", "text": "Dots, no stains."}\n', encoding="utf-8")
    assert vrft("knowledge", "try", bank, file).stdout.splitlines() == [
        "1.00  mild: Dots, no stains.",
        "      present dots at 0-4: speaks for the class",
        "      absent blots (“stains”) at 9-15, denied before it: its absence says nothing",
    ]
    (told,) = json.loads(vrft("knowledge", "try", bank, file, "--json").stdout)
    assert told["class"] == "mild" and told["consistency"] == 1 and told["clashes"] == []
    assert told["findings"][1] == {
        "finding": "blots", "words": "stains", "start": 9, "end": 15, "polarity": "absent",
        "why": "denied before it", "side": None, "standing": "its absence says nothing",
    }  # fmt: skip
    file.write_text('{"class": "mld", "text": "Dots."}\n', encoding="utf-8")
    refused = vrft("knowledge", "try", bank, file)
    assert refused.exit_code == 2 and "line 1: class 'mld' is none of bank 'mine'; did you" in refused.stderr


def test_matrix_prints_or_writes_a_page_once(tmp_path: Path) -> None:
    bank, page = write_bank(tmp_path), tmp_path / "m.html"
    assert "dots    (XA)   T*   m?" in vrft("knowledge", "matrix", bank).stdout.splitlines()
    assert vrft("knowledge", "matrix", bank, "--html", page).stdout == (
        f"wrote {page}: 4 findings, 3 classes\n"
    )
    page.write_text("mine")
    again = vrft("knowledge", "matrix", bank, "--html", page)
    assert again.exit_code == 2 and "exists already" in again.stderr and page.read_text() == "mine"
    assert vrft("knowledge", "matrix", bank, "--html", page, "--overwrite").exit_code == 0
    assert page.read_text("utf-8").startswith("<!doctype html>")


def answered(bank: Path, answers: str, *arguments: object) -> Result:
    command = ["knowledge", "review", str(bank), *map(str, arguments)]
    return CliRunner().invoke(app, command, input=answers)


def test_review_walks_through_facts_keeps_each_answer_and_goes_on(tmp_path: Path) -> None:
    bank, kept = write_bank(tmp_path), tmp_path / "mine.review.jsonl"
    first = answered(bank, "y\nperhaps\nn only red ones\ns\nq\n", "--who", "Dr A", "--class", "mild")
    assert first.exit_code == 0
    assert "7 facts to read" in first.stdout and "[1/7] mild: definition\n  Dots only.\n" in first.stdout
    assert "'perhaps' is not understood" in first.stdout
    assert f"mine: 1 of 19 facts agreed to, 1 disputed; written to {kept}" in first.stdout
    lines = [json.loads(line) for line in kept.read_text("utf-8").splitlines()]
    assert [(one["of"], one["agrees"], one["note"]) for one in lines] == [
        ("mild: definition", True, ""),
        ("mild: attribute 1", False, "only red ones"),
    ]
    assert "5 facts to read" in answered(bank, "", "--who", "Dr A", "--class", "mild").stdout
    assert "7 facts to read" in answered(bank, "", "--who", "Dr B", "--class", "mild").stdout
    assert vrft("knowledge", "review", bank, "--status").stdout == (
        "mine: 1 of 19 facts agreed to, 1 disputed\ndisputed: mild: attribute 1: dots: red\n"
    )


def test_review_elsewhere_says_that_it_does_not_count_there(tmp_path: Path) -> None:
    bank, other = write_bank(tmp_path), tmp_path / "other.jsonl"
    told = answered(bank, "y\n", "--who", "Dr A", "--output", other).stdout
    assert "it counts where it lies beside the bank, as mine.review.jsonl" in told
    assert other.is_file() and not (tmp_path / "mine.review.jsonl").exists()
    assert (
        vrft("knowledge", "review", bank, "--status").stdout == "mine: 0 of 19 facts agreed to, 0 disputed\n"
    )


def test_review_needs_a_name_and_a_class_that_is_there(tmp_path: Path) -> None:
    bank = write_bank(tmp_path)
    assert "who reviews is empty" in answered(bank, "y\n").stderr
    wrong = answered(bank, "y\n", "--who", "Dr A", "--class", "midl")
    assert wrong.exit_code == 2 and "has no class 'midl'; did you mean 'mild'?" in wrong.stderr
    assert list(tmp_path.iterdir()) == [bank]


def test_diff_prints_lines_or_json(tmp_path: Path) -> None:
    one = write_bank(tmp_path)
    two = write_bank(tmp_path, changed(("findings", "haze"), ["fog"]), "two.yaml")
    assert vrft("knowledge", "diff", one, two).stdout == (
        "~ words of 'haze': no other words -> also: fog\n1 differences\n"
    )
    assert json.loads(vrft("knowledge", "diff", one, two, "--json").stdout) == [
        {"change": "changed", "where": "words of 'haze'", "before": "no other words", "after": "also: fog"}
    ]
    assert vrft("knowledge", "diff", one, one).stdout == "no difference\n"


def test_upgrade_writes_beside_the_old_file_and_never_over_one(tmp_path: Path) -> None:
    old = tmp_path / "old.yaml"
    old.write_bytes((Path(__file__).parents[1] / "knowledge" / "old_banks" / "idrid.yaml").read_bytes())
    told = vrft("knowledge", "upgrade", old).stdout
    new = tmp_path / "old-upgraded.yaml"
    assert told.startswith(f"wrote {new}: 8 lists renamed") and "present:" not in new.read_text("utf-8")
    again = vrft("knowledge", "upgrade", old)
    assert again.exit_code == 2 and "exists already" in again.stderr
    assert vrft("knowledge", "upgrade", old, "--output", tmp_path / "x.yaml").exit_code == 0
    assert "nothing to upgrade" in vrft("knowledge", "upgrade", new, "-o", tmp_path / "y.yaml").stderr
    assert not (tmp_path / "y.yaml").exists()


def test_check_says_loudly_that_a_reward_pays_by_what_nobody_reviewed(tmp_path: Path) -> None:
    paid = [*FEW, "stages.grade.rewards.consistency=0.5"]
    (line,) = [line for line in vrft("check", "fundus-demo", *paid).stdout.splitlines() if "WARNING" in line]
    assert line.startswith(
        "WARNING: stage 'grade' pays consistency by the facts of knowledge bank 'fundus': "
    )
    told = json.loads(vrft("check", "fundus-demo", *paid, "--json").stdout)["unreviewed"]
    assert [f"WARNING: {one}" for one in told] == [line]
    assert "WARNING" not in vrft("check", "fundus-demo", *FEW).stdout
    own = tmp_path / "own.yaml"
    own.write_text(vrft("knowledge", "show", "fundus").stdout, encoding="utf-8")
    agree_to(own)
    assert "WARNING" not in vrft("check", "fundus-demo", *paid, f"tasks.grade.knowledge={own}").stdout
    assert CONTENT["name"] not in line
