"""`vrft data` and `vrft check` on audits: output, files, what is accepted, wrong inputs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from PIL import Image, ImageOps
from typer.testing import CliRunner

from helpers.data_files import CSV, recipe_mapping, save_recipe_mapping, save_table
from helpers.scan_questions import rows_with, save_questions
from helpers.scans import Scans, draw_scan, named
from vrft_aug.cli import app
from vrft_aug.data.finding_kinds import FINDING_KINDS
from vrft_aug.preview.audit.saved_audit import load_audit
from vrft_aug.preview.path_audit import audit_path
from vrft_aug.recipe.file import load_recipe, save_recipe


def run(*words: str) -> tuple[int, str]:
    """Exit code, and what was said: standard output, or the error line."""
    result = CliRunner().invoke(app, list(words))
    return result.exit_code, result.stderr if result.exit_code else result.stdout


@pytest.fixture
def leaking(tmp_path: Path) -> Scans:
    """A mirrored copy of a training picture in the test split."""
    scans = Scans(tmp_path, 16)
    scans.add(ImageOps.mirror(scans.picture(1)), "new.png", "across", "test", "q1")
    return scans


def test_the_command_says_all_and_writes_json_that_reads_back(leaking: Scans, tmp_path: Path) -> None:
    saved = tmp_path / "out" / "audit.json"
    code, said = run("data", str(leaking.save()), "--json", str(saved))
    assert code == 0
    assert "look (classify): train " in said and "17 patients; 17 pictures" in said
    assert "wrong: altered-copies-across-splits (look): 1 pair of a picture and an altered copy" in said
    assert "scans/train/s1, scans/test/new: train and test: mirrored left to right; likeness 1.00" in said
    assert "test: 17 pictures opened; findings: 1 wrong" in said
    audit = load_audit(saved)
    assert named(audit)["altered-copies-across-splits"].count == 1
    code, said = run("data", str(leaking.save()), "--json", "-")
    assert json.loads(said) == json.loads(saved.read_text())


def test_check_with_decode_fails_until_it_is_accepted(leaking: Scans) -> None:
    path = leaking.save()
    code, said = run("check", str(path), "--decode")
    assert code == 2 and said.count("\n") == 1 and len(said) < 500
    assert "altered-copies-across-splits: task look, 1 pair of a picture and an altered copy" in said
    assert "data.accept: [altered-copies-across-splits]" in said
    assert "(scans/train/s1, scans/test/new)" in said
    assert run("check", str(path))[0] == 0  # without, no picture's content is compared
    code, said = run("check", str(leaking.save(accept=["altered-copies-across-splits"])), "--decode")
    assert code == 0
    code, said = run("data", str(path), "tasks.look.data.accept=[altered-copies-across-splits]")
    assert "accepted: altered-copies-across-splits" in said and "0 wrong, " in said


def test_check_always_finds_what_needs_no_picture(tmp_path: Path) -> None:
    """A picture is asked about in train and in test."""
    rows = [row | {"split": "test" if number > 8 else "train"} for number, row in enumerate(rows_with())]
    assert run("check", str(save_questions(tmp_path, rows, split="split")))[0] == 0
    rows[11]["image"] = "i2.png"
    code, said = run("check", str(save_questions(tmp_path, rows, split="split")))
    assert code == 2 and said.count("\n") == 1
    assert "copies-across-splits: task look, 1 picture in two splits or more (2 cases)" in said
    kept = ["copies-across-splits"]
    assert run("check", str(save_questions(tmp_path, rows, split="split", accept=kept)))[0] == 0


def test_warnings_of_the_whole_audit_are_lines_of_check(tmp_path: Path) -> None:
    scans = Scans(tmp_path)
    scans.add(scans.picture(0), "again.png", "along", "train", "p0")
    code, said = run("check", str(scans.save()), "--decode")
    assert code == 0
    assert "  warning: look: 1 group of equal pictures within a split, 1 too many (copies)" in said
    assert "(copies)" not in run("check", str(scans.save(accept=["copies"])), "--decode")[1]


def test_one_list_accepts_what_readers_refuse_too(tmp_path: Path) -> None:
    scans = Scans(tmp_path, 16)
    scans.add(draw_scan(99), "x.png", "along", "test", "p0")
    assert "is in two splits" in run("check", str(scans.save()))[1]
    assert run("check", str(scans.save(accept=["shared-patients"])))[0] == 0
    recipe = load_recipe(str(scans.save(accept=["shared-patients", "unused-labels"])))
    data: Any = recipe.tasks["look"].data
    assert (data.shared_patients, data.unused_labels) == ("accept", "accept")
    save_recipe(recipe, tmp_path / "saved.yaml")
    assert load_recipe(str(tmp_path / "saved.yaml")) == recipe


def test_an_unknown_name_is_refused_with_the_nearest(tmp_path: Path) -> None:
    path = save_recipe_mapping(
        tmp_path / "m.yaml",
        recipe_mapping(tmp_path, "classify", ["a", "b"], CSV | {"accept": ["copies-accross-splits"]}),
    )
    code, said = run("data", str(path))
    assert code == 2 and said.count("\n") == 1
    assert "'copies-accross-splits'; did you mean 'copies-across-splits'?" in said
    path = save_recipe_mapping(
        tmp_path / "m.yaml", recipe_mapping(tmp_path, "classify", ["a", "b"], CSV | {"accept": "copies"})
    )
    assert run("data", str(path))[0] == 2


@pytest.mark.parametrize("name", FINDING_KINDS)
def test_every_kind_is_documented_and_says_what_to_do(name: str) -> None:
    page = (Path(__file__).parents[3] / "docs" / "how-to" / "audit.md").read_text("utf-8")
    assert f"`{name}`" in page
    kind = FINDING_KINDS[name]
    assert f"| `{name}` | {kind.level} |" in page
    assert kind.advice.endswith((".", "?"))


# A path without a recipe ----------------------------------------------------------------------------------


def folder(root: Path, *places: str, each: int = 4) -> Path:
    for number, place in enumerate(places):
        for count in range(each):
            path = root / place / f"{count}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            draw_scan(10 * number + count).save(path)
    return root


def test_a_folder_of_classes_and_splits_is_read_by_its_names(tmp_path: Path) -> None:
    top = folder(tmp_path / "xray", "train/NORMAL", "train/SICK", "val/NORMAL", "test/NORMAL", "test/SICK")
    draw_scan(0).save(top / "test" / "SICK" / "9.png")  # train/NORMAL/0.png
    audit, cases = audit_path(top, lambda what, done, of: None)
    (task,) = audit.tasks
    assert task.kind == "classify"
    assert [(one.split, one.cases, one.labels) for one in task.splits] == [
        ("train", 8, {"NORMAL": 4, "SICK": 4}),
        ("validation", 4, {"NORMAL": 4, "SICK": 0}),
        ("test", 9, {"NORMAL": 4, "SICK": 5}),
    ]
    found = named(audit)
    assert found["copies-across-splits"].examples[0].cases == ("train/NORMAL/0.png", "test/SICK/9.png")
    assert found["contradicting-labels"].examples[0].text == "NORMAL or SICK"
    assert set(cases) >= {"train/NORMAL/0.png"}


def test_a_folder_without_classes_is_audited_for_its_pictures(tmp_path: Path) -> None:
    top = folder(tmp_path / "films", "images")
    (top / "images" / "5.png").write_bytes((top / "images" / "1.png").read_bytes()[:2000])
    (top / "images" / "notes.txt").write_text("x")
    code, said = run("data", str(top))
    assert code == 0
    assert "pictures (answer): train 5" in said
    assert "wrong: unreadable (pictures): 1 picture that cannot be opened" in said
    code, said = run("data", str(top / "images" / "1.png"))
    assert code == 0 and "1 picture opened" in said


def test_a_table_is_read_as_a_first_recipe_would(tmp_path: Path) -> None:
    scans = Scans(tmp_path)
    scans.add(scans.picture(0), "again.png", "along", "test", "q")
    scans.save()
    (tmp_path / "mine.yaml").unlink()
    audit, _ = audit_path(tmp_path / "scans" / "table.csv", lambda what, done, of: None)
    assert audit.name == "table.csv" and audit.pictures == 49
    assert [(one.split, one.cases) for one in audit.tasks[0].splits] == [
        ("train", 24), ("validation", 12), ("test", 13)
    ]  # fmt: skip
    assert named(audit)["copies-across-splits"].count == 1
    assert any("label" in note for note in audit.tasks[0].notes)  # what was guessed
    assert list(tmp_path.iterdir()) == [tmp_path / "scans"]  # no recipe is left behind


# Wrong inputs ---------------------------------------------------------------------------------------------


def test_wrong_inputs_end_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "t.csv").write_text("a,b\n1,2\n")
    (tmp_path / "old.json").write_text('{"name": "x"}')
    (tmp_path / "cut.json").write_text('{"name": ')
    folder(tmp_path / "films", "a")
    for words, told in (
        ((), "needs a recipe, or a folder or file of data"),
        (("no-such-recipe",), "no shipped recipe is called 'no-such-recipe'"),
        ((str(tmp_path / "empty"),), "has no pictures in it"),
        ((str(tmp_path / "t.csv"),), "t.csv"),
        ((str(tmp_path / "films"), "seed=1"), "is no recipe, which overrides are of"),
        (
            (str(tmp_path / "old.json"), "--markdown", str(tmp_path / "p.md")),
            "is no audit: tasks: Field required",
        ),
        ((str(tmp_path / "cut.json"), "--markdown", str(tmp_path / "p.md")), "is no audit: the whole file"),
        ((str(tmp_path / "none.json"), "--markdown", str(tmp_path / "p.md")), "cannot be read: No such file"),
    ):
        code, said = run("data", *words)
        assert code == 2 and said.count("\n") == 1 and len(said) < 500, words
        assert told in said, words
    assert not (tmp_path / "p.md").exists()


def test_data_that_cannot_be_read_ends_in_the_readers_line(tmp_path: Path) -> None:
    save_table(tmp_path)
    (tmp_path / "set" / "images" / "i3.png").unlink()
    path = save_recipe_mapping(
        tmp_path / "mine.yaml", recipe_mapping(tmp_path, "classify", ["dark", "bright"], CSV)
    )
    code, said = run("data", str(path), "--json", str(tmp_path / "audit.json"))
    assert code == 2 and "i3" in said and said.count("\n") == 1
    assert not (tmp_path / "audit.json").exists()


def test_the_list_of_readers_is_json_too() -> None:
    code, said = run("data", "--readers", "--json", "-")
    assert code == 0 and {"csv", "json"} <= {one["name"] for one in json.loads(said)}


# The page of figures --------------------------------------------------------------------------------------


def test_the_markdown_page_holds_the_figures(leaking: Scans, tmp_path: Path) -> None:
    saved = tmp_path / "a.json"
    run("data", str(leaking.save()), "--json", str(saved))
    text = yaml.safe_load(leaking.save().read_text())
    text["name"] = "second"
    other = save_recipe_mapping(tmp_path / "second.yaml", text)
    run("data", str(other), "--json", str(tmp_path / "b.json"))
    code, _ = run("data", str(saved), str(tmp_path / "b.json"), "--markdown", str(tmp_path / "page.md"))
    assert code == 0
    page = (tmp_path / "page.md").read_text()
    assert page.startswith("# Audits of public data\n\nGenerated by `vrft data AUDIT.json ... --markdown ")
    assert [line for line in page.splitlines() if line.startswith("## ")] == ["## test", "## second"]
    assert "\n- wrong: `altered-copies-across-splits` (look): 1 pair of a picture" in page
    assert "\n  - `scans/train/s1`, `scans/test/new`: train and test: mirrored left to right" in page
    assert "| Split | Cases | Patients | along | across |" in page


def test_many_pictures_are_opened_by_several_processes_with_the_same_result(tmp_path: Path) -> None:
    from vrft_aug.data.images import FileImage
    from vrft_aug.data.open_all import on_all_cores
    from vrft_aug.preview.audit.picture_facts import measure_picture

    for number in range(4):
        Image.new("L", (16, 16), 60 * number).save(tmp_path / f"{number}.png")
    images = [FileImage(tmp_path / f"{n % 4}.png", str(n)) for n in range(260)]
    (tmp_path / "3.png").write_text("no picture")
    one = list(on_all_cores(measure_picture, images, 1))
    assert list(on_all_cores(measure_picture, images, 2)) == one
    assert sum(facts.error is not None for facts in one) == 65
