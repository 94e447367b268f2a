"""Arms side by side: paired intervals, seeds, and the tables made of them."""

from dataclasses import replace
from io import StringIO

import pytest
from rich.console import Console

from synthetic_run import grade_report, localise_report
from vrft_aug.errors import UserError
from vrft_aug.evaluation.comparison import compare
from vrft_aug.evaluation.tables import format_table, markdown_table, metrics_table


def test_a_single_run_keeps_its_own_metrics() -> None:
    report = grade_report()
    arm = compare({"one": [report]}).arms["one"]
    assert {name: metric.metric for name, metric in arm.items()} == dict(report.metrics)
    assert arm["accuracy"].deviation is None


def test_mean_and_deviation_over_runs() -> None:
    runs = [grade_report(seed=seed) for seed in range(3)]
    arm = compare({"rft": runs}).arms["rft"]["accuracy"]
    values = [report.metrics["accuracy"].value or 0 for report in runs]
    assert arm.runs == tuple(values)
    assert arm.metric.value == pytest.approx(sum(values) / 3)
    assert arm.deviation is not None and arm.deviation > 0
    assert "±" in str(arm)


def test_the_difference_of_an_arm_to_itself_is_nothing_and_is_paired() -> None:
    report, better = grade_report(0.4), grade_report(0.95)
    compared = compare({"a": [report], "b": [report], "c": [better]})
    same = compared.differences["b", "a"]["accuracy"]
    assert (same.value, same.low, same.high) == (0, 0, 0)
    gain = compared.differences["c", "a"]["accuracy"]
    assert gain.low is not None and gain.low > 0
    assert next(iter(compared.differences)) == ("c", "b")  # the last two arms first


def test_arms_on_other_cases_or_tasks_are_refused() -> None:
    report = grade_report()
    fewer = replace(report, rows=report.rows[:-1])
    with pytest.raises(UserError, match="different cases"):
        compare({"a": [report], "b": [fewer]})
    with pytest.raises(UserError, match="same labels"):
        compare({"a": [report], "b": [localise_report()]})


def test_tables() -> None:
    arms = {"base [red]": grade_report(0.4), "rft | x": [grade_report(0.6, seed) for seed in range(2)]}
    console = Console(width=80, record=True, file=StringIO())
    console.print(format_table(arms))
    text = console.export_text()
    assert "base [red]" in text and "Quadratic" in text and "± sd" in text
    assert text.count("[0.") == 2 * 5 and "…" not in text  # every interval whole, in 80 columns
    lines = markdown_table(arms).splitlines()
    assert lines[1].startswith("| --- | ---:") and len(lines) == 4
    assert "rft \\| x" in lines[3]
    assert metrics_table(localise_report()).row_count > 6
