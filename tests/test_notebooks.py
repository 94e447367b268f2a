"""The notebooks run from the first cell to the last, with short settings; they are kept without outputs."""

import json
import os
import re
import sys
from pathlib import Path
from typing import Any

import pytest

from helpers.documents import ROOT, wrong_command

NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
EACH = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
SHORT = {
    "demo": "LOCALISE, GRADE, CASES = 1, 1, 8",
    "own_images": "MODEL, STEPS = 'tiny', 1",
    "look_at_a_run": "RUN, STEPS = 'runs/looked-at', 2",
}


def cells(path: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(path.read_text("utf-8"))["cells"]
    return found


def tags(cell: dict[str, Any]) -> list[str]:
    return list(cell["metadata"].get("tags", []))


def test_they_are_those_that_the_documents_name() -> None:
    assert {path.stem for path in NOTEBOOKS} == set(SHORT)


@EACH
def test_they_are_kept_without_outputs(path: Path) -> None:
    code = [cell for cell in cells(path) if cell["cell_type"] == "code"]
    assert code and all(cell["outputs"] == [] and cell["execution_count"] is None for cell in code)
    assert [tags(cell) for cell in code][:2] == [["install"], ["parameters"]]
    for cell in cells(path):
        assert set(cell["metadata"]) <= {"tags"}  # no traces of who ran it where
    assert set(json.loads(path.read_text("utf-8"))["metadata"]) == {"kernelspec", "language_info"}


@EACH
def test_their_commands_exist(path: Path) -> None:
    lines = [
        re.sub(r"\{\w+\}", "x", line.strip().removeprefix("!"))
        for cell in cells(path)
        for line in "".join(cell["source"]).splitlines()
        if line.strip().startswith("!vrft")
    ]
    assert lines and [fault for line in lines if (fault := wrong_command(line))] == []


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # of what runs notebooks
@EACH
def test_they_run(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    nbclient = pytest.importorskip("nbclient", reason="needs nbclient (extra `dev`)")
    nbformat = pytest.importorskip("nbformat", reason="needs nbclient (extra `dev`)")
    pytest.importorskip("ipykernel", reason="needs ipykernel (extra `dev`)")
    scripts, work = tmp_path / "bin", tmp_path / "work"
    scripts.mkdir()
    work.mkdir()
    (scripts / "vrft").write_text(f'#!/bin/sh\nexec "{sys.executable}" -m vrft_aug "$@"\n')
    (scripts / "vrft").chmod(0o755)
    monkeypatch.setenv("PATH", f"{scripts}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("PYTHONPATH", str(ROOT / "src"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    notebook = nbformat.read(path, 4)
    kept = [cell for cell in notebook.cells if "install" not in tags(cell)]
    for cell in kept:
        if "parameters" in tags(cell):
            cell.source = SHORT[path.stem]
        # What a shell command prints is no error to a notebook, whatever its exit code.
        cell.source = (
            re.sub(
                r"^( *)(!.*)$", r"\1\2\n\1assert _exit_code == 0, _exit_code", cell.source, flags=re.MULTILINE
            )
            if cell.cell_type == "code"
            else cell.source
        )
    notebook.cells = kept
    nbclient.NotebookClient(
        notebook,
        timeout=1500,
        startup_timeout=600,
        kernel_name="python3",
        resources={"metadata": {"path": str(work)}},
    ).execute()
    said = json.dumps(notebook)
    assert "report" in said and list((work / "runs").glob("*/report.html"))
