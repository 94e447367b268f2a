"""Confidence and abstention from the recipe to the report: settings, what is taught, constants, pages."""

from __future__ import annotations

import csv
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from helpers.pages import check_self_contained
from helpers.run_checks import lines
from helpers.shades import GRPO, SFT, shade_recipe
from helpers.synthetic_run import GRADE, PROVENANCE, grade_cases, write_run
from vrft_aug.answer import parse
from vrft_aug.errors import UserError
from vrft_aug.evaluation.cautions import cautions
from vrft_aug.evaluation.prediction_files import COLUMNS, write_table
from vrft_aug.evaluation.report_data import build_report, load_report
from vrft_aug.experiments.run import train
from vrft_aug.nouns import Case, Rollout, Target, Task
from vrft_aug.preview.check import check_recipe
from vrft_aug.recipe.file import load_recipe
from vrft_aug.report.page import write_report
from vrft_aug.shaping.format import format_reward
from vrft_aug.tasks.demonstrations import fault
from vrft_aug.tasks.targets import target_completion

BRIER = {"format": 0.5, "brier": 1.0}
FREE = [
    [0, 1, 1, 1, 1, 0.1],
    [1, 0, 1, 1, 1, 0.1],
    [1, 1, 0, 1, 1, 0.1],
    [1, 1, 1, 0, 1, 0.1],
    [1, 1, 1, 1, 0, 0.1],
]
ON = ["tasks.grade.confidence=true", "tasks.grade.abstain=cannot tell"]


def on(task: Task, **more: Any) -> Task:
    return Task(**{**vars(task), "confidence": True, "abstain": "cannot tell", **more})


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (
            ["tasks.lesions.confidence=true"],
            "tasks.lesions: confidence is of answers that are right or wrong; boxes",
        ),
        (
            ["tasks.lesions.abstain=cannot tell"],
            "tasks.lesions: abstain is of answers that are right or wrong",
        ),
        (["tasks.grade.confidence=true", "tasks.grade.answer_format=free"], "confidence stands in tags"),
        (["tasks.grade.abstain=Mild "], "abstain is 'Mild'; expected words that are no label"),
        (["tasks.grade.abstain=' '"], "abstain is ' '; expected words that are no label"),
        (["stages.grade.rewards.brier=1"], "stages.grade.rewards: .*set tasks.grade.confidence: true"),
        (
            [*ON, "stages.grade.rewards.costs={costs: [[0, 1], [1, 0]]}"],
            "expected 5 x 6 .* then what 'cannot tell'",
        ),
    ],
)
def test_what_cannot_be_is_one_line_at_check(changes: list[str], said: str) -> None:
    with pytest.raises(UserError, match=said) as refused:
        check_recipe(load_recipe("fundus-demo", changes))
    assert "\n" not in str(refused.value) and len(str(refused.value)) < 500


def test_check_knows_what_it_pays_to_abstain_from_everything() -> None:
    rewards = {"accuracy": 1, "costs": {"weight": 1, "costs": FREE}}
    cheap = check_recipe(load_recipe("fundus-demo", [*ON, f"stages.grade.rewards={rewards}"]))[1]
    assert cheap.constants is not None and cheap.constants.rewards["cannot tell"] == pytest.approx(0.9)
    assert cheap.warning is not None and "always answering 'cannot tell' earns 0.900" in cheap.warning
    assert "let abstaining cost more (the last column of rewards.costs.costs)" in cheap.warning
    rewards["costs"] = {"weight": 1, "costs": [[*row[:-1], 1] for row in FREE]}
    dear = check_recipe(load_recipe("fundus-demo", [*ON, f"stages.grade.rewards={rewards}"]))[1]
    assert dear.constants is not None and dear.constants.rewards["cannot tell"] == 0
    assert "cannot tell" not in (dear.warning or "")
    # Of a constant the share of its label is stated: p**2, as the honest earn it.
    sure = check_recipe(load_recipe("fundus-demo", [*ON, "stages.grade.rewards={brier: 1}"]))[1].constants
    counts = load_shares()
    assert sure is not None and sure.right == 1 and sure.silent == -1 and sure.rewards["cannot tell"] == 0
    assert sure.rewards["none"] == pytest.approx(counts["none"] ** 2, abs=1e-6)


def load_shares() -> dict[str, float]:
    part = check_recipe(load_recipe("fundus-demo"))[1]
    return {label: count / part.cases for label, count in part.targets.items()}


