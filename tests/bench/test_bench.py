"""`vrft bench`: what it measures, writes and refuses."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from typer.testing import CliRunner

from vrft_aug.bench import losses_cost, settings_cost, suite
from vrft_aug.bench.presets import ACCUMULATE, PAPER, PRESETS, QUICK, SHORT, THREE_BILLION, shapes_of
from vrft_aug.cli import app
from vrft_aug.errors import UserError


@pytest.fixture(scope="module")
def result() -> dict[str, Any]:
    """A very small shape, measured; told as if it were the paper's."""
    shape = replace(QUICK, prompt=80, completion=6, generations=4)
    measured = suite.run_bench([shape], pairs=1, memory=False, profile=True, tell=lambda line: None)
    measured["cases"][0] |= {
        "name": PAPER.name,
        "memory": {"stock": 400, "shared": 100},
        "memory_ratio": 0.25,
    }
    return measured


def test_arms_do_the_same_work_and_ours_does_less(result: dict[str, Any]) -> None:
    case = result["cases"][0]
    assert result["logprob_max_diff"] < 1e-5
    assert result["grad_rel_diff"] < 1e-5
    assert case["prompt_tokens"] == pytest.approx(80, abs=6)
    stock = QUICK.prompts * 4 * (case["prompt_tokens"] + 6)
    assert case["tokens_stock"] == stock
    assert case["tokens_shared"] == QUICK.prompts * (case["prompt_tokens"] + 4 * 5)  # last tokens are not run
    assert all(len(values) == 1 for values in case["pairs"].values())
    assert sum(case["profile"].values()) == pytest.approx(1, abs=0.05)


def test_result_holds_what_programs_read(result: dict[str, Any]) -> None:
    read = json.loads(json.dumps(result))
    for key in (
        "step_ratio",
        "train_ratio",
        "sample_ratio",
        "memory_ratio",
        "logprob_max_diff",
        "grad_rel_diff",
    ):
        assert key in read
    assert set(read["cases"][0]["seconds"]["stock"]) == {
        "sampling", "scoring", "forward", "backward", "optimiser", "other",
    }  # fmt: skip


def test_page_is_written_from_saved_results(result: dict[str, Any], tmp_path: Path) -> None:
    saved, page = tmp_path / "bench.json", tmp_path / "performance.md"
    result["cases"][0]["shape"] |= {"prompts": PAPER.prompts}
    saved.write_text(json.dumps(result))
    ran = CliRunner().invoke(app, ["bench", str(saved), "--markdown", str(page)])
    assert ran.exit_code == 0, ran.output
    text = page.read_text()
    assert f"{result['cases'][0]['step_ratio']:.2f} x" in text
    assert "matrix products" in text
    assert "0.25 (0 / 0 MB)" in text


