"""The demo of questions in short: trained, and judged on both of its tasks before and after."""

import json
from pathlib import Path

from typer.testing import CliRunner

from vrft_aug.cli import app
from vrft_aug.evaluation.report_sets import load_reports
from vrft_aug.experiments.run import train
from vrft_aug.recipe.file import load_recipe

SMALL = [
    *(f"tasks.{task}.data.{key}" for task in ("choose", "ask") for key in ("train=6", "test=3")),
    "evaluation.bootstrap=100",
    "evaluation.max_new_tokens=12",
]


def test_the_demo_trains_and_is_judged_on_both_tasks(tmp_path: Path) -> None:
    recipe = load_recipe("vqa-demo", SMALL)
    names = [stage.name for stage in recipe.stages]
    assert names == ["choose", "ask", "choose-again", "ask-again", "reward"]
    shorter = {"steps": 1, "prompts_per_step": 2}
    first, last = (
        recipe.stages[0].model_copy(update=shorter),
        recipe.stages[-1].model_copy(update={**shorter, "generations": 2, "max_new_tokens": 8}),
    )
    short = recipe.model_copy(update={"stages": (first, last)})
    train(short, tmp_path / "run")
    lines = [json.loads(line) for line in (tmp_path / "run" / "rollouts.jsonl").read_text().splitlines()]
    assert {line["task"] for line in lines} == {"choose", "ask"} and len(lines) == 4
    page = (tmp_path / "run" / "report.html").read_text()
    assert "By kind of question" in page and "topic: count" in page and "over pictures" in page

    both = ["--task", "choose", "--task", "ask", "-o", str(tmp_path / "all.json")]
    judged = CliRunner().invoke(app, ["evaluate", str(tmp_path / "run"), *both])
    assert judged.exit_code == 0, judged.output
    reports = load_reports(tmp_path / "all.json")
    assert list(reports) == ["vqa-demo/choose", "vqa-demo/ask"]
    for name, report in reports.items():
        assert {"accuracy", "frequent_accuracy", "text_only_accuracy", "gain_by_sight"} <= set(report.metrics)
        assert name in judged.output and report.metrics["accuracy"].n == len(report.rows) > 3
    forms = {one.form for one in reports["vqa-demo/ask"].slices}
    assert {"closed", "open"} <= forms
