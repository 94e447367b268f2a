"""Arms side by side: paired intervals, seeds, and the tables made of them."""

import csv
import json
from dataclasses import replace
from io import StringIO
from pathlib import Path
from xml.etree import ElementTree

import pytest
from PIL import Image
from rich.console import Console
from typer.testing import CliRunner

from helpers.synthetic_run import grade_report, localise_report, write_run
from vrft_aug.cli import app
from vrft_aug.errors import UserError
from vrft_aug.evaluation.arms import read_arms
from vrft_aug.evaluation.comparison import compare
from vrft_aug.evaluation.comparison_tables import comparison_markdown, comparison_text
from vrft_aug.evaluation.report_data import Report, save_report
from vrft_aug.evaluation.tables import Arms, format_table, markdown_table, metrics_table
from vrft_aug.report.comparison_files import write_comparison_files


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


def test_arms_on_other_cases_or_tasks_are_refused_by_name() -> None:
    report = grade_report()
    fewer = replace(report, rows=report.rows[5:])
    with pytest.raises(
        UserError, match=r"different cases: 40.* 35 .*only in 'a': discs/test/0,.* and 2 more"
    ):
        compare({"a": [report], "b": [fewer]})
    with pytest.raises(UserError, match=r"only in 'b': discs/test/0"):
        compare({"a": [fewer], "b": [report]})
    with pytest.raises(UserError, match="same labels"):
        compare({"a": [report], "b": [localise_report()]})
    other = replace(report.rows[3], truth="mild")
    with pytest.raises(UserError, match=r"different truths of discs/test/3;"):
        compare({"a": [report], "b": [replace(report, rows=(*report.rows[:3], other, *report.rows[4:]))]})


def test_the_order_of_the_rows_has_no_influence() -> None:
    report, better = grade_report(0.4), grade_report(0.9)
    turned = replace(better, rows=better.rows[::-1])
    assert compare({"a": [report], "b": [turned]}) == compare({"a": [report], "b": [better]})


def test_differences_to_a_baseline_alone_and_of_chosen_metrics() -> None:
    arms = {name: [grade_report(skill)] for name, skill in (("a", 0.3), ("b", 0.5), ("c", 0.9))}
    compared = compare(arms, baseline="b", metrics=["kappa", "far_off"], replicates=300)
    assert list(compared.differences) == [("a", "b"), ("c", "b")] and compared.bootstrap == 300
    assert compared.headline == ("kappa", "far_off") == tuple(compared.differences["a", "b"])
    with pytest.raises(UserError, match="no arm is called 'd'"):
        compare(arms, baseline="d")
    with pytest.raises(UserError, match="did you mean 'kappa'"):
        compare(arms, metrics=["kapa"])


def test_all_differences_are_tested_and_corrected_together() -> None:
    arms = {name: [grade_report(skill)] for name, skill in (("a", 0.3), ("b", 0.5), ("c", 0.9))}
    compared = compare(arms)
    tests = [one for by_name in compared.tests.values() for one in by_name.values()]
    assert len(tests) == 3 * 5 and min(t.adjusted for t in tests) == pytest.approx(
        15 * min(t.p for t in tests)
    )
    for pair, by_name in compared.tests.items():
        for name, tested in by_name.items():
            metric = compared.differences[pair][name]
            assert metric.low is not None and metric.high is not None
            if not metric.low <= 0 <= metric.high:
                assert tested.p <= 0.06  # 200 draws: the ends of the interval are rough


def single_cases(report: Report) -> Report:
    return replace(report, rows=tuple(replace(row, patient=None) for row in report.rows))


def test_mcnemar_counts_cases_that_one_arm_alone_has_right() -> None:
    first, second = single_cases(grade_report(0.4)), single_cases(grade_report(0.9))
    found = compare({"a": [first], "b": [second]}).mcnemar["b", "a"]
    pairs = list(zip(first.rows, second.rows, strict=True))
    assert found.only_of == sum(b.answer == b.truth != a.answer for a, b in pairs)
    assert found.only_minus == sum(a.answer == a.truth != b.answer for a, b in pairs)
    assert found.test.p < 0.05


def test_mcnemar_is_left_out_where_it_does_not_apply() -> None:
    several = compare({"a": [grade_report(0.4)], "b": [grade_report(0.9)]})
    assert not several.mcnemar and "patients have several cases" in several.notes[0]
    seeds = [single_cases(grade_report(0.5, seed)) for seed in range(2)]
    assert "several runs" in compare({"a": seeds[:1], "b": seeds}).notes[0]
    boxes = compare({"a": [localise_report()], "b": [localise_report()]})
    assert not boxes.mcnemar and boxes.notes == ()


def test_other_pictures_of_the_same_cases_are_told_of() -> None:
    report = single_cases(grade_report())
    other = replace(report, provenance=replace(report.provenance, data="dddddddddddd"))
    assert "data hashes differ" in compare({"a": [report], "b": [other]}).notes[0]


