"""A study from file to page: what is run, what is kept, what fails, and that a kill loses nothing."""

import csv
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from helpers.pages import check_self_contained
from helpers.synthetic_run import grade_report, write_run
from vrft_aug.cli import app
from vrft_aug.errors import UserError
from vrft_aug.evaluation.report_data import load_report
from vrft_aug.experiments.study import local_cells
from vrft_aug.experiments.study.cells import study_cells
from vrft_aug.experiments.study.slurm_cells import run_slurm
from vrft_aug.experiments.study.study_file import load_study
from vrft_aug.experiments.study.study_run import Places, dry_run, run_study
from vrft_aug.run.lock import run_locked

FACTORS = {
    "knowledge": {
        "off": {"stages.grade.injection.style": "none", "evaluation.injection.style": "none"},
        "on": {},
    },
    "training": {"ours": {}, "<b>sft</b>": {"arm": "sft"}},
}
# Stands in for the process of a cell: a finished run, made before, or a failure, by what the recipe says.
STUB = """
import pathlib, shutil, sys
recipe, run, made = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]), pathlib.Path(__file__).parent
text = recipe.read_text()
if "learning_rate: 0.5" in text:
    print("loading"); print("error: <i>the rate</i> is too high"); sys.exit(2)
with (made / "called.txt").open("a") as file:
    file.write(run.name + chr(10))
shutil.copytree(made / ("sft" if "method: sft" in text else "ours"), run)
"""


def save(folder: Path, changes: dict[str, Any] | None = None) -> str:
    content = {
        "name": "small",
        "recipe": "fundus-demo",
        "seeds": 2,
        "factors": FACTORS,
        "metrics": ["accuracy"],
    }
    (folder / "small.yaml").write_text(
        yaml.safe_dump(content | (changes or {}), sort_keys=False), encoding="utf-8"
    )
    return str(folder / "small.yaml")


@pytest.fixture
def stub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    made = tmp_path / "made"
    for name, skill in (("ours", 0.9), ("sft", 0.4)):
        run = write_run(made / name, grade_report(skill), stages=("warm-up", "grading"))
        (run / "run.json").write_text(json.dumps({"stages": {"grading": {"steps": 60, "seconds": 30.0}}}))
        (run / "report.html").write_text("a page")
    (made / "stub.py").write_text(STUB)
    monkeypatch.setattr(local_cells, "ONE_CELL", (sys.executable, str(made / "stub.py")))
    return made


def called(stub: Path) -> list[str]:
    return (stub / "called.txt").read_text().split() if (stub / "called.txt").is_file() else []


def run(folder: Path, source: str, anew: bool = False, jobs: int = 2) -> tuple[Places, list[str], list[Any]]:
    places, said = Places(folder / "study", folder / "cells"), list[str]()
    return places, said, run_study(load_study(source), places, jobs, False, anew, said.append)


def test_from_file_to_page(tmp_path: Path, stub: Path) -> None:
    places, said, failed = run(tmp_path, save(tmp_path))
    assert not failed and said[0] == "small: 6 trainings, 0 finished, 6 to run"
    assert len(called(stub)) == len(set(called(stub))) == 6  # sft is the same with knowledge and without
    page = (places.study / "report.html").read_text(encoding="utf-8")
    check_self_contained(page, runs=True)
    assert "Apart from zero, corrected for 3 tests: training: &lt;b&gt;sft&lt;/b&gt;" in page
    assert "<b>sft" not in page
    table = (places.study / "cells.csv").read_text(encoding="utf-8").splitlines()
    rows = list(csv.DictReader(table))
    assert len(rows) == 8 and rows[0]["knowledge"] == "off" and float(rows[0]["seconds"]) == 30
    assert all((places.study / row["report"]).is_file() for row in rows)
    ours = load_report(stub / "ours" / "evaluation.json").metrics["accuracy"].value
    assert float(rows[0]["accuracy"]) == pytest.approx(ours)
    table = (places.study / "effects.csv").read_text(encoding="utf-8").splitlines()
    effects = {row["effect"]: row for row in csv.DictReader(table)}
    assert float(effects["knowledge: on"]["value"]) == 0
    assert float(effects["training: <b>sft</b>"]["high"]) < 0