def test_what_is_taught_is_the_form_and_every_level_alike() -> None:
    task = on(GRADE)
    cases = [Case(f"d/{i}", (), Target(label="mild")) for i in range(900)]
    taught = [target_completion(case, task) for case in cases]
    assert taught == [target_completion(case, task) for case in cases]
    assert {format_reward(Rollout(text), task=task) for text in taught} == {1}
    levels = Counter(parse(Rollout(text), task, None).confidence for text in taught)
    assert sorted(levels) == pytest.approx([n / 10 for n in range(1, 10)])  # type: ignore[type-var]
    assert min(levels.values()) > 60
    shown = fault("<think>x</think><answer>mild</answer>", cases[0], task, None)
    assert shown is not None and "<confidence>0.8</confidence> and nothing else" in shown
    abstains = "<think>x</think><answer>cannot tell</answer><confidence>0.5</confidence>"
    assert fault(abstains, cases[0], task, None) == "has no readable answer (abstained)"
    assert fault(abstains.replace("cannot tell", "mild"), cases[0], task, None) is None


def test_the_report_shows_how_reliable_it_is(tmp_path: Path) -> None:
    task, cases = on(GRADE), grade_cases()
    said = [str(case.target.label) if i % 4 else "cannot tell" for i, case in enumerate(cases)]
    said = ["mild" if i % 5 == 1 else text for i, text in enumerate(said)]
    texts = [
        f"<think>x</think><answer>{text}</answer><confidence>{50 + i}%</confidence>"
        for i, text in enumerate(said)
    ]
    rollouts = [Rollout(text, tokens=9) for text in texts]
    answers = [parse(rollout, task, None) for rollout in rollouts]
    settings: dict[str, Any] = {"seed": 0, "bootstrap": 100, "split": "test", "provenance": PROVENANCE}
    report = build_report(task, cases, answers, rollouts, None, **settings)
    assert sum(one.n for one in report.curves.stated_reliability) == sum(a.reason is None for a in answers)
    assert report.curves.stated_risk[-1].coverage == 1 and not report.curves.reliability
    run = write_run(tmp_path / "run", report, stages=("grading",))
    assert load_report(run / "evaluation.json") == report
    html = write_report(run, {case.id: case for case in cases}).read_text(encoding="utf-8")
    check_self_contained(html)
    for text in (
        "Does the confidence that answers state",
        "Brier score",
        "Coverage at 10 %",
        "confidence stated",
    ):
        assert text in html, text
    silent = build_report(GRADE, cases, answers, rollouts, None, **settings)
    other = write_run(tmp_path / "other", silent, stages=("grading",))
    page = write_report(other, {case.id: case for case in cases}).read_text(encoding="utf-8")
    assert "Brier score" not in page
    nothing = [parse(Rollout("<answer>cannot tell</answer>"), task, None)] * len(cases)
    mute = build_report(task, cases, nothing, rollouts, None, **settings)
    assert cautions(mute)[0].startswith("All 40 answers are abstentions")


def test_a_table_of_answers_has_the_column_where_it_is_asked_for(tmp_path: Path) -> None:
    line = dict.fromkeys(COLUMNS, "x")
    for confidence, columns in ((None, COLUMNS), (0.8, (*COLUMNS[:4], "confidence", *COLUMNS[4:]))):
        found = line if confidence is None else {**line, "confidence": confidence}
        write_table(tmp_path / "t.csv", [found])
        with (tmp_path / "t.csv").open(encoding="utf-8") as file:
            header, row = csv.reader(file)
        assert tuple(header) == columns and (confidence is None or row[4] == "0.8")


def test_a_run_with_both_trains_and_tells_of_both(random_policy: Path, tmp_path: Path) -> None:
    doubt = {"confidence": True, "abstain": "cannot tell", "reasoning": "after"}
    rewards = {**BRIER, "helpers.shades:spread": 1.0, "costs": {"costs": [[0, 1, 0.5], [1, 0, 0.5]]}}
    base = shade_recipe(
        random_policy,
        {**SFT, "steps": 1},
        {**GRPO, "rewards": rewards, "steps": 2, "trainer": {"gradient_accumulation_steps": 2}},
    )
    shade = base.tasks["shade"].model_validate({**base.tasks["shade"].model_dump(), **doubt})
    recipe = base.model_copy(update={"tasks": {**base.tasks, "shade": shade}})
    recipe = recipe.model_copy(update={"evaluation": recipe.evaluation.model_copy(update={"base": False})})
    train(recipe, tmp_path / "run")
    logged = [line for line in lines(tmp_path / "run" / "metrics.jsonl") if line["stage"] == "rewards"]
    for line in logged:
        assert {"rewards/brier", "rewards/costs", "monitor/abstained"} <= line.keys()
        assert "failures/abstained" not in line and -1 <= line["rewards/brier"] <= 1
    report = load_report(tmp_path / "run" / "evaluation.json")
    assert {"confidence_stated", "abstained", "coverage_at_5"} <= report.metrics.keys()
