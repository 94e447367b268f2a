"""The photo base: made of its parts, aligned without labels, a normal model folder that trains and grades."""

from __future__ import annotations

import builtins
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

from vrft_aug.answer import parse
from vrft_aug.cli import app
from vrft_aug.errors import UserError
from vrft_aug.nouns import Box, Rollout, Task
from vrft_aug.perception.model_view import model_view
from vrft_aug.perception.spaces import Frame
from vrft_aug.recipe.file import load_recipe
from vrft_aug.recipe.model_config import ModelConfig
from vrft_aug.tiny import photo_parts
from vrft_aug.tiny.photo_build import build_photo
from vrft_aug.tiny.photo_lessons import SPACE, lessons_of
from vrft_aug.tiny.photo_pictures import Seen, cells, gather, read_recipes, training_pictures

SIDE = 64  # pixels: four visual tokens
SPLITS = (*["train"] * 4, "validation", "test", "test")  # of the photographs


def test_lessons_about_photographs_are_right_in_thousandths_of_the_picture() -> None:
    task = Task("lesions", "localise", "Find them.", ("disc", "spots"), "fundus photograph")
    boxes = (Box(100, 60, 200, 160, label="disc"), Box(300, 40, 308, 60, label="spots"))
    seen, rng = Seen(0, (400, 200), boxes, task=task), np.random.default_rng(0)
    read: dict[str, set[Any]] = {}
    for lesson in lessons_of(seen, 60, rng):
        frame = Frame((400, 200), (400, 200), SPACE)
        answer = parse(Rollout(lesson.reason + lesson.answer), lesson.task, frame)
        assert answer.reason is None and answer.value is not None, lesson
        asked = str(lesson.messages[-1])
        if lesson.task.kind == "localise":
            assert "in thousandths of width and height" in asked
            written = [box for box in answer.value if isinstance(box, Box)]
            assert {box.label for box in written} == set(lesson.task.labels)
            for box in written:
                true = next(one for one in boxes if one.label == box.label)
                assert abs(box.x1 - true.x1) <= 4 and abs(box.y2 - true.y2) <= 4  # 20 thousandths
        read.setdefault(lesson.task.kind, set()).add(str(answer.value))
    assert read["classify"] == {"yes"} and read["answer"] == {"disc, spots"} and "localise" in read


def test_drawn_grades_follow_the_findings_whatever_the_names() -> None:
    rng = np.random.default_rng(1)
    for found, place in (((), 0), (("microaneurysms",), 1), (("hard exudates",), 2), (("new vessels",), 4)):
        seen = Seen(0, (112, 112), (), "fundus", frozenset(found))
        graded = [one for one in lessons_of(seen, 60, rng) if one.task.name == "grade"]
        assert graded
        assert all(f"<answer>{one.task.labels[place]}</answer>" == one.answer for one in graded)


def test_cells_are_those_that_a_box_touches() -> None:
    table = cells([Box(0, 0, 101, 100, label="a"), Box(399, 199, 400, 200, label="b")], (400, 200), 4, "ab")
    assert table[:, 0].reshape(4, 4).tolist() == [[1, 1, 0, 0], [1, 1, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0]]
    assert np.flatnonzero(table[:, 1]).tolist() == [15]


