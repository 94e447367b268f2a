"""A command that runs beside a test: watched, sent signals, and ended with all that it has started."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

TESTS = Path(__file__).parents[1]


@dataclass(frozen=True)
class Ended:
    """How a process has ended; negative codes are signals."""

    code: int
    out: str
    err: str


class Running:
    """A process with a session of its own, whose output goes to files."""

    def __init__(self, arguments: Sequence[str], folder: Path, name: str, **environment: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.files = [folder / f"{name}.{kind}" for kind in ("out", "err")]
        env = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join([str(TESTS.parent / "src"), str(TESTS)]),
            "OMP_NUM_THREADS": "1",
            "HF_HUB_OFFLINE": "1",
            **environment,
        }
        with self.files[0].open("wb") as out, self.files[1].open("wb") as err:
            self.process = subprocess.Popen(
                [sys.executable, *arguments], stdout=out, stderr=err, env=env, start_new_session=True
            )

    def wait(self, seconds: float) -> Ended:
        """Its end; killed with all that it has started, and an error, where it takes longer."""
        try:
            code = self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"a process did not end in {seconds} s: {self.said()[-2000:]}") from None
        return Ended(code, *(file.read_text(encoding="utf-8", errors="replace") for file in self.files))

    def kill(self) -> None:
        """End it and all that it has started."""
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def said(self) -> str:
        """What it has written to standard error so far."""
        return self.files[1].read_text(encoding="utf-8", errors="replace")

    def children(self) -> list[int]:
        """The processes that it has started, in the order of their ranks."""
        found = []
        for path in Path("/proc").glob("[0-9]*/stat"):
            try:
                fields = path.read_text().rpartition(")")[2].split()
            except OSError:
                continue
            if int(fields[1]) == self.process.pid:
                found.append(int(path.parent.name))
        return sorted(found)

    def until(self, file: Path, lines: int, seconds: float) -> None:
        """Wait until a file of the run has so many lines."""
        end = time.monotonic() + seconds
        while time.monotonic() < end and self.process.poll() is None:
            if file.is_file() and file.read_bytes().count(b"\n") >= lines:
                return
            time.sleep(0.05)
        raise AssertionError(f"{file.name} has no {lines} lines: {self.said()[-2000:]}")
