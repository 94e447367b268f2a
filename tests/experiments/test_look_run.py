"""`vrft look` on a model and on a run: what it writes, and what it refuses before anything is loaded."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from helpers.pages import check_self_contained
from helpers.shades import SFT, read, shade_recipe
from vrft_aug.cli import app
from vrft_aug.errors import UserError
from vrft_aug.evaluation.look.look_report import load_look
from vrft_aug.experiments.look_run import look_path
from vrft_aug.experiments.run import train
from vrft_aug.nouns import Case, Task
from vrft_aug.recipe.file import save_recipe
from vrft_aug.recipe.schema import Recipe
from vrft_aug.report.page import write_report
from vrft_aug.run.folder import start_run
from vrft_aug.run.layout import EVALUATION, LOOK, RUN_MODEL
from vrft_aug.run.resume import apply_resume, plan_resume


@pytest.fixture
def no_model(monkeypatch: pytest.MonkeyPatch) -> None:
    def load(*_: Any) -> Any:
        raise AssertionError("a model is loaded")

    monkeypatch.setattr("vrft_aug.experiments.look_run.load_policy", load)


def finished(random_policy: Path, run: Path) -> Recipe:
    """A run as training leaves it, its model the random one; not evaluated yet."""
    recipe = shade_recipe(random_policy, SFT)
    start_run(recipe, run)
    (run / RUN_MODEL).symlink_to(random_policy)
    return recipe


def test_a_run_keeps_its_look_and_shows_it(random_policy: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    recipe = finished(random_policy, run)
    found = look_path(str(run), limit=3, output=tmp_path / "more.json")
    assert load_look(run / LOOK) == load_look(tmp_path / "more.json") == found
    assert list(found.views) == ["true", "blank", "another", "blurred", "lesion", "random"]
    assert [len(rows) for rows in found.rows.values()] == [3] * 6
    assert found.provenance.model and found.provenance.data
    page = (run / "report.html").read_text()
    elements = check_self_contained(page)
    assert "Does it look?" in page and "Lesions masked" in page
    assert sum(tag == "img" for tag, _ in elements.found) == 3 * 6
    again = look_path(str(run), limit=3)
    assert again.rows == found.rows and again.figures == found.figures  # nothing is drawn by chance
    # another recipe leaves the run as it is; a corrected evaluation puts the look aside with the old figures
    before = (run / LOOK).read_bytes()
    look_path(str(run), recipe, views=["blank"], limit=2)
    assert (run / LOOK).read_bytes() == before
    changed = shade_recipe(random_policy, SFT, evaluation={"split": "train"})
    (run / EVALUATION).write_text("{}")
    aside = apply_resume(plan_resume(changed, run), changed, run)
    assert aside is not None and (aside / LOOK).read_bytes() == before and not (run / LOOK).exists()


def test_the_page_of_a_run_that_nobody_looked_at_says_nothing(random_policy: Path, tmp_path: Path) -> None:
    finished(random_policy, tmp_path / "run")
    assert "Does it look" not in write_report(tmp_path / "run").read_text()


def test_the_page_goes_without_pictures_where_the_data_is_gone(random_policy: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    recipe = finished(random_policy, run)
    look_path(str(run), limit=2, views=["blank"])
    gone = recipe.model_copy(update={"tasks": {**recipe.tasks}})
    data = recipe.tasks["shade"].data.model_copy(update={"reader": "helpers.shades:gone"})
    gone.tasks["shade"] = recipe.tasks["shade"].model_copy(update={"data": data})
    save_recipe(gone, run / "recipe.yaml")
    page = write_report(run).read_text()
    assert "Does it look?" in page and "No pictures: " in page and "<img" not in page


def test_the_command_prints_figures_and_sentences(random_policy: Path, tmp_path: Path) -> None:
    recipe = tmp_path / "mine.yaml"
    save_recipe(shade_recipe(random_policy), recipe)
    asked = ["look", str(random_policy), "--recipe", str(recipe), "--limit", "2", "--view", "another"]
    told = CliRunner().invoke(app, asked)
    assert told.exit_code == 0, told.output
    assert "Swap sensitivity" in told.output and "True picture" in told.output
    plain = json.loads(CliRunner().invoke(app, [*asked, "--json"]).stdout)
    assert list(plain["views"]) == ["true", "another"] and plain["split"] == "test"


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"task": "shape"}, "recipe 'shades' has no task 'shape'; did you mean 'shade'"),
        ({"views": ["black"]}, "there is no view 'black'; did you mean 'blank'"),
        ({"views": ["lesion"], "task": "plain"}, "the view 'lesion' cannot be had for task 'plain'"),
        ({"task": "words"}, "task 'words' shows no pictures"),
    ],
)
@pytest.mark.usefixtures("no_model")
def test_what_cannot_be_looked_at_is_refused_before_a_model_is_loaded(
    settings: dict[str, Any], message: str
) -> None:
    whole = shade_recipe(Path("tiny")).model_dump()
    shade = whole["tasks"]["shade"]
    plain = {**shade, "data": {"reader": f"{__name__}:bare"}}
    words = {**shade, "data": {"reader": f"{__name__}:textual"}}
    recipe = Recipe.model_validate({**whole, "tasks": {"shade": shade, "plain": plain, "words": words}})
    with pytest.raises(UserError, match=message) as caught:
        look_path("tiny", recipe, **settings)
    assert "\n" not in str(caught.value)


def bare(root: Path, split: str, task: Task) -> list[Case]:
    """The squares, without boxes."""
    return [replace(case, target=replace(case.target, boxes=None)) for case in read(root, split, task)]


def textual(root: Path, split: str, task: Task) -> list[Case]:
    """Questions without pictures."""
    return [replace(case, images=()) for case in bare(root, split, task)]


def test_a_model_alone_and_an_unfinished_run_are_refused(tmp_path: Path, random_policy: Path) -> None:
    with pytest.raises(UserError, match="is not a run folder; a model needs a recipe"):
        look_path(str(random_policy))
    start_run(shade_recipe(random_policy, SFT), tmp_path / "run")
    with pytest.raises(UserError, match="has no model yet"):
        look_path(str(tmp_path / "run"))


@pytest.mark.slow
def test_a_run_trained_on_the_squares_is_looked_at(random_policy: Path, tmp_path: Path) -> None:
    train(shade_recipe(random_policy, SFT, evaluation={"base": False}), tmp_path / "run")
    found = look_path(str(tmp_path / "run"))
    assert len(found.rows["true"]) == 4  # the limit of the evaluation
    page = (tmp_path / "run" / "report.html").read_text()
    assert page.index("Results") < page.index("Does it look?") < page.index("<h2>Training")
