"""`vrft look` of a model behind a server: every view is sent, and figures are those of what it answers."""

from __future__ import annotations

import json
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
from vrft_aug.evaluation.look.look_report import load_look
from vrft_aug.recipe.file import save_recipe

pytest.importorskip("openai", reason="the extra `endpoint` is not installed")


def picture(request: dict[str, Any]) -> Image.Image:
    (part,) = [
        part
        for message in request["messages"]
        for part in message["content"]
        if isinstance(part, dict) and part["type"] == "image_url"
    ]
    data = part["image_url"]["url"].partition(",")[2]
    return Image.open(BytesIO(b64decode(data))).convert("RGB")


def looks(request: dict[str, Any], n: int) -> Answer:
    """Dark or bright by the corner of the picture, as somebody who looks."""
    level = picture(request).getpixel((0, 0))
    assert isinstance(level, tuple)
    label = "dark" if level[0] < 128 else "bright"
    return Answer(f"<think>so</think><answer>{label}</answer>")


def invoke(folder: Path, *more: str) -> Any:
    return CliRunner().invoke(app, ["look", *more, "--recipe", str(folder / "recipe.yaml")])


def test_a_server_that_looks_and_one_that_does_not(tmp_path: Path) -> None:
    recipe = shade_recipe(tmp_path, evaluation={"limit": None})
    save_recipe(recipe, tmp_path / "recipe.yaml")
    found = []
    for answer in (looks, lambda *_: Answer("<think>so</think><answer>dark</answer>")):
        with serving(answer) as server:
            said = invoke(
                tmp_path,
                "--endpoint",
                server.url,
                "--model",
                "m",
                "--no-cache",
                "-o",
                str(tmp_path / "look.json"),
            )
            assert said.exit_code == 0, said.output
            assert len(server.requests) == 6 * 10 and all(r["temperature"] == 0 for r in server.requests)
        found.append(load_look(tmp_path / "look.json"))
    sees, blind = ({name: metric.value for name, metric in look.figures.items()} for look in found)
    assert sees["image_reliance"] == 0.5 and sees["swap_sensitivity"] == sees["follows"] == 1
    assert blind["image_reliance"] == blind["swap_sensitivity"] == 0
    assert found[0].provenance.model_name.startswith("m at http://127.0.0.1")


def test_replies_are_kept_and_what_does_not_go_together_is_refused(tmp_path: Path) -> None:
    save_recipe(shade_recipe(tmp_path), tmp_path / "recipe.yaml")
    with serving(looks) as server:
        told = (
            "--endpoint",
            server.url,
            "--model",
            "m",
            "--cache",
            str(tmp_path / "kept"),
            "--view",
            "blank",
        )
        first = invoke(tmp_path, *told, "--json")
        again = invoke(tmp_path, *told, "--json")
        asked = len(server.requests)
    assert (
        first.exit_code == again.exit_code == 0 and asked <= 8
    )  # blank pictures of one size are one request
    assert json.loads(first.output)["figures"] == json.loads(again.output)["figures"]
    for call, words in (
        (["--endpoint", "http://x/v1"], "go together"),
        (["--endpoint", "http://x/v1", "--model", "m", "--processes", "2"], "--concurrency"),
        (["--endpoint", "http://x/v1", "--model", "m", "--task", "nothing"], "no task 'nothing'"),
        ([], "expected a run, a model folder"),
    ):
        refused = invoke(tmp_path, *call)
        assert refused.exit_code == 2 and words in " ".join(refused.output.split())
    bare = CliRunner().invoke(app, ["look", "--endpoint", "http://x/v1", "--model", "m"])
    assert bare.exit_code == 2 and "--endpoint needs --recipe" in bare.output
