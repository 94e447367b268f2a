"""The report: what it counts, its JSON, and that its rows hold all that its metrics need."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from sklearn.metrics import accuracy_score, cohen_kappa_score

from synthetic_run import GRADE, GRADES, PROVENANCE, grade_cases, grade_report, localise_report
from vrft_aug.errors import UserError
from vrft_aug.evaluation.bootstrap import measure
from vrft_aug.evaluation.report_data import Report, build_report, load_report, save_report
from vrft_aug.evaluation.statistics import MEANINGS, groups, statistics
from vrft_aug.nouns import Answer, Case, Rollout, Target, Task


@pytest.mark.parametrize("report", [grade_report(samples=3), localise_report(), localise_report(samples=2)])
def test_json_round_trip(report: Report, tmp_path: Path) -> None:
    save_report(report, tmp_path / "evaluation.json")
    assert load_report(tmp_path / "evaluation.json") == report
    assert [p.name for p in tmp_path.iterdir()] == ["evaluation.json"]
    json.loads((tmp_path / "evaluation.json").read_text(), parse_constant=pytest.fail)  # no NaN in it


@pytest.mark.parametrize("report", [grade_report(samples=3), localise_report(samples=2)])
def test_metrics_come_out_of_the_rows_again(report: Report) -> None:
    again = measure(
        statistics(report.kind, report.labels, report.rows), groups(report.rows),
        replicates=report.bootstrap, seed=report.seed,
    )  # fmt: skip
    for name, metric in report.metrics.items():
        assert again[name, ""] == metric
        assert name in MEANINGS


def test_grade_metrics_of_answered_cases_are_scikit_learns() -> None:
    cases = grade_cases()
    given = [GRADES[(i * 3) % 5] for i in range(len(cases))]
    report = _report(cases, [Answer(label, None, "because") for label in given])
    truth = [str(case.target.label) for case in cases]
    assert report.metrics["accuracy"].value == pytest.approx(accuracy_score(truth, given))
    kappa = cohen_kappa_score(truth, given, labels=GRADES, weights="quadratic")
    assert report.metrics["kappa"].value == pytest.approx(kappa)
    assert report.metrics["answered"].value == 1 and report.metrics["tokens"].value == 7
    low, value, high = (getattr(report.metrics["accuracy"], key) for key in ("low", "value", "high"))
    assert low <= value <= high


def test_failures_are_counted_by_reason_and_stand_in_the_last_column() -> None:
    cases = grade_cases(10)
    answers = [Answer(None, "truncated", "")] * 3 + [Answer(None, "ambiguous", "x")] * 2
    answers += [Answer(GRADES[0], None, "x")] * 5
    report = _report(cases, answers)
    assert report.failures["truncated"].value == 0.3 and report.failures["ambiguous"].value == 0.2
    assert report.failures["missing"].value == 0
    assert report.metrics["answered"].value == 0.5
    assert report.confusion is not None and sum(row[-1] for row in report.confusion) == 5
    assert sum(map(sum, report.confusion)) == 10


def test_an_absent_class_has_no_sensitivity() -> None:
    cases = [replace(case, target=Target(label="mild")) for case in grade_cases(6)]
    report = _report(cases, [Answer("mild", None, "x")] * 6)
    assert report.per_class["severe"]["sensitivity"].value is None
    assert report.per_class["severe"]["specificity"].value == 1
    assert report.metrics["kappa"].value is None
    assert report.metrics["balanced_accuracy"].value == 1


def test_votes() -> None:
    cases = grade_cases(2)  # no retinopathy, mild
    greedy = [Answer("severe", None, "x")] * 2
    none = Answer(None, "missing", "")
    right, wrong = Answer("no retinopathy", None, "x"), Answer("severe", None, "x")
    report = _report(cases, greedy, [[right, right, wrong, none], [wrong, wrong, wrong, none]])
    assert report.metrics["vote_accuracy"].value == 0.5
    assert report.metrics["sample_accuracy"].value == 0.25
    assert report.metrics["any_right"].value == 0.5
    assert report.rows[0].votes == {"no retinopathy": 2, "severe": 1} and report.rows[0].samples == 4


def test_free_text_is_compared_as_the_accuracy_reward_does() -> None:
    task = Task("ask", "answer", "What?")
    cases = [Case(str(i), (), Target(text="Left lung")) for i in range(3)]
    answers = [Answer(text, None, "x") for text in ("left lung.", "the left lung", "right")]
    report = _report(cases, answers, task=task)
    assert report.metrics["accuracy"].value == pytest.approx(1 / 3)
    assert report.metrics["token_f1"].value == pytest.approx((1 + 0.8 + 0) / 3)
    assert report.confusion is None


def test_boxes() -> None:
    report = localise_report()
    assert report.metrics["mean_iou"].value == pytest.approx(9 / 12)  # 3 of 12 truncated, the rest perfect
    assert report.metrics["false_boxes"].value == 0
    assert set(report.per_class) == {"haemorrhage", "exudate"}


def test_cases_without_the_target_are_left_out_and_counted() -> None:
    cases = [*grade_cases(4), Case("unlabelled", (), Target())]
    report = _report(cases, [Answer("mild", None, "x")] * 5)
    assert report.left_out == 1 and report.metrics["accuracy"].n == 4
    with pytest.raises(UserError, match="none of the 1 cases"):
        _report(cases[-1:], [Answer("mild", None, "x")])


def test_intervals_are_by_patient() -> None:
    alone = [replace(case, patient=None) for case in grade_cases()]
    answers = [Answer(GRADES[(i // 2) % 5], None, "x") for i in range(40)]
    assert _report(alone, answers).metrics["accuracy"] != _report(grade_cases(), answers).metrics["accuracy"]


def test_a_broken_file_is_one_clear_line(tmp_path: Path) -> None:
    path = tmp_path / "evaluation.json"
    with pytest.raises(UserError, match="cannot be read"):
        load_report(path)
    path.write_text('{"task": "x"}')
    with pytest.raises(UserError, match="vrft evaluate"):
        load_report(path)


def _report(
    cases: list[Case], answers: list[Answer], sampled: list[list[Answer]] | None = None, task: Task = GRADE
) -> Report:
    rollouts = [Rollout("<think>because</think><answer>x</answer>", tokens=7)] * len(cases)
    return build_report(
        task, cases, answers, rollouts, sampled,
        seed=0, bootstrap=200, split="test", provenance=PROVENANCE,
    )  # fmt: skip
