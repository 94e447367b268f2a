"""The YAML of a study: which cells it means, and one line for whatever is wrong, before anything runs."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from vrft_aug.errors import UserError
from vrft_aug.experiments.study import cells
from vrft_aug.experiments.study.cells import study_cells
from vrft_aug.experiments.study.study_file import Study, load_study, shipped_studies
from vrft_aug.recipe.file import copy_recipe
from vrft_aug.recipe.model_folder import TINY_FOLDER

STUDY: dict[str, Any] = {
    "name": "small",
    "recipe": "fundus-demo",
    "seeds": 2,
    "factors": {
        "knowledge": {
            "off": {"stages.grade.injection.style": "none", "evaluation.injection.style": "none"},
            "on": None,
        },
        "training": {"ours": None, "sft": {"arm": "sft"}, "start": {"arm": "untrained"}},
    },
}


def save(folder: Path, changes: dict[str, Any] | None = None) -> str:
    path = folder / "small.yaml"
    path.write_text(yaml.safe_dump(STUDY | (changes or {}), sort_keys=False), encoding="utf-8")
    return str(path)


def test_full_cells_by_seed_and_an_untrained_arm_once(tmp_path: Path) -> None:
    study = load_study(save(tmp_path))
    assert study.levels() == {"knowledge": ("off", "on"), "training": ("ours", "sft", "start")}
    every = study_cells(study, tmp_path / "cells")
    assert len(every) == 2 * 2 * 2 + 2  # the start model has no seeds
    assert len({cell.run for cell in every}) == 4 + 2 + 2  # sft is without knowledge in either case
    first = every[0]
    assert first.called == "knowledge off, training ours, seed 0" and first.recipe.seed == 0
    assert first.recipe.evaluation.injection.style == "none" and not first.recipe.evaluation.base
    assert first.recipe.named_stages()["grade"].injection.style == "none"
    (start,) = (cell for cell in every if cell.levels == ("on", "start"))
    assert start.recipe.stages == () and start.called.endswith("not trained")
    (sft,) = (cell for cell in every if cell.levels == ("on", "sft") and cell.seed == 1)
    assert [stage.method for stage in sft.recipe.stages] == ["sft"] and sft.recipe.seed == 1


def test_other_weights_of_the_start_model_are_other_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = load_study(save(tmp_path))
    before = {cell.run for cell in study_cells(study, tmp_path)}
    assert {cell.run for cell in study_cells(study, tmp_path)} == before
    monkeypatch.setattr(cells, "hash_folder", lambda _: "of other weights")
    cells._hash_once.cache_clear()
    assert not before & {cell.run for cell in study_cells(study, tmp_path)}
    cells._hash_once.cache_clear()


def test_one_at_a_time_chosen_cells_and_dropped_stages(tmp_path: Path) -> None:
    one = load_study(save(tmp_path, {"cells": "one-at-a-time"}))
    assert one.chosen() == [("off", "ours"), ("on", "ours"), ("off", "sft"), ("off", "start")]
    some = load_study(
        save(tmp_path, {"cells": [{"training": "sft"}, {"knowledge": "on"}, {"training": "sft"}]})
    )
    assert some.chosen() == [("off", "sft"), ("on", "ours")]
    dropped = {"perception": {"on": None, "off": {"drop": ["localise"], "set": {"stages.grade.steps": 50}}}}
    study = load_study(save(tmp_path, {"factors": dropped}))
    stages = {cell.levels: cell.recipe.stages for cell in study_cells(study, tmp_path)}
    assert [(stage.name, stage.steps) for stage in stages["off",]] == [("grade", 50)]
    everywhere = load_study(save(tmp_path, {"drop": ["localise"]}))
    assert {
        cell.recipe.stages[0].name for cell in study_cells(everywhere, tmp_path) if cell.recipe.stages
    } == {"grade"}
    assert [stage.name for stage in stages["on",]] == ["localise", "grade"]


def test_studies_share_the_trainings_that_are_the_same(tmp_path: Path) -> None:
    first = study_cells(load_study(save(tmp_path)), tmp_path / "cells")
    camera = {"camera": {"handheld": None, "clinic": {"tasks.grade.data.camera": "clinic"}}}
    other = study_cells(load_study(save(tmp_path, {"name": "other", "factors": camera})), tmp_path / "cells")
    assert {cell.run for cell in first if cell.levels == ("on", "ours")} < {cell.run for cell in other}


def other(level: dict[str, Any]) -> dict[str, Any]:
    return {"factors": {"a": {"x": None, "y": level}}}


@pytest.mark.parametrize("name", shipped_studies())
def test_shipped_studies_can_be_run(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "photo-base").symlink_to(TINY_FOLDER)  # which a user has to make for some of them
    study = load_study(name)
    cells = study_cells(study, tmp_path)
    assert study.question and len(cells) >= len(study.chosen())
    assert len({cell.run for cell in cells}) == len(cells)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"cells": [{"knowlege": "on"}]}, "cell 1 names factor 'knowlege'.*did you mean 'knowledge'"),
        ({"cells": [{"knowledge": "onn"}]}, "factor 'knowledge' has no level 'onn'; did you mean 'on'"),
        ({"factors": {"a": {"x": None}}}, "factor 'a' has one level"),
        (other({"arm": "stf"}), r"factors\.a\.y\.arm is 'stf'"),
        (other({"seeed": 1}), "cell a y: recipe .*seeed is not a known key"),
        (other({"stages.grade.steps": 0}), "cell a y: .*stages.grade.steps is 0"),
        (other({"drop": ["grad"]}), "no stage 'grad' to drop; did you mean 'grade'"),
        (other({"stages.grade.trainer.learning_rate": -1}), "cell a y, seed 0: .*learning_rate is -1"),
        ({"recipe": "fundus-dmo"}, "did you mean 'fundus-demo'"),
        ({"seeds": [0, 0]}, "seeds must differ"),
        ({"seeds": []}, "seeds"),
        ({"factrs": {}}, "factrs is not a known key; did you mean 'factors'"),
        ({"name": "a/b"}, "name is 'a/b'"),
    ],
)
def test_what_cannot_be_is_one_line(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message) as caught:
        study_cells(load_study(save(tmp_path, changes)), tmp_path / "cells")
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 500


def test_unreadable_files_are_one_line(tmp_path: Path) -> None:
    for name, content in {
        "list.yaml": b"[1]",
        "twice.yaml": b"name: a\nname: b\n",
        "bytes.yaml": b"\xff\xfe\x00",
    }.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(UserError, match=name):
            load_study(str(tmp_path / name))
    with pytest.raises(UserError, match="did you mean 'few-cases'"):
        load_study("few-case")


def test_a_recipe_beside_the_study_is_found(tmp_path: Path) -> None:

    copy_recipe("fundus-demo", tmp_path / "mine.yaml")
    assert load_study(save(tmp_path, {"recipe": "mine.yaml"})).recipe == str(
        (tmp_path / "mine.yaml").resolve()
    )


def test_bare_words_are_names_of_levels() -> None:
    assert Study.model_validate(STUDY).factors["knowledge"]["on"].set == {}