def test_what_has_finished_is_kept_and_shared(tmp_path: Path, stub: Path) -> None:
    run(tmp_path, save(tmp_path))
    before = called(stub)
    _, said, _ = run(tmp_path, save(tmp_path))
    assert called(stub) == before and said == ["small: 6 trainings, 6 finished, 0 to run"]
    shutil.rmtree(tmp_path / "cells" / before[0])
    _, said, _ = run(tmp_path, save(tmp_path, {"seeds": 3}))
    anew = called(stub)[6:]  # two at a time: in either order
    assert len(anew) == 1 + 3 and anew.count(before[0]) == 1


def test_a_cell_that_fails_is_told_and_the_others_go_on(tmp_path: Path, stub: Path) -> None:
    factors = {"rate": {"low": {}, "high": {"stages.grade.trainer.learning_rate": 0.5}}}
    source = save(tmp_path, {"factors": factors, "seeds": 1})
    places, said, failed = run(tmp_path, source, jobs=1)
    assert [(one.levels, one.failed) for one in failed] == [(("high",), "<i>the rate</i> is too high")]
    assert any("rate high, seed 0: FAILED: <i>the rate</i> is too high" in line for line in said)
    page = (places.study / "report.html").read_text(encoding="utf-8")
    assert "&lt;i&gt;the rate&lt;/i&gt; is too high" in page and "1 of 2 trainings have finished." in page
    result = CliRunner().invoke(app, [*_command(source, places)])
    assert result.exit_code == 1 and "FAILED" in result.output


def _command(source: str, places: Places) -> list[str]:
    return ["study", source, "--output", str(places.study), "--runs", str(places.runs)]


def test_a_changed_recipe_under_finished_cells_is_refused(tmp_path: Path, stub: Path) -> None:
    places, *_ = run(tmp_path, save(tmp_path))
    changed = save(tmp_path, {"set": {"stages.grade.steps": 41}})
    with pytest.raises(UserError, match="training ours, seed 0 was finished with another"):
        run(tmp_path, changed)
    with pytest.raises(UserError, match="was finished with another recipe"):
        dry_run(load_study(changed), places)
    result = CliRunner().invoke(app, _command(changed, places))
    assert result.exit_code == 2 and result.output.count("\n") == 1
    _, said, _ = run(tmp_path, changed, anew=True)
    assert said[0] == "small: 6 trainings, 0 finished, 6 to run"


def test_a_dry_run_writes_nothing_and_tells_hours_from_what_has_finished(tmp_path: Path, stub: Path) -> None:
    places = Places(tmp_path / "study", tmp_path / "cells")
    lines = dry_run(load_study(save(tmp_path)), places)
    assert lines[-2] == "6 trainings, 0 finished, 6 to run" and "vrft plan" in lines[-1]
    assert not places.study.exists() and not places.runs.exists()
    run(tmp_path, save(tmp_path))
    lines = dry_run(load_study(save(tmp_path, {"seeds": 3})), places)
    assert lines[-1].startswith("about 0.0 hours") and sum("finished, " in line for line in lines) >= 8


def test_a_page_in_markdown_of_what_has_finished(tmp_path: Path, stub: Path) -> None:
    factors = {"training": {"ours": {}, "sft <|b>": {"arm": "sft"}}}
    source = save(tmp_path, {"factors": factors, "also": ["answered", "confidence_error"], "question": "Q?"})
    page, places = tmp_path / "page.md", ["-o", str(tmp_path / "study"), "--runs", str(tmp_path / "cells")]
    command = ["study", source, *places, "--markdown", str(page)]
    assert CliRunner().invoke(app, command).exit_code == 0
    text = page.read_text(encoding="utf-8")
    assert text.startswith(f"# Measured: Q?\n\nGenerated by `vrft study {source} --markdown {page}`; do not")
    assert "Not run yet: none of the trainings has finished" in text and "|" not in text
    run(tmp_path, source)
    before = called(stub)
    assert CliRunner().invoke(app, command).exit_code == 0
    text = page.read_text(encoding="utf-8")
    assert called(stub) == before and "Not whole" not in text
    assert "- training: sft &lt;\\|b>: worse in Accuracy." in text
    (row,) = [line for line in text.splitlines() if line.startswith("| training: sft")][:1]
    assert row.endswith(" **worse** |") and "| -0." in row
    cells = text.split("## Every cell")[1].strip().splitlines()
    assert [line.count(" | ") for line in cells] == [4] * 4  # cell, seeds, accuracy, answered, and none has
    assert cells[2].startswith("| none of them | 2 | ") and cells[2].endswith(" | – |")
    shutil.rmtree(tmp_path / "cells" / before[-1])
    assert CliRunner().invoke(app, command).exit_code == 0
    assert "**Not whole: 3 of 4 trainings have finished.**" in page.read_text(encoding="utf-8")
    refused = CliRunner().invoke(app, [*command, "--dry-run"])
    assert refused.exit_code == 2


