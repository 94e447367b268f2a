"""The recipes to start from with own data: as `init` writes them, on what they name, nothing edited."""

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from helpers.data_files import save_csv, save_image
from helpers.documents import DOCS, read
from vrft_aug.cli import app
from vrft_aug.recipe.file import shipped_recipes

COUNT = 60


def table(root: Path) -> None:
    """No column of splits; names with umlauts and spaces, without their suffix."""
    names = [f"Müller {i:02d}" for i in range(COUNT)]
    for i, name in enumerate(names):
        save_image(root / "images" / f"{name}.png", seed=i)
    save_csv(root / "grades.csv", [["image", "grade"], *([name, str(i % 3)] for i, name in enumerate(names))])


def folders(root: Path) -> None:
    for i in range(COUNT):
        save_image(root / ("normal", "pneumonia")[i % 2] / f"Röntgen {i}.png", seed=i)


def boxes(root: Path) -> None:
    names = [f"scan {i}.png" for i in range(COUNT)]
    for i, name in enumerate(names):
        save_image(root / "images" / name, seed=i)
    images = [{"id": i, "file_name": name, "width": 40, "height": 30} for i, name in enumerate(names)]
    annotations = [
        {"id": i, "image_id": i, "category_id": 7, "bbox": [5, 5, 10, 12]} for i in range(0, COUNT, 2)
    ]
    content = {"images": images, "annotations": annotations, "categories": [{"id": 7, "name": "lesion"}]}
    (root / "boxes.json").write_text(json.dumps(content))


def questions(root: Path) -> None:
    rows = [["image", "question", "answer"]]
    for i in range(COUNT):
        save_image(root / "images" / f"i{i}.png", seed=i)
        rows.append([f"i{i}.png", f"What is in picture {i}?", f"answer {i % 7}"])
    save_csv(root / "questions.csv", rows)


DRAWN: dict[str, Callable[[Path], None]] = {
    "own-table": table, "own-folders": folders, "own-boxes": boxes, "own-questions": questions,
}  # fmt: skip


def test_every_recipe_for_own_data_is_tried() -> None:
    assert {name for name in shipped_recipes() if name.startswith("own-")} == set(DRAWN)


@pytest.mark.parametrize("name", DRAWN)
def test_what_init_writes_checks_out_from_any_folder(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VRFT_DATA", str(tmp_path / "elsewhere"))  # data_root goes before it
    DRAWN[name](tmp_path / "mine")
    run = CliRunner().invoke(app, ["init", name, str(tmp_path / "my.yaml")])
    assert run.exit_code == 0, run.output
    result = CliRunner().invoke(app, ["check", str(tmp_path / "my.yaml")])
    assert result.exit_code == 0, result.output
    assert f"recipe {name}: ok" in result.stdout
    assert "splits dealt by a hash" in result.stdout
    parts = json.loads(CliRunner().invoke(app, ["check", str(tmp_path / "my.yaml"), "--json"]).stdout)[
        "parts"
    ]
    assert 30 <= parts[0]["cases"] <= 48 and 5 <= parts[1]["cases"] <= 20  # about 65 % and 20 % of 60
    prompt = CliRunner().invoke(app, ["prompt", str(tmp_path / "my.yaml"), "--json"])
    assert prompt.exit_code == 0 and json.loads(prompt.stdout)["images"][0]["original"] == [40, 30]


def test_the_page_of_own_images_prints_what_the_recipe_for_a_table_says() -> None:
    (printed,) = re.findall(r"```yaml\n(.*?)```", read(DOCS / "start" / "own-images.md"), re.DOTALL)
    shipped = yaml.safe_load(shipped_recipes()["own-table"].read_text("utf-8"))
    task = yaml.safe_load(printed)["tasks"]["grade"]
    assert yaml.safe_load(printed)["data_root"] == shipped["data_root"]
    assert task == {key: value for key, value in shipped["tasks"]["grade"].items() if key in task}
    assert task["data"] == shipped["tasks"]["grade"]["data"]


def test_lines_that_are_to_be_changed_are_marked() -> None:
    for name in DRAWN:
        text = shipped_recipes()[name].read_text("utf-8")
        marked = [line for line in text.splitlines() if "# yours" in line]
        assert len(marked) >= 4 and all("mine" not in line for line in text.splitlines() if line not in marked
                                        and not line.lstrip().startswith("#")), name  # fmt: skip


def test_the_recipe_of_several_labels_checks_out() -> None:
    result = CliRunner().invoke(app, ["check", "chest-demo"])
    assert result.exit_code == 0 and "findings (multilabel), train, 256 cases" in result.stdout, result.output