def test_without_the_extra_one_line_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stock = builtins.__import__

    def absent(name: str, *arguments: Any, **settings: Any) -> Any:
        if name == "timm":
            raise ModuleNotFoundError("No module named 'timm'", name="timm")
        return stock(name, *arguments, **settings)

    monkeypatch.setattr(builtins, "__import__", absent)
    ended = CliRunner().invoke(app, ["tiny", "photo", str(tmp_path / "base")])
    assert ended.exit_code == 2 and len(ended.stderr.splitlines()) == 1
    assert "needs timm" in ended.stderr and "pip install 'vrft-aug[photo]'" in ended.stderr
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--pictures", "fundus-demo"], "its pictures are drawn"),
        (["--pictures", "no-such-recipe"], "no-such-recipe"),
        (["--side", "100"], "multiple of 32"),
        (["--pictures", "idrid-grade"], "idrid"),  # whose data is not here
    ],
)
def test_what_cannot_be_built_is_told_in_one_line_before_anything_runs(
    arguments: list[str], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VRFT_DATA", str(tmp_path / "nothing"))
    ended = CliRunner().invoke(app, ["tiny", "photo", str(tmp_path / "base"), *arguments])
    assert ended.exit_code == 2 and len(ended.stderr.splitlines()) == 1 and said in ended.stderr
    assert not list(tmp_path.iterdir())


def test_a_recipe_says_how_to_make_the_base_that_is_not_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    ended = CliRunner().invoke(app, ["check", "photo-idrid"])
    assert ended.exit_code == 2 and len(ended.stderr.splitlines()) == 1
    assert "vrft tiny photo photo-base" in ended.stderr


@pytest.fixture(scope="module")
def recipe_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Photographs with a box each, of which four are for training."""
    root = tmp_path_factory.mktemp("photographs")
    rng, rows, images, annotations = np.random.default_rng(0), ["image,split,label"], [], []
    for number, split in enumerate(SPLITS):
        pixels = rng.integers(0, 120, (60, 90, 3)).astype(np.uint8)
        pixels[20:40, 10:30] = 230
        Image.fromarray(pixels).save(root / f"{number}.png")
        rows.append(f"{number}.png,{split},{'sick' if number % 2 else 'well'}")
        images.append({"id": number, "file_name": f"{number}.png", "width": 90, "height": 60})
        annotations.append({"id": number, "image_id": number, "category_id": 1, "bbox": [10, 20, 20, 20]})
    (root / "table.csv").write_text("\n".join(rows))
    boxes = {"images": images, "annotations": annotations, "categories": [{"id": 1, "name": "spot"}]}
    (root / "boxes.json").write_text(json.dumps(boxes))
    recipe = f"""
name: photographs
data_root: {root}
model: {{name: MODEL, freeze: {{vision: true, projector: true}}}}
tasks:
  where:
    kind: localise
    question: Where is the spot?
    modality: photograph
    labels: [spot]
    data: {{reader: coco, annotations: boxes.json, images: ., splits: table.csv, box_names: {{spot: spot}}}}
  sick:
    kind: classify
    question: Sick or well?
    modality: photograph
    labels: [well, sick]
    data: {{reader: csv, table: table.csv, images: ., label_column: label, split_column: split}}
stages:
  - {{name: answers, method: sft, task: sick, steps: 2, prompts_per_step: 4}}
  - name: reward
    method: grpo
    task: sick
    steps: 1
    prompts_per_step: 2
    generations: 2
    max_new_tokens: 6
    rewards: {{format: 1.0}}
evaluation: {{task: sick, split: test, max_new_tokens: 6, bootstrap: 100, base: false}}
"""
    path = root / "recipe.yaml"
    path.write_text(recipe)
    return path


def test_no_label_and_no_test_picture_reaches_the_base(recipe_file: Path) -> None:
    pytest.importorskip("timm")
    model, processor = photo_parts.new_photo_model(0, SIDE)
    (recipe,) = read_recipes([str(recipe_file)])
    pictures = gather(model, processor, training_pictures(recipe), {"fundus": 2}, 0)
    assert pictures.features.shape == (2 + 4, 4, 1280)
    assert [len(part) for part in (pictures.drawn, pictures.boxed, pictures.bare)] == [2, 4, 0]
    assert all(one.boxes == (Box(10, 20, 30, 40, label="spot"),) for one in pictures.boxed)
    assert all(one.task is not None and one.task.kind == "localise" for one in pictures.boxed)


def test_the_tower_is_timms_with_the_weights_of_the_package() -> None:
    timm = pytest.importorskip("timm")
    model, processor = photo_parts.new_photo_model(3, SIDE)
    theirs = timm.create_model(photo_parts.TOWER, num_classes=1000).eval()
    given = torch.load(photo_parts.tower_file(), map_location="cpu", weights_only=True)
    theirs.load_state_dict(dict(zip(theirs.state_dict(), given.values(), strict=True)))
    picture = Image.fromarray(np.random.default_rng(0).integers(0, 255, (80, 50, 3)).astype(np.uint8))
    pixels = processor.image_processor(images=[picture], return_tensors="pt")["pixel_values"]
    resized = np.asarray(picture.resize((SIDE, SIDE), Image.Resampling.BICUBIC), dtype=np.float32)
    assert np.abs(pixels[0].permute(1, 2, 0).numpy() - (resized - 127) / 128).max() < 0.02
    with torch.no_grad():
        ours = model.model.vision_tower(pixels).last_hidden_state
        torch.testing.assert_close(ours, theirs.forward_features(pixels))
    again, _ = photo_parts.new_photo_model(3, SIDE)
    other, _ = photo_parts.new_photo_model(4, SIDE)
    mine, same, else_ = (m.model.multi_modal_projector.linear_1.weight for m in (model, again, other))
    assert torch.equal(mine, same) and not torch.equal(mine, else_)


@pytest.mark.slow
def test_a_base_is_built_equal_again_and_trains_with_its_tower_as_it_was(
    recipe_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("timm")
    for name in ("one", "two"):
        build_photo(tmp_path / name, [str(recipe_file)], seed=5, scale=0.01, side=SIDE)
    one, two = ((tmp_path / name / "model.safetensors").read_bytes() for name in ("one", "two"))
    assert one == two
    with pytest.raises(UserError, match="is there already"):
        build_photo(tmp_path / "one", side=SIDE)
    card = (tmp_path / "one" / "README.md").read_text()
    assert "4 photographs with boxes" in card and "photographs;" in card and "seed 5" in card
    view = model_view(ModelConfig(name=str(tmp_path / "one")))
    assert view.image_tokens((90, 60)) == 4 and view.space.name == "thousandths"

    run = tmp_path / "run"
    base = f"model.name={tmp_path / 'one'}"
    ended = CliRunner().invoke(app, ["train", str(recipe_file), "--output", str(run), base])
    assert ended.exit_code == 0, ended.output
    from safetensors.torch import load_file

    before, after = (load_file(folder / "model.safetensors") for folder in (tmp_path / "one", run / "model"))
    moved = {name for name, weight in before.items() if not torch.equal(weight, after[name])}
    assert moved and all("language_model" in name for name in moved)  # batch norms and projector stayed
    assert load_recipe(str(run)).model.freeze.vision