NAMES = ("base [red]", "<b>&|")


def test_every_form_of_a_comparison_holds_the_same_figures(tmp_path: Path) -> None:
    reports = [single_cases(grade_report(skill)) for skill in (0.4, 0.9)]
    compared = compare({name: [one] for name, one in zip(NAMES, reports, strict=True)})
    files = {path.suffix: path for path in write_comparison_files(compared, tmp_path)}
    content = json.loads(files[".json"].read_text())
    gain = compared.differences[NAMES[1], NAMES[0]]["accuracy"]
    assert content["differences"][0] | {"value": gain.value, "low": gain.low} == content["differences"][0]
    lines = list(csv.DictReader(StringIO(files[".csv"].read_text())))
    (line,) = [row for row in lines if row["what"] == "difference" and row["metric"] == "accuracy"]
    assert float(line["value"]) == gain.value and line["of"] == NAMES[1]
    assert float(line["p_holm"]) == compared.tests[NAMES[1], NAMES[0]]["accuracy"].adjusted
    assert {row["what"] for row in lines} == {"arm", "difference", "mcnemar"}
    assert f"{gain.value:+.3f}" in files[".md"].read_text() and "<b>&\\|" in files[".md"].read_text()
    console = Console(width=80, record=True, file=StringIO())
    console.print(comparison_text(compared))
    text = console.export_text()
    assert f"{gain.value:+.3f}" in text and "base [red]" in text and "McNemar" in text
    drawn = ElementTree.parse(files[".svg"])
    assert any("<b>" in (node.text or "") for node in drawn.iter())  # as text, not as an element
    with Image.open(files[".png"]) as picture:
        assert picture.size[0] > 500


def test_how_intervals_were_drawn_is_said_once() -> None:
    """With what was drawn: patients where they are known; in the terminal and in Markdown."""
    known, unknown = grade_report(), grade_report()
    unknown = replace(unknown, rows=tuple(replace(row, patient=None, picture=None) for row in unknown.rows))
    for report, units in ((known, "patients"), (unknown, "cases")):
        compared = compare({"a": [report], "b": [report]}, replicates=200)
        console = Console(width=200, record=True, file=StringIO())
        console.print(comparison_text(compared))
        for text in (console.export_text(), comparison_markdown(compared)):
            told = f"intervals over {units}: 200 draws with seed {report.seed}, the same for all arms"
            assert text.count(told) == 1 and text.count("bootstrap") == 1


def test_the_command(tmp_path: Path) -> None:
    for name, skill in (("base", 0.4), ("ours", 0.9)):
        write_run(tmp_path / name, grade_report(skill))
    save_report(grade_report(0.5), tmp_path / "remote.json")
    paths = [str(tmp_path / name) for name in ("base", "ours", "remote.json")]
    few = ["--bootstrap", "100"]
    shown = CliRunner().invoke(app, ["compare", *paths, *few, "-o", str(tmp_path / "out")])
    assert shown.exit_code == 0 and "ours − base" in shown.output and "remote" in shown.output
    assert len(list((tmp_path / "out").iterdir())) == 5
    found = CliRunner().invoke(
        app, ["compare", f"a={paths[0]}", f"b={paths[1]}", f"b={paths[2]}", *few, "--json"]
    )
    assert list(json.loads(found.output)["arms"]) == ["a", "b"]
    assert len(json.loads(found.output)["arms"]["b"]["accuracy"]["runs"]) == 2
    for form, start in (("csv", "what,of"), ("markdown", "| Arm |")):
        assert CliRunner().invoke(app, ["compare", *paths, *few, "--format", form]).output.startswith(start)


def test_what_the_command_cannot_compare(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", grade_report())
    (tmp_path / "empty").mkdir()
    for given, says in (
        ([run], "expected two or more"),
        ([run, run], "given twice"),
        ([run, tmp_path / "no"], "does not exist"),
        ([run, tmp_path / "empty"], "has no evaluation"),
    ):
        result = CliRunner().invoke(app, ["compare", *map(str, given)])
        assert result.exit_code == 2 and says in result.output
    again = write_run(tmp_path / "other" / "run", grade_report(0.9))
    assert list(read_arms([str(run), str(again)])) == [str(run), str(again)]


def test_tables() -> None:
    arms: Arms = {"base [red]": grade_report(0.4), "rft | x": [grade_report(0.6, seed) for seed in range(2)]}
    console = Console(width=80, record=True, file=StringIO())
    console.print(format_table(arms))
    text = console.export_text()
    assert "base [red]" in text and "Quadratic" in text and "± sd" in text
    assert text.count("[0.") == 2 * 5 and "…" not in text  # every interval whole, in 80 columns
    lines = markdown_table(arms).splitlines()
    assert lines[1].startswith("| --- | ---:") and len(lines) == 4
    assert "rft \\| x" in lines[3]
    assert metrics_table(localise_report()).row_count > 6
