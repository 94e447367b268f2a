"""Nothing private goes out with a model: no case, no patient, no path of this machine, no secret."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from helpers.finished_run import finished_run, judge_again
from helpers.synthetic_run import RECIPE, grade_report
from vrft_aug.evaluation.metrics.question_slices import Slice
from vrft_aug.evaluation.report_data import Report
from vrft_aug.export.private import Private
from vrft_aug.export.public_recipe import LEFT_OUT, public_recipe
from vrft_aug.export.write_export import export_run
from vrft_aug.knowledge.bank import bank_path
from vrft_aug.recipe.schema import Recipe

CANARY = "Zz9171"


def private_report() -> Report:
    report = grade_report(samples=4)
    rows = tuple(
        replace(
            row,
            case=f"{CANARY}/scan-{place}",
            patient=f"{CANARY}-patient-{place // 2}",
            reasoning=f"{CANARY} reasoning",
            completion=f"{CANARY} completion",
            facets=(("site", f"{CANARY} site"),),
        )
        for place, row in enumerate(report.rows)
    )
    few = Slice("site", f"{CANARY} site", "all", 3, {"accuracy": report.metrics["accuracy"]})
    source = replace(report.provenance, model_name=f"/home/{CANARY}/model")
    notes = (f"The case {CANARY}/scan-3 could not be read.",)
    return replace(report, rows=rows, slices=(few,), provenance=source, notes=notes)


def private_recipe(root: Path) -> dict[str, Any]:
    bank = root / f"{CANARY}-bank.yaml"
    bank.write_text(bank_path("fundus").read_text("utf-8"), "utf-8")
    task = RECIPE["tasks"]["grade"]
    grading = RECIPE["stages"][1]
    return {
        "data_root": str(root / CANARY),
        "model": {"name": "tiny", "load": {"token": f"{CANARY}token", "cache_dir": f"/{CANARY}/cache"}},
        "tasks": {
            "grade": {
                **task,
                "labels": ["none", "mild", "moderate", "severe", "proliferative"],
                "knowledge": str(bank),
                "data": {
                    "reader": "csv", "table": f"{CANARY}.csv", "images": f"{CANARY}/pictures",
                    "image_column": "picture", "label_column": "grade", "label_names": {"0": "none"},
                },
            }
        },
        "stages": [
            {
                **grading,
                "injection": {"style": "definitions"},
                "curriculum": {"pass_rates": f"{CANARY}/rates.jsonl", "order": "easy-to-hard"},
                "trainer": {
                    "hub_token": f"{CANARY}", "logging_dir": f"/{CANARY}", "max_grad_norm": 0.2,
                    "hub_model_id": f"{CANARY}/model", "run_name": "grading",
                },
            }
        ],
    }  # fmt: skip


def test_no_canary_is_in_any_file(tmp_path: Path) -> None:
    place = tmp_path / f"{CANARY}-home"
    place.mkdir()
    run = finished_run(place / "run", private_report(), **private_recipe(place))
    alarm = {"stage": "grading", "step": 20, "rule": "x", "alarm": f"always {CANARY}/scan-4 is wrong"}
    (run / "alarms.jsonl").write_text(json.dumps(alarm) + "\n", "utf-8")
    whole = {path.name: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    assert sum(CANARY.encode() in content for content in whole.values()) >= 3  # the test can fail

    export_run(run, tmp_path / "out")
    told = [path.name for path in (tmp_path / "out").iterdir() if CANARY.encode() in path.read_bytes()]
    assert told == []
    assert not [
        path.name for path in (tmp_path / "out").iterdir() if str(tmp_path).encode() in path.read_bytes()
    ]
    recipe = yaml.safe_load((tmp_path / "out" / "recipe.yaml").read_text("utf-8"))
    data = recipe["tasks"]["grade"]["data"]
    assert (data["reader"], data["table"], data["image_column"]) == ("csv", LEFT_OUT, "picture")
    assert data["label_names"] == {"0": "none"} and recipe["tasks"]["grade"]["knowledge"] == "fundus"
    trainer = recipe["stages"][0]["trainer"]
    assert (trainer["max_grad_norm"], trainer["run_name"], trainer["hub_token"]) == (0.2, "grading", LEFT_OUT)


def test_places_in_the_models_settings_are_left_out(tmp_path: Path) -> None:
    run = finished_run(tmp_path / "run")
    file = run / "model" / "tokenizer_config.json"
    settings = {**json.loads(file.read_text("utf-8")), "name_or_path": f"/{CANARY}", "is_local": True}
    file.write_text(json.dumps(settings), "utf-8")
    (run / "model" / "notes.txt").write_text(CANARY)
    judge_again(run, grade_report())
    export_run(run, tmp_path / "out")
    copied = json.loads((tmp_path / "out" / "tokenizer_config.json").read_text("utf-8"))
    left_out = ("name_or_path", "is_local", "local_files_only")
    assert copied == {key: value for key, value in settings.items() if key not in left_out}
    assert not (tmp_path / "out" / "notes.txt").exists()


@pytest.mark.parametrize(
    ("given", "stays"),
    [
        ({"max_completion_length": 5}, True),
        ({"hub_token": "abc"}, False),
        ({"wandb_api_key": "abc"}, False),
        ({"deepspeed": "configs/zero.json"}, False),
        ({"report_to": ["tensorboard"]}, True),
        ({"hub_model_id": "lab/x"}, False),
        ({"model_init_kwargs": {"cache_dir": "~/x"}}, False),
        ({"vllm": "http://10.0.0.1"}, False),
        ({"file": r"C:\x"}, False),
    ],
)
def test_of_trainers_settings_what_is_no_place_and_no_secret_stays(
    given: dict[str, Any], stays: bool
) -> None:
    recipe = Recipe.model_validate({**RECIPE, "stages": [{**RECIPE["stages"][1], "trainer": {}}]})
    stage = recipe.stages[0].model_copy(update={"trainer": given})
    told = public_recipe(recipe.model_copy(update={"stages": (stage,)}), "tiny")["stages"][0]["trainer"]
    assert (told == given) is stays
    assert stays or LEFT_OUT in json.dumps(told)


def test_what_is_private_is_found_where_it_stands_alone() -> None:
    private = Private(("/home/somebody",), frozenset({"case-0171", "p/12"}))
    assert private.found_in('"path": "/home/somebody/x"') == "/home/somebody"
    assert private.found_in("see case-0171.") == "case-0171" and private.found_in("(p/12)") == "p/12"
    assert private.found_in("/home/somebody-else, case-01711 and np/12") is None
    assert private.silent(["all is well", "case-0171 is wrong"]) == ["all is well"]
