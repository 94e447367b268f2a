"""The page of a reader study, and ratings in the report of a run: escaped, and never of another."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from helpers.pages import check_self_contained
from helpers.reader_studies import desk, opened, read_all, write_evaluated
from helpers.synthetic_run import EVIL
from vrft_aug.cli import app
from vrft_aug.errors import UserError
from vrft_aug.report.page import write_report
from vrft_aug.report.readers_files import write_readers


def read_out(folder: Path, **settings: object) -> Path:
    """The folder of a study that its readers have read."""
    _, material, _ = opened(folder, cases=10, rating={"cases": 4}, **settings)
    one = desk(folder / "out", material)
    for reader in one.readers:
        read_all(one, reader)
    return folder / "out"


def test_page_tables_and_json_of_a_study(tmp_path: Path) -> None:
    folder = read_out(tmp_path, title=EVIL)
    done = CliRunner().invoke(app, ["readers", str(folder), "--bootstrap", "100"], env={"COLUMNS": "100"})
    assert done.exit_code == 0, done.output
    for said in ("Krippendorff's alpha", "Wrong model followed", "not in the picture", "model alone"):
        assert said in done.output
    html = (folder / "readers.html").read_text()
    check_self_contained(html)
    assert "<script>" not in html and "Led astray" in html and "Ratings of the model’s reasons" in html
    plain = CliRunner().invoke(app, ["readers", str(folder), "--bootstrap", "100", "--json"])
    assert json.loads(plain.stdout) == json.loads((folder / "readers.json").read_text())
    assert (folder / "readings.csv").read_text().count("\n") == 1 + 3 * 24


def test_ratings_are_in_the_report_of_their_run_alone(tmp_path: Path) -> None:
    folder, run, said = read_out(tmp_path), tmp_path / "run", list[str]()
    write_readers(folder, tmp_path / "elsewhere", 100, said.append)
    assert (tmp_path / "elsewhere" / "readers.html").is_file() and not (folder / "readers.html").exists()
    page = write_report(run).read_text()
    assert "What raters made of its reasons" in page and "3 raters rated the reasons of 4 cases" in page
    check_self_contained(page)
    write_evaluated(run, skill=0.2)  # evaluated anew: other reasons
    assert "What raters made" not in write_report(run).read_text()
    write_readers(folder, None, 100, said.append)
    assert "evaluated anew since" in said[-1]
    (run / "reasons.json").write_text("{")
    with pytest.raises(UserError, match=r"reasons\.json cannot be read"):
        write_report(run)


def test_what_cannot_be_analysed_is_one_line(tmp_path: Path) -> None:
    _, material, _ = opened(tmp_path, cases=4)
    with pytest.raises(UserError, match=r"holds no study\.json"):
        write_readers(tmp_path)
    one = desk(tmp_path / "out", material)
    with pytest.raises(UserError, match="no answers yet"):
        write_readers(tmp_path / "out")
    read_all(one, "good", 3)
    log = tmp_path / "out" / "answers" / "good.jsonl"
    log.write_bytes(log.read_bytes() + b'{"place": 3, "ses')
    analysis = write_readers(tmp_path / "out", replicates=100)
    assert any("crash cut off" in note for note in analysis.notes)
    log.write_bytes(b"x" + log.read_bytes())
    done = CliRunner().invoke(app, ["readers", str(tmp_path / "out")])
    assert done.exit_code == 2 and "line 1 of" in done.output and done.output.count("\n") == 1
    (tmp_path / "out" / "study.json").write_text("{}")
    with pytest.raises(UserError, match="expected what `vrft ui --study` wrote"):
        write_readers(tmp_path / "out")
