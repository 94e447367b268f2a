"""Two commands never write into one run folder at once, and a killed owner leaves nothing behind."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from vrft_aug.errors import UserError
from vrft_aug.run.lock import run_locked

HOLD = """
import sys, time
from pathlib import Path
from vrft_aug.run.lock import run_locked
with run_locked(Path(sys.argv[1]), "vrft train"):
    Path(sys.argv[1], "metrics.jsonl").write_text("")
    print("held", flush=True)
    time.sleep(60)
"""


def test_the_second_is_told_who_holds_it_and_a_killed_owner_lets_go(tmp_path: Path) -> None:
    run = tmp_path / "run"
    command = [sys.executable, "-c", HOLD, str(run)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as owner:
        try:
            assert owner.stdout is not None and owner.stdout.readline() == "held\n"
            wanted = rf"is being written by vrft train \(process {owner.pid} on .*, since 20\d\d-"
            with pytest.raises(UserError, match=wanted), run_locked(run, "vrft evaluate"):
                pytest.fail("two hold one run")
        finally:
            owner.send_signal(signal.SIGKILL)
    with run_locked(run, "vrft evaluate"):
        pass
    assert (run / "metrics.jsonl").exists()


def test_a_folder_made_for_nothing_goes_again(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), run_locked(tmp_path / "a" / "run", "vrft train"):
        raise ZeroDivisionError
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(os.geteuid() == 0, reason="root writes everywhere")
def test_a_folder_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "closed").mkdir(mode=0o500)
    with pytest.raises(UserError, match="cannot be written to"), run_locked(tmp_path / "closed" / "r", "x"):
        pass


def test_a_file_in_the_way_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot be written to"), run_locked(tmp_path / "file" / "run", "x"):
        pass
