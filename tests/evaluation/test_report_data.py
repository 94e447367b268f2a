"""The report: what it counts, its JSON, and that its rows hold all that its metrics need."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from sklearn.metrics import accuracy_score, cohen_kappa_score

from helpers.synthetic_run import GRADE, GRADES, PROVENANCE, grade_cases, grade_report, localise_report
from vrft_aug.errors import UserError
from vrft_aug.evaluation.comparison import compare
from vrft_aug.evaluation.meanings import MEANINGS
from vrft_aug.evaluation.metrics.bootstrap import Metric, measure
from vrft_aug.evaluation.metrics.catalogue import groups, statistics
from vrft_aug.evaluation.report_data import Report, build_report, load_report, save_report
from vrft_aug.imitation.recitation import recited_share
from vrft_aug.knowledge.bank_schema import KnowledgeBank
from vrft_aug.nouns import Answer, Case, Prompt, Rollout, Target, Task


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
    task = Task("ask", "answer", "What?", answer_mode="strict")
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


def test_curves_are_drawn_from_the_same_rows_as_the_metrics() -> None:
    report = grade_report(samples=8)
    curves = report.curves
    assert [t.label for t in curves.thresholds] == list(GRADES[1:])
    assert curves.thresholds[1].sensitivity == report.metrics["referable_sensitivity"]
    assert curves.thresholds[1].specificity == report.metrics["referable_specificity"]
    assert curves.thresholds[0].auroc is not None and curves.thresholds[0].auroc.n == 40
    assert [p.k for p in curves.pass_at] == [1, 2, 4, 8]
    assert curves.pass_at[0].rate == report.metrics["sample_accuracy"]
    assert curves.pass_at[-1].rate == report.metrics["any_right"]
    rates = [p.rate.value or 0 for p in curves.pass_at]
    assert rates == sorted(rates)
    assert curves.risk_coverage[-1].risk == pytest.approx(1 - (report.metrics["vote_accuracy"].value or 0))
    gaps = [abs(b.confidence - b.accuracy) * b.n for b in curves.reliability]
    n = sum(b.n for b in curves.reliability)
    assert report.metrics["calibration_error"].value == pytest.approx(sum(gaps) / n)
    assert set(report.per_class["mild"]) == {"sensitivity", "specificity", "f1", "auroc", "average_precision"}
    assert localise_report().curves.froc and not grade_report().curves.reliability


def test_every_metric_has_a_meaning() -> None:
    for report in (grade_report(samples=3), localise_report(samples=2)):
        names = {*report.metrics, *(name for of in report.per_class.values() for name in of)}
        assert names <= set(MEANINGS)


def test_label_sets() -> None:
    task = Task("signs", "multilabel", "Which?", ("oedema", "effusion", "nodule"))
    truth = [frozenset({"oedema"}), frozenset[str](), frozenset({"oedema", "nodule"})]
    cases = [Case(str(i), (), Target(labels=labels)) for i, labels in enumerate(truth)]
    none = Answer(None, "missing", "")
    said = [Answer(frozenset({"oedema"}), None, "x"), Answer(frozenset(), None, "x"), none]
    votes = [[said[0], said[1]], [said[1], said[1]], [Answer(truth[2], None, "x"), said[2]]]
    report = _report(cases, said, votes, task)
    assert report.metrics["accuracy"].value == report.metrics["label_accuracy"].value == pytest.approx(2 / 3)
    assert report.metrics["micro_f1"].value == pytest.approx(2 * 1 / (3 + 1))
    assert report.metrics["any_right"].value == 1
    assert report.per_class["oedema"]["auroc"].value == 1  # shares of 1/2, 0 and 1/2
    assert report.per_class["effusion"]["auroc"].value is None


def test_figures_of_reasoning() -> None:
    cases = grade_cases(2)
    told = "Grades:\n- mild: a few small red dots in the middle of the picture"
    prompts = [Prompt((), (), told), Prompt((), (), "")]
    answers = [
        Answer("mild", None, "a few small red dots in the middle of the picture"),
        Answer("mild", None, "Dots, red dots."),
    ]
    report = _report(cases, answers, prompts=prompts)
    assert report.rows[0].figures == {"recitation": recited_share(answers[0].reasoning, told)}
    assert report.rows[1].figures == {}
    assert report.metrics["recitation"].value == report.rows[0].figures["recitation"] > 0.9
    assert report.metrics["recitation"].n == 1
    assert report.metrics["reasoning_words"].value == (11 + 3) / 2
    # "the" is twice in the first; "dots" and "red" are in both, "dots" twice in the second.
    assert report.metrics["distinct_1"] == Metric(10 / 14, 2)
    assert report.metrics["distinct_2"] == Metric(11 / 12, 2)
    silent = _report(cases, [Answer("mild", None, "")] * 2)
    assert silent.metrics["distinct_1"].value is None and "recitation" not in silent.metrics


BANK = {
    "name": "shades", "title": "Shades", "author": "test", "reviewed": False, "sources": ["x"],
    "findings": {"shadow": [], "glare": []},
    "classes": {
        "dark": {"definition": "Dark.", "present": ["shadow"], "absent": ["glare"]},
        "bright": {"definition": "Bright.", "present": ["glare"], "absent": ["shadow"]},
    },
}  # fmt: skip


def test_self_bleu_is_of_the_samples_of_a_case() -> None:
    cases = grade_cases(3)
    same, other = Answer("mild", None, "a red dot"), Answer("mild", None, "nothing unusual here")
    sampled = [[same] * 3, [same, other, same], [same, Answer("mild", None, "")]]
    report = _report(cases, [same] * 3, sampled)
    first, second = (report.rows[i].figures["self_bleu"] for i in range(2))
    assert first == pytest.approx(1) and 0 < second < 1 and "self_bleu" not in report.rows[2].figures
    assert report.metrics["self_bleu"].value == pytest.approx((first + second) / 2)
    assert report.metrics["self_bleu"].n == 2 and report.metrics["self_bleu"].low is not None


def test_reasoning_is_checked_by_the_bank_where_it_says_enough() -> None:
    bank = KnowledgeBank.model_validate(BANK)
    task = Task("shade", "classify", "Which?", ("dark", "bright"))
    cases = [Case(str(i), (), Target(label="dark", present=frozenset({"shadow"}))) for i in range(2)]
    answers = [Answer("dark", None, "There is a shadow."), Answer("bright", None, "There is a shadow.")]
    report = _report(cases, answers, task=task, bank=bank)
    assert report.metrics["consistency"].value == 0.5  # a shadow speaks against bright
    assert report.metrics["grounding"].value == 1
    silent = KnowledgeBank.model_validate(BANK | {"findings": {}, "classes": {}})
    assert "consistency" not in _report(cases, answers, task=task, bank=silent).metrics


def test_synonyms_in_free_text_are_the_same_answer() -> None:
    task = Task("ask", "answer", "What?", synonyms=(("pulmonary oedema", "lung oedema"),))
    cases = [Case(str(i), (), Target(text="lung oedema")) for i in range(2)]
    answers = [Answer("Pulmonary oedema.", None, "x"), Answer("brain oedema", None, "x")]
    report = _report(cases, answers, [[answers[0], answers[0]], [answers[1], answers[0]]], task)
    assert report.metrics["accuracy"].value == 0.5 and report.metrics["any_right"].value == 1
    assert report.rows[1].votes == {"brain oedema": 1, "lung oedema": 1}


def test_medmnist_figures_only_where_asked_for() -> None:
    assert "medmnist_acc" not in grade_report().metrics
    cases = grade_cases()
    answers = [Answer(str(case.target.label), None, "x") for case in cases]
    report = _report(cases, answers, medmnist=True)
    assert report.metrics["medmnist_acc"].value == report.metrics["medmnist_auc"].value == 1
    assert compare({"a": [report]}).arms["a"]["medmnist_auc"].metric == report.metrics["medmnist_auc"]


def test_a_report_of_an_earlier_version_has_no_curves(tmp_path: Path) -> None:
    path = tmp_path / "evaluation.json"
    save_report(grade_report(), path)
    content = json.loads(path.read_text())
    del content["curves"], content["medmnist"]
    path.write_text(json.dumps(content))
    assert load_report(path).curves.thresholds == ()


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
    cases: list[Case], answers: list[Answer], sampled: list[list[Answer]] | None = None, task: Task = GRADE,
    prompts: list[Prompt] | None = None, medmnist: bool = False, bank: KnowledgeBank | None = None,
) -> Report:  # fmt: skip
    rollouts = [Rollout("<think>because</think><answer>x</answer>", tokens=7)] * len(cases)
    return build_report(
        task, cases, answers, rollouts, sampled,
        seed=0, bootstrap=200, split="test", provenance=PROVENANCE,
        prompts=prompts, medmnist=medmnist, bank=bank,
    )  # fmt: skip
