"""What a user's own reward or reader gets wrong, and what the operating system refuses, ends in one line."""

import errno
import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner, Result

from helpers.data_files import CSV, recipe_mapping, save_table
from vrft_aug.cli import app
from vrft_aug.errors import told_by_system

OWN = """
def raises(answer):
    return colours()["red"]
def colours():
    return {}
def text(answer): return "good"
def nan(answer): return float("nan")
def several(answer): return [1.0, 0.0]
def lacking(answer, mood): return 1.0
def read(root, split, task): return slow()
def slow(): raise ValueError("no table in\\nsight")
def no_task(root, split): return []
def numbers(root, split, task): return [1, 2]
def nothing(root, split, task): return None
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "own_code.py").write_text(OWN)
    monkeypatch.syspath_prepend(tmp_path)
    save_table(tmp_path)
    return tmp_path


def run(folder: Path, reward: str = "accuracy", reader: str = "", debug: bool = False) -> Result:
    """`vrft score` on one line, with a reward or a reader of the user's own."""
    recipe = recipe_mapping(folder, "classify", ["dark", "bright"], {"reader": reader} if reader else CSV)
    recipe["stages"][0]["rewards"] = {reward: 1.0}
    (folder / "mine.yaml").write_text(yaml.safe_dump(recipe))
    line = {"case": "set/train/i0", "completion": "<think>x</think><answer>dark</answer>"}
    (folder / "said.jsonl").write_text(json.dumps(line) + "\n")
    command = ["score", str(folder / "mine.yaml"), str(folder / "said.jsonl")]
    return CliRunner().invoke(app, ["--debug", *command] if debug else command)


@pytest.mark.parametrize(
    ("reward", "wanted"),
    [
        ("raises", "'own_code:raises' failed on case 'set/train/i0': KeyError: 'red'"),
        ("text", "'own_code:text' returned 'good' for case 'set/train/i0'; expected a finite number or None"),
        ("nan", "'own_code:nan' returned nan for case"),
        ("several", "'own_code:several' returned a list for case"),
        ("lacking", "reward 'own_code:lacking' needs the setting 'mood'"),
    ],
)
def test_a_reward_of_ones_own(folder: Path, reward: str, wanted: str) -> None:
    found = run(folder, f"own_code:{reward}")
    assert found.exit_code == 2 and wanted in found.stderr
    assert found.stderr.count("\n") == 1 and len(found.stderr) < 500


@pytest.mark.parametrize(
    ("reader", "wanted"),
    [
        (
            "read",
            "reader 'own_code:read' failed for split 'test' of task 'look': ValueError: no table in sight",
        ),
        ("no_task", "TypeError: no_task() got an unexpected keyword argument 'task'"),
        ("numbers", "reader 'own_code:numbers' gave a int; expected vrft_aug.Case"),
        ("nothing", "TypeError: 'NoneType' object is not iterable"),
    ],
)
def test_a_reader_of_ones_own(folder: Path, reader: str, wanted: str) -> None:
    found = run(folder, reader=f"own_code:{reader}")
    assert found.exit_code == 2 and wanted in found.stderr
    assert found.stderr.count("\n") == 1 and len(found.stderr) < 500


def test_debug_shows_the_trace_of_the_users_code_alone(folder: Path) -> None:
    found = run(folder, "own_code:raises", debug=True)
    assert found.exit_code == 2
    assert 'own_code.py", line 3, in raises' in found.stderr and "KeyError: 'red'" in found.stderr
    assert "plugins.py" not in found.stderr
    assert found.stderr.splitlines()[-1].startswith("error: reward 'own_code:raises' failed")


@pytest.mark.parametrize(
    ("error", "wanted"),
    [
        (
            OSError(errno.ENOSPC, "No space left on device"),
            "what was complete before is kept: free some space",
        ),
        (
            PermissionError(errno.EACCES, "Permission denied", "/x/y"),
            "/x/y cannot be used: Permission denied",
        ),
        (RuntimeError("[enforce fail at inline_container.cc:672] . unexpected pos 64 vs 0"), "no space left"),
        (
            RuntimeError("I/O error: No space left on device (os error 28)"),
            "no space",
        ),
        (RuntimeError("shapes do not fit"), None),
        (FileNotFoundError(errno.ENOENT, "No such file", "x"), None),
    ],
)
def test_what_the_system_refuses(error: Exception, wanted: str | None) -> None:
    line = told_by_system(error)
    assert (line is None) == (wanted is None) and (wanted or "") in (line or "")


def test_an_output_below_a_file_is_one_line(folder: Path) -> None:
    (folder / "file").write_text("")
    run(folder)
    command = ["init", "retinamnist", str(folder / "file" / "mine.yaml")]
    found = CliRunner().invoke(app, command)
    assert found.exit_code == 2 and found.stderr.startswith("error: ") and found.stderr.count("\n") == 1


@pytest.fixture
def tiny_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of one megabyte."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = shutil.which("mount")
    if (
        mount is None
        or subprocess.run(
            [mount, "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(disk)], capture_output=True, check=False
        ).returncode
    ):
        pytest.skip("no tmpfs can be mounted here")
    yield disk
    subprocess.run(["umount", "-l", str(disk)], check=True)


def test_a_full_disk_leaves_the_old_file(tiny_disk: Path) -> None:
    from vrft_aug.files import write_bytes

    kept = tiny_disk / "kept"
    write_bytes(kept, b"old" * 1000)
    with pytest.raises(OSError, match="No space left") as caught:
        write_bytes(kept, b"n" * (2 << 20))
    assert kept.read_bytes() == b"old" * 1000 and [path.name for path in tiny_disk.iterdir()] == ["kept"]
    assert "free some space" in str(told_by_system(caught.value))
