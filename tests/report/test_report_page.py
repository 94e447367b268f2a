"""The pages: complete, self-contained, and safe with whatever a model writes."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import yaml

from helpers.pages import check_self_contained
from helpers.synthetic_run import (
    GRADE,
    GRADES,
    PROVENANCE,
    RECIPE,
    grade_cases,
    grade_report,
    localise_cases,
    localise_report,
    write_run,
)  # fmt: skip
from vrft_aug.errors import UserError
from vrft_aug.evaluation.comparison import compare
from vrft_aug.evaluation.report_data import build_report, save_report
from vrft_aug.nouns import Answer, Rollout
from vrft_aug.report.page import write_comparison, write_report
from vrft_aug.report.run_data import read_run
from vrft_aug.report.samples import extremes
from vrft_aug.report.training_curves import other_panels, smoothed, stage_panels, terms_over_rollouts

EVIL = "<script>alert(1)</script><img src=http://evil.example/x onerror=alert(1)> $x_ {{ 7 * 7 }}"
CASES = {case.id: case for case in grade_cases()}


def test_page_of_a_run(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", grade_report(samples=4), stages=("warm-up", "grading"))
    html = write_report(run, CASES).read_text(encoding="utf-8")
    elements = check_self_contained(html)
    report = read_run(run).report
    assert report is not None
    assert f"{report.metrics['kappa'].value:.2f}" in html
    for text in ("Not for clinical use without validation", "Quadratic kappa", "no answer", "malformed",
                 "aaaaaaaaaaaa", "fuzzy_grade", "Are votes a sign", *GRADES):  # fmt: skip
        assert text in html, text
    assert sum(tag == "div" and found.get("class") == "panels" for tag, found in elements.found) == 3
    named = [found["aria-label"] for tag, found in elements.found if tag == "svg" and "role" in found]
    assert len(named) == len(set(named)) > 3  # a panel each
    pictures = [found for tag, found in elements.found if tag == "img"]
    assert len(pictures) == html.count("<article") == 15  # nine drawn by lot, three best, three worst


def test_the_page_says_what_training_has_changed(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", grade_report(0.95))
    assert "What training has changed" not in write_report(run, CASES).read_text(encoding="utf-8")
    save_report(grade_report(0.3), run / "evaluation-base.json")
    html = write_report(run, CASES).read_text(encoding="utf-8")
    check_self_contained(html)
    change = compare({"a": [grade_report(0.3)], "b": [grade_report(0.95)]}).differences["b", "a"]["kappa"]
    assert change.low is not None and change.low > 0
    table = html[html.index("What training has changed") :].split("</table>")[0]
    assert f'<td class="number">{change.value:.2f}</td>' in table and f"{change.low:.2f} to" in table
    save_report(grade_report(0.3, n=20), run / "evaluation-base.json")  # of fewer cases: nothing to pair
    assert "What training has changed" not in write_report(run, CASES).read_text(encoding="utf-8")


def test_a_page_tells_what_rang_and_what_it_ran_on(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", grade_report(), stages=("warm-up", "grading"))
    assert "no monitors were logged" in write_report(run, CASES).read_text(encoding="utf-8")
    with (run / "metrics.jsonl").open("a") as file:
        file.write(json.dumps({"stage": "grading", "step": 61, "monitor/words": 9.0, "reward": 1}) + "\n")
    assert "None rang" in write_report(run, CASES).read_text(encoding="utf-8")
    alarm = {"stage": "grading", "step": 12, "rule": "copying", "alarm": f"61% is copied. {EVIL}"}
    (run / "alarms.jsonl").write_text(json.dumps(alarm) + "\n")
    facts = {
        "started": "2026-01-02T03:04:05+00:00", "finished": "2026-01-02T04:04:05+00:00",
        "stages": {"warm-up": {"steps": 20, "seconds": 30, "rollouts": 0},
                   "grading": {"steps": 60, "seconds": 300, "rollouts": 3840}},
        "hardware": {"processor": "A & B", "cores": 2, "threads": 1, "memory_gb": 24, "gpus": []},
        "data": {"grading": [{"task": "grade", "cases": 256, "hash": "dddddddddddd"}]},
        "versions": {"trl": "1.16.0"},
    }  # fmt: skip
    (run / "run.json").write_text(json.dumps(facts))
    html = write_report(run, CASES).read_text(encoding="utf-8")
    check_self_contained(html)
    for text in (
        "61% is copied.", "grading, step 12", "256 cases, dddddddddddd", "A &amp; B, 2 cores",
        "no GPU", "60 min", "0.19 core hours for 3,840 rollouts and 40 evaluated cases",
        "trl 1.16.0", "Model card", "Clinical use without validation", "GRPO on grade, 5 min",
    ):  # fmt: skip
        assert text in html, text


def test_every_monitor_is_drawn_once() -> None:
    lines = [
        {"stage": "a", "step": i, "reward": i / 9, "loss": -i, "seconds": i, "rewards/format": i / 9,
         "monitor/copied_5grams": i / 9, "monitor/self_bleu": i / 10, "monitor/words": 20 + i, "constant": 3}
        for i in range(9)
    ]  # fmt: skip
    panels = {title: [one.name for one in series] for title, series in other_panels(lines, "a")}
    assert panels == {"monitor": ["copied_5grams", "self_bleu"], "monitor/words": [""], "loss": [""]}


def test_best_and_worst_cases() -> None:
    best, worst = extremes(grade_report(samples=4), CASES)
    assert [one.shown[0].outcome for one in best] == ["right"] * 3
    assert all(one.shown[0].outcome != "right" for one in worst) and len(worst) == 3
    best, worst = extremes(localise_report(), {})
    assert all("IoU 1.00" in one.shown[0].answer for one in best)
    assert {one.shown[0].outcome for one in worst} == {"no answer"}


def test_page_of_boxes(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", localise_report())
    html = write_report(run, {case.id: case for case in localise_cases()}).read_text(encoding="utf-8")
    check_self_contained(html)
    assert "AP50" in html and "the model’s box" in html and "IoU 1.00" in html


def test_whatever_the_model_writes_is_text(tmp_path: Path) -> None:
    labels = (EVIL, *GRADES[1:])
    task = replace(GRADE, labels=labels, name=EVIL)
    cases = [
        replace(case, id=EVIL + case.id, target=replace(case.target, label=labels[i % 5]))
        for i, case in enumerate(grade_cases(10))
    ]
    answers = [Answer(EVIL, None, EVIL) if i % 2 else Answer(None, "malformed", EVIL) for i in range(10)]
    report = build_report(
        task, cases, answers, [Rollout(EVIL)] * 10, [[one] for one in answers],
        seed=0, bootstrap=100, split=EVIL,
        provenance=replace(PROVENANCE, model_name=EVIL, versions={EVIL: EVIL}),
    )  # fmt: skip
    run = write_run(tmp_path / "run", report, stages=("grading",))
    with (run / "metrics.jsonl").open("a") as file:
        file.write(json.dumps({"stage": "grading", "step": 61, f"rewards/{EVIL}": 1.0, "reward": 1}) + "\n")
        file.write(json.dumps({"stage": EVIL, "step": 1, "loss": 1.0}) + "\n")
    known = {case.id: case for case in cases}
    alone = write_report(run, known).read_text(encoding="utf-8")
    beside = write_comparison(tmp_path / "c.html", EVIL, {EVIL: [run], "b": [run]}, known).read_text("utf-8")
    for html in (alone, beside):
        check_self_contained(html)
        assert "<script" not in html and "<img src=http" not in html
        assert "&lt;script&gt;alert(1)" in html and "{{ 7 * 7 }}" in html


def test_a_run_that_is_not_finished_has_a_page(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", grade_report(), stages=("grading",))
    (run / "evaluation.json").unlink()
    with (run / "metrics.jsonl").open("a") as file:
        file.write('{"stage": "grading", "st')  # killed while writing
    html = write_report(run).read_text(encoding="utf-8")
    check_self_contained(html)
    assert "has not been evaluated yet" in html and "Stage grading" in html


def test_a_page_goes_without_pictures_where_the_data_is_gone(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", grade_report())
    recipe = yaml.safe_load((run / "recipe.yaml").read_text())
    recipe["tasks"]["grade"]["data"] = {"reader": "csv", "table": "gone.csv"}
    (run / "recipe.yaml").write_text(yaml.safe_dump(recipe))
    html = write_report(run).read_text(encoding="utf-8")
    assert "No pictures:" in html and "gone.csv" in html and "<img" not in html


def test_a_case_without_a_picture_is_shown_without_one(tmp_path: Path) -> None:
    cases = {id: replace(case, images=()) for id, case in CASES.items()}
    html = write_report(write_run(tmp_path / "run", grade_report()), cases).read_text(encoding="utf-8")
    assert html.count("<article") == 15 and "<img" not in html


def test_unreviewed_knowledge_is_named(tmp_path: Path) -> None:
    bank = {
        "name": "mine", "title": "Grades of <mine>", "author": "me", "reviewed": False, "sources": [],
        "findings": {"dots": []},
        "classes": {label: {"definition": "x"} for label in GRADES},
    }  # fmt: skip
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(bank))
    run = write_run(tmp_path / "run", grade_report())
    assert "been reviewed" not in write_report(run, CASES).read_text(encoding="utf-8")
    recipe = yaml.safe_load((run / "recipe.yaml").read_text())
    recipe["tasks"]["grade"]["knowledge"] = str(tmp_path / "mine.yaml")
    recipe["evaluation"]["injection"] = {"style": "definitions"}
    (run / "recipe.yaml").write_text(yaml.safe_dump(recipe))
    html = write_report(run, CASES).read_text(encoding="utf-8")
    assert "“Grades of &lt;mine&gt;” (mine) has not been reviewed by a clinician" in html
    assert "Unreviewed: " not in html
    recipe["stages"][-1]["rewards"] = {"consistency": 0.5}
    (run / "recipe.yaml").write_text(yaml.safe_dump(recipe))
    told = "<strong>Unreviewed: stage &#39;grading&#39; pays consistency by the facts of "
    assert told in write_report(run, CASES).read_text(encoding="utf-8")
    both = write_comparison(tmp_path / "c.html", "t", {"one": [run], "two": [run]})
    assert both.read_text(encoding="utf-8").count(told) == 1


def test_page_of_arms(tmp_path: Path) -> None:
    arms = {
        "Base": [write_run(tmp_path / "base", grade_report(0.3))],
        "RFT": [
            write_run(tmp_path / f"rft-{seed}", grade_report(0.6, seed), seed=seed, stages=("grading",))
            for seed in range(3)
        ],
        "VRFT-Aug": [
            write_run(tmp_path / f"vrft-{seed}", grade_report(0.9, seed), seed=seed, stages=("grading",))
            for seed in range(3)
        ],
    }
    html = write_comparison(tmp_path / "page.html", "All arms", arms, CASES).read_text(encoding="utf-8")
    elements = check_self_contained(html)
    for text in (
        "All arms",
        "VRFT-Aug − RFT",
        "Term fuzzy_grade",
        "±",
        "up to 3 training seeds",
        "Not for clinical use",
    ):
        assert text in html, text
    assert sum(tag == "img" for tag, _ in elements.found) == 8
    assert html.count('class="confusion"') == 3


def test_arms_without_evaluation_are_refused(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", grade_report())
    (run / "evaluation.json").unlink()
    with pytest.raises(UserError, match="vrft evaluate"):
        write_comparison(tmp_path / "c.html", "x", {"a": [run]}, CASES)
    with pytest.raises(UserError, match=r"recipe\.yaml"):
        write_report(tmp_path)


def test_of_a_step_logged_twice_the_later_line_counts() -> None:
    lines = [
        {"stage": "a", "step": 1, "reward": 1.0, "loss": 0.5},
        {"stage": "a", "step": 2, "reward": 5.0},
        {"stage": "a", "step": 2, "reward": 2.0, "rewards/format": None},
    ]
    panels = dict(stage_panels(lines, "a"))
    assert list(panels) == ["Reward"]  # GRPO's loss is left out, and a term without numbers
    assert panels["Reward"][0].y.tolist() == [1.0, 2.0]


def test_rollouts_add_up_over_stages(tmp_path: Path) -> None:
    run = read_run(write_run(tmp_path / "run", grade_report(), stages=("warm-up", "grading")))
    recipe = run.recipe.model_copy(update={"stages": (run.recipe.stages[1], run.recipe.stages[1])})
    terms = terms_over_rollouts(run.lines, recipe)
    assert set(terms) == {"reward", "format", "fuzzy_grade"}
    assert terms["reward"].x[-1] == 2 * 60 * 8 * 8
    assert RECIPE["stages"][1]["steps"] == 60


def test_smoothing_keeps_length_and_level() -> None:
    y = np.linspace(0, 1, 60)
    assert smoothed(y).shape == y.shape
    assert smoothed(np.ones(7)).tolist() == [1.0] * 7
    assert smoothed(y)[30] == pytest.approx(y[30])


def test_a_run_too_short_for_alarms_says_so(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", grade_report())
    step = {"stage": "grading", "step": 9, "monitor/words": 9.0, "reward": 1}
    (run / "metrics.jsonl").write_text(json.dumps(step) + "\n")
    page = write_report(run, CASES).read_text(encoding="utf-8")
    assert "None could ring: alarms need ten steps" in page and "None rang" not in page
