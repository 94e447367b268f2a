"""Several processes of one command, as a launcher starts them: their environment, and what each said."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

TESTS = Path(__file__).parents[1]


@dataclass(frozen=True)
class Said:
    """What one process ended with."""

    code: int
    out: str
    err: str


def launch(arguments: Sequence[str], count: int = 2, limit: float = 300) -> list[Said]:
    """`python ARGUMENTS` in `count` processes of one thread, by rank; all are killed after `limit` seconds.

    As torchrun does, the others are told to stop once one has failed.
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    path = os.pathsep.join([*filter(None, [os.environ.get("PYTHONPATH")]), str(TESTS)])
    shared = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "WORLD_SIZE": str(count)}
    shared |= {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "PYTHONPATH": path}
    running = [
        subprocess.Popen(
            [sys.executable, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            env={**os.environ, **shared, "RANK": str(rank), "LOCAL_RANK": str(rank)}, start_new_session=True,
        )
        for rank in range(count)
    ]  # fmt: skip
    until = time.monotonic() + limit
    while time.monotonic() < until and any(one.poll() is None for one in running):
        if any(one.poll() for one in running):
            until = min(until, time.monotonic() + 10)  # time to say why
        time.sleep(0.05)
    for one in running:
        if one.poll() is None:
            os.killpg(one.pid, signal.SIGKILL)
    said = [one.communicate() for one in running]
    return [Said(one.returncode, out, err) for one, (out, err) in zip(running, said, strict=True)]
