"""A model behind a server is judged as a local one: a small real server, and `transformers serve`."""

from __future__ import annotations

import re
from base64 import b64decode
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from typer.testing import CliRunner

from helpers.chat_server import Answer, serving
from helpers.shades import shade_recipe
from vrft_aug.cli import app
from vrft_aug.errors import UserError
from vrft_aug.evaluation.remote import evaluate_endpoint
from vrft_aug.evaluation.report_data import load_report
from vrft_aug.policy.endpoint import Endpoint
from vrft_aug.recipe.file import load_recipe, save_recipe
from vrft_aug.recipe.model_folder import TINY_FOLDER

pytest.importorskip("openai", reason="the extra `endpoint` is not installed")


def says(label: str) -> Answer:
    return Answer(f"<think>so</think><answer>{label}</answer>")


def test_answers_are_judged_case_by_case_and_sampled_by_a_seed_of_their_own(tmp_path: Path) -> None:
    recipe = shade_recipe(tmp_path, evaluation={"limit": None, "samples": 2})

    def answer(request: dict[str, Any], n: int) -> Answer:
        return says("bright" if request["temperature"] and request["seed"] % 2 else "dark")

    with serving(answer) as server:
        report = evaluate_endpoint(Endpoint(server.url, "some-model"), recipe, concurrency=4)
    assert [row.answer for row in report.rows] == ["dark"] * 10 and len(server.requests) == 30
    assert report.metrics["accuracy"].value == pytest.approx(0.5)
    assert all(row.samples == sum(row.votes.values()) == 2 and row.tokens == 3 for row in report.rows)
    assert len({r["seed"] for r in server.requests if r["temperature"]}) == 20
    assert report.provenance.model_name == f"some-model at {server.url}/v1"
    assert "dark or bright" in str(server.requests[0]["messages"])


def test_an_interrupted_evaluation_goes_on_where_it_was(tmp_path: Path) -> None:
    recipe, broken = shade_recipe(tmp_path, evaluation={"limit": None}), [True]

    def answer(request: dict[str, Any], n: int) -> Answer:
        return Answer("broken", status=400) if n >= 4 and broken else says("dark")

    with serving(answer) as server:
        with pytest.raises(UserError, match="broken"):
            evaluate_endpoint(Endpoint(server.url, "m", cache=tmp_path), recipe, concurrency=1)
        assert len(list(tmp_path.rglob("*.json"))) == 4
        broken.clear()
        server.requests.clear()
        evaluate_endpoint(Endpoint(server.url, "m", cache=tmp_path), recipe, concurrency=1)
        assert len(server.requests) == 6


def test_what_the_chat_template_has_opened_stands_before_every_reply(tmp_path: Path) -> None:
    recipe = shade_recipe(tmp_path, evaluation={"limit": 3})
    said = ["so</think><answer>dark</answer>", "<think>so</think><answer>dark</answer>", "the answer is dark"]

    def answer(request: dict[str, Any], n: int) -> Answer:
        return Answer(said[n], finish="stop" if n < 2 else "length")

    with serving(answer) as server:
        rows = evaluate_endpoint(Endpoint(server.url, "m"), recipe, concurrency=1).rows
    assert [row.completion for row in rows] == [f"<think>{said[0]}", said[1], f"<think>{said[2]}"]
    assert [row.answer for row in rows] == ["dark", "dark", None]  # the last one was still thinking


def test_a_cut_reply_alone_is_left_as_it_is(tmp_path: Path) -> None:
    recipe = shade_recipe(tmp_path, evaluation={"limit": 1})
    with serving(lambda request, n: Answer("dark", finish="length")) as server:
        (row,) = evaluate_endpoint(Endpoint(server.url, "m"), recipe).rows
    assert row.completion == "dark"


def test_pictures_are_sent_within_the_recipes_pixel_limits(tmp_path: Path) -> None:
    limits: dict[str, Any] = {"min_pixels": 28 * 28, "max_pixels": 56 * 56}
    for model, size in (({}, (120, 120)), (limits, (56, 56))):
        recipe = shade_recipe(tmp_path, model=model, evaluation={"limit": 1})
        with serving(lambda request, n: says("dark")) as server:
            evaluate_endpoint(Endpoint(server.url, "Qwen2.5-VL-x"), recipe)
        (url,) = re.findall(r"base64,([^'\"]+)", str(server.requests[0]["messages"]))
        assert Image.open(BytesIO(b64decode(url))).size == size


@pytest.mark.parametrize(("model", "corner"), [("Qwen2.5-VL-x", 15), ("unknown", 14 * 120 / 1000)])
def test_boxes_are_read_in_the_coordinates_of_the_family(tmp_path: Path, model: str, corner: float) -> None:
    recipe = shade_recipe(tmp_path, evaluation={"task": "spot", "limit": 1})
    spot = '<answer>[{"bbox_2d":[14,28,56,56],"label":"spot"}]</answer>'
    with serving(lambda request, n: Answer(spot)) as server:
        report = evaluate_endpoint(Endpoint(server.url, model), recipe)
    boxes = report.rows[0].boxes
    assert boxes is not None and boxes[0].x1 == pytest.approx(corner)  # 112 processed pixels are 120 original


def test_a_server_that_does_not_sample_is_told_of(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with serving(lambda request, n: says("dark")) as server:
        evaluate_endpoint(Endpoint(server.url, "m"), shade_recipe(tmp_path, evaluation={"samples": 3}))
    assert "ignore the temperature" in capfd.readouterr().err


def test_the_command(tmp_path: Path) -> None:
    save_recipe(shade_recipe(tmp_path), tmp_path / "r.yaml")
    with serving(lambda request, n: says("dark")) as server:
        given = ["evaluate", "--endpoint", server.url, "--model", "m", "--recipe", str(tmp_path / "r.yaml")]
        written = ["--cache", str(tmp_path / "cache"), "-o", str(tmp_path / "out.json"), "evaluation.limit=3"]
        result = CliRunner().invoke(app, given + written)
    assert result.exit_code == 0 and "Accuracy" in result.output
    assert len(load_report(tmp_path / "out.json").rows) == 3


@pytest.mark.parametrize(
    ("given", "says"),
    [
        (["--endpoint", "http://x"], "go together"),
        (["tiny", "--model", "m"], "go together"),
        (["--endpoint", "http://x", "--model", "m"], "needs --recipe"),
        ([], "expected a run"),
    ],
)
def test_what_the_command_misses(given: list[str], says: str) -> None:
    result = CliRunner().invoke(app, ["evaluate", *given])
    assert result.exit_code == 2 and says in result.output


@pytest.mark.slow
def test_a_served_model_writes_what_it_writes_here(transformers_server: str, tmp_path: Path) -> None:
    from vrft_aug.evaluation.evaluate import evaluate
    from vrft_aug.policy.load import load_policy

    recipe = load_recipe("fundus-demo", ["evaluation.limit=4", "evaluation.bootstrap=100"])
    here = evaluate(load_policy(recipe.model), recipe)
    there = evaluate_endpoint(Endpoint(transformers_server, str(TINY_FOLDER)), recipe, concurrency=2)
    assert [row.completion for row in there.rows] == [row.completion for row in here.rows]
    assert there.metrics["accuracy"] == here.metrics["accuracy"]
    with pytest.raises(UserError, match=r"endpoint .* (answers 4|does not know)"):
        evaluate_endpoint(Endpoint(transformers_server, "no/such-model", retries=0), recipe)