def test_a_study_runs_once_at_a_time(tmp_path: Path, stub: Path) -> None:
    with run_locked(tmp_path / "study", "vrft study"), pytest.raises(UserError, match="is being written by"):
        run(tmp_path, save(tmp_path))


def test_a_list_and_a_name_that_is_none() -> None:
    listed = CliRunner().invoke(app, ["study", "--list"])
    assert listed.exit_code == 0 and "augmentations: What does each" in listed.output
    assert CliRunner().invoke(app, ["study"]).exit_code == 2


TINY = {
    "seeds": 1,
    "set": {
        "tasks.grade.data.train": 16, "tasks.grade.data.test": 8, "tasks.lesions.data.train": 16,
        "tasks.lesions.data.test": 8, "stages.grade.steps": 2, "stages.grade.prompts_per_step": 2,
        "stages.grade.generations": 2, "stages.grade.max_new_tokens": 16, "stages.grade.save_steps": 1,
        "evaluation.max_new_tokens": 16, "evaluation.bootstrap": 100,
    },
    "factors": {
        "knowledge": {
            "off": {"drop": ["localise"], "set": {"stages.grade.injection.style": "none"}},
            "on": {"drop": ["localise"]},
        },
        "training": {"ours": {}, "start": {"arm": "untrained"}},
    },
}  # fmt: skip


@pytest.mark.slow
def test_ten_kills_leave_finished_cells_alone_and_the_result_equal(tmp_path: Path) -> None:
    source = save(tmp_path, TINY)
    command = [sys.executable, "-m", "vrft_aug", "study", source]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}

    def start(name: str) -> "subprocess.Popen[bytes]":
        places = ["--output", str(tmp_path / name / "study"), "--runs", str(tmp_path / name / "cells")]
        return subprocess.Popen([*command, *places], env=environment, stderr=subprocess.DEVNULL)

    assert start("whole").wait(600) == 0
    luck = random.Random(0)
    for _ in range(10):
        before = _finished(tmp_path / "killed" / "cells")
        study = start("killed")
        time.sleep(luck.uniform(2, 30))
        study.send_signal(signal.SIGKILL)
        study.wait(60)
        time.sleep(2)  # its cell sees within half a second that it is alone
        after = _finished(tmp_path / "killed" / "cells")
        assert {name: after[name] for name in before} == before
    assert start("killed").wait(600) == 0
    whole, killed = (_results(tmp_path / name / "cells") for name in ("whole", "killed"))
    assert len(whole) == 3 and whole == killed
    effects = [(tmp_path / name / "study" / "effects.csv").read_text() for name in ("whole", "killed")]
    assert effects[0] == effects[1]


def _finished(cells: Path) -> dict[str, list[tuple[str, int]]]:
    """Of every finished run, its files with the times they were written."""
    return {
        run.parent.name: sorted((str(p), p.stat().st_mtime_ns) for p in run.parent.rglob("*") if p.is_file())
        for run in cells.glob("*/report.html")
        if (run.parent / "evaluation.json").is_file()
    }


def _results(cells: Path) -> dict[str, Any]:
    found = {}
    for run in cells.iterdir():
        report = load_report(run / "evaluation.json")
        weights = run / "model" / "model.safetensors"
        found[run.name] = report.rows, weights.read_bytes() if weights.is_file() else b""
    return found


@pytest.mark.slow
def test_jobs_of_a_cluster_do_the_same(tmp_path: Path) -> None:
    """By submitit's executor for one machine; its Slurm executor takes the same calls."""
    cells = study_cells(load_study(save(tmp_path, TINY)), tmp_path / "cells")[:2]
    told: list[tuple[str, str]] = []
    run_slurm(
        cells, tmp_path / "work", 1, lambda cell, reason: told.append((cell.called, reason)),
        {"timeout_min": 10}, cluster="local", pause=0.5,
    )  # fmt: skip
    assert [reason for _, reason in told] == ["", ""] and all(cell.finished for cell in cells)
    with pytest.raises(UserError, match="submitit refuses it"):
        run_slurm(cells, tmp_path / "work", 1, lambda *_: None, {"timeout_minutes": 10}, cluster="local")
