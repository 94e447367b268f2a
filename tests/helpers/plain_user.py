"""The command line as a user for whom closed folders are closed, even where root runs the tests."""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
from pathlib import Path

import pytest

PR_CAPBSET_DROP, OVERRIDE, READ_SEARCH = 24, 1, 2  # linux/prctl.h, linux/capability.h


def _give_up() -> None:
    for capability in (OVERRIDE, READ_SEARCH):
        ctypes.CDLL(None).prctl(PR_CAPBSET_DROP, capability, 0, 0, 0)


def vrft(*arguments: str | Path, home: Path | None = None, cwd: Path | None = None) -> tuple[int, str, str]:
    """Exit code, stdout and stderr of `vrft ...`, with no cache but what HOME gives."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("HF_", "XDG_", "MPL"))}
    tests = Path(__file__).parents[1]
    path = os.pathsep.join([str(tests.parent / "src"), str(tests)])
    environment = {**kept, "PYTHONPATH": path, "HF_HUB_OFFLINE": "1", **({"HOME": str(home)} if home else {})}
    done = subprocess.run(
        [sys.executable, "-m", "vrft_aug", *map(str, arguments)],
        capture_output=True, text=True, cwd=cwd, env=environment, check=False,
        preexec_fn=_give_up if os.geteuid() == 0 else None,
    )  # fmt: skip
    return done.returncode, done.stdout, done.stderr


def need_closed_folders(folder: Path) -> None:
    """Skip where even a closed folder can be written to."""
    code = f"open({str(folder / 'probe')!r}, 'w')"
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        check=False,
        preexec_fn=_give_up if os.geteuid() == 0 else None,
    )
    if done.returncode == 0:
        pytest.skip("folders cannot be closed to this user")