def test_accumulation_changes_neither_gradients_nor_the_tokens_that_ours_reads() -> None:
    """Stock's micro-batches spread groups; ours hold whole ones, so that as few tokens run as without."""
    shape = replace(
        QUICK, prompt=80, completion=6, generations=4, prompts=4, accumulation=4, checkpointing=True
    )
    measured = suite.measure(shape, pairs=1, profile=False)
    assert measured["logprob_max_diff"] < 1e-5
    assert measured["grad_rel_diff"] < 1e-5
    assert measured["tokens_stock"] == 16 * (measured["prompt_tokens"] + 6)
    assert measured["tokens_shared"] == 4 * (measured["prompt_tokens"] + 4 * 5)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--preset", "papper"], "'papper' is not known; expected one of paper, short"),
        (["gone.json"], "add --markdown FILE"),
        (["gone.json", "--markdown", "page.md"], "gone.json: cannot be read"),
        (["--markdown", "page.md"], "--json FILE"),
        (["empty.json", "--markdown", "page.md"], "empty.json: is no result"),
    ],
)
def test_wrong_use_is_told_in_a_line(
    arguments: list[str], told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("empty.json").write_text("{}")
    ran = CliRunner().invoke(app, ["bench", *arguments])
    assert ran.exit_code == 2
    assert told in ran.output
    assert not Path("page.md").exists()


@pytest.mark.parametrize("also", [[], ["--losses"]], ids=["steps", "losses"])
def test_the_shape_of_a_gpu_is_refused_without_one(
    also: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    file = tmp_path / "gpu.json"
    ran = CliRunner().invoke(app, ["bench", "--preset", "gpu", "--json", str(file), *also])
    assert ran.exit_code == 2 and "torch finds no CUDA device here" in ran.output
    assert not file.exists()


def test_presets() -> None:
    assert shapes_of("all")[:3] == (PAPER, SHORT, ACCUMULATE)
    assert ACCUMULATE.name == "P600 C96 G8 small, accumulation 8, checkpointing"
    assert shapes_of("gpu") == (THREE_BILLION,) and THREE_BILLION not in shapes_of("all")
    assert THREE_BILLION.name == "P600 C128 G8 3B, adapter over bfloat16, checkpointing, cuda"
    assert len(set(shapes_of("all"))) == len(shapes_of("all"))
    assert {shape.generations for shape in PRESETS["group"]} == {4, 8, 16, 32}
    assert suite.token_limit(600, 96, 8) == pytest.approx(4.07, abs=0.01)
    with pytest.raises(UserError):
        shapes_of("")


def test_the_cost_of_losses_is_told_for_every_setting(tmp_path: Path) -> None:
    said: list[str] = []
    shape = replace(QUICK, prompt=60, completion=4, generations=2)
    cost = losses_cost.losses_cost(shape, pairs=1, tell=said.append)
    assert cost["arms"].keys() == losses_cost.ARMS.keys()
    assert len(said) == 1 + len(losses_cost.ARMS)
    assert all(one["train_ratio"] == one["turns"][0] > 0 for one in cost["arms"].values())
    result = CliRunner().invoke(app, ["bench", "--losses", "--markdown", str(tmp_path / "page.md")])
    assert result.exit_code == 2 and "--losses measures and tells" in result.output


def test_the_cost_of_settings_is_told_and_makes_a_page(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    called: list[str] = []

    def child(name: str, steps: int, quick: bool) -> dict[str, Any]:
        called.append(name)
        seconds = 1.0 if name == "none" else 1.25
        return {"seconds": seconds * len(called), "memory": 200 if name == "none" else 300, "tokens": 20.0}

    monkeypatch.setattr(settings_cost, "_child", child)
    saved, page = tmp_path / "costs.json", tmp_path / "page.md"
    refused = CliRunner().invoke(app, ["bench", "--settings", "--losses"])
    assert refused.exit_code == 2 and "name one" in refused.output
    done = CliRunner().invoke(app, ["bench", "--settings", "--pairs", "2", "--json", str(saved)])
    assert done.exit_code == 0 and "look, every 5 steps" in done.output
    names = list(settings_cost.SETTINGS)
    assert called == [*names, *names[::-1]]  # the second round the other way
    told = json.loads(saved.read_text())["settings"]["seats"]
    first = 1.25 * (names.index("seats") + 1)
    last = 1.25 * (2 * len(names) - names.index("seats")) / (2 * len(names))
    assert told["ratios"] == pytest.approx([first, last])
    command = ["bench", str(saved), "--settings", "--markdown", str(page)]
    assert CliRunner().invoke(app, command).exit_code == 0
    text = page.read_text()
    assert text.startswith(
        "# What each setting beyond the paper costs\n\nGenerated by `vrft bench RESULTS.json"
    )
    assert "| none | 1.00 | 1.00, 1.00 | 1.00 | 20.0 |" in text and "| 1.50 | 20.0 |" in text
    wrong = CliRunner().invoke(app, ["bench", str(saved), "--markdown", str(page)])
    assert wrong.exit_code == 2 and "expected the keys cases and environment" in " ".join(
        wrong.output.split()
    )


@pytest.mark.slow
@pytest.mark.parametrize("name", ["injection.dropout and teacher", "look, every 5 steps"])
def test_a_setting_is_measured_in_a_stage_of_the_demo(name: str) -> None:
    found = settings_cost.measured_stage(name, 3, True)
    assert found["seconds"] > 0 and 0 < found["tokens"] <= 16
