"""Runs of two processes that are killed at random moments, one process or all, and resumed: equal in the end.

VRFT_KILLS says how many kills (3 without it); a seed each, so that a failure can be looked at again.
"""

from __future__ import annotations

import os
import random
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from helpers.run_checks import lines, same_run
from helpers.running import Running
from helpers.shades import GRPO, SFT, shade_recipe
from vrft_aug.recipe.file import save_recipe

KILLS = int(os.environ.get("VRFT_KILLS", "3"))
A_RUN = 7  # kills at most, of a run
TIGHT = {"threshold": {"start": 0.2, "end": 0.9, "step": 0.1, "window": 1, "success": 0.3}}
STAGE: dict[str, Any] = {
    **GRPO, "steps": 24, "prompts_per_step": 4, "save_steps": 2,
    "rewards": {"format": 0.5, "helpers.shades:sometimes": 2.0, "helpers.shades:rising": TIGHT},
    "mix": {"spot": {"share": 0.25, "rewards": {"iou_threshold": TIGHT, "helpers.shades:spread": 1.0}}},
    "dynamic_sampling": {"mode": "resample", "budget": 3},
}  # fmt: skip
ENDS = 90  # seconds in which all processes are gone, once one of them is


def start(recipe: Path, run: Path, *more: str) -> Running:
    call = ["-m", "vrft_aug", "train", str(recipe), "--output", str(run), "--processes", "2", *more]
    return Running(call, run.parent / "said", run.name)


def kill(seed: int, running: Running, run: Path) -> str | None:
    """Kill a process or all at a random moment of training; what was killed, None where it had ended."""
    source, log = random.Random(seed), run / "metrics.jsonl"
    begun = len(lines(log)) if log.is_file() else 0
    wanted, whom = begun + source.randint(0, 4), source.choice(["main", "other", "all"])
    moment = source.random()
    end = time.monotonic() + 240
    while running.process.poll() is None and time.monotonic() < end:
        if log.is_file() and log.read_bytes().count(b"\n") >= max(1, wanted):
            break
        time.sleep(0.02)
    time.sleep(moment)
    ranks = running.children()
    if running.process.poll() is not None or len(ranks) < 2:
        return None
    if whom == "all":
        running.kill()
        for rank in ranks:  # they have sessions of their own
            os.kill(rank, signal.SIGKILL)
        time.sleep(0.5)
    else:
        os.kill(ranks[whom == "other"], signal.SIGKILL)
        assert running.wait(ENDS).code == 128 + signal.SIGKILL
        assert f"process {int(whom == 'other')} of 2 was killed by SIGKILL" in running.said()
    return f"{whom} after {wanted} lines and {moment:.2f} s"


@pytest.mark.slow
def test_a_run_that_is_killed_again_and_again_comes_out_equal(random_policy: Path, tmp_path: Path) -> None:
    path = tmp_path / "recipe.yaml"
    save_recipe(shade_recipe(random_policy, SFT, STAGE, evaluation={"base": False}), path)
    assert start(path, tmp_path / "whole").wait(300).code == 0
    done: list[str] = []
    seed = 0
    while len(done) < KILLS:
        run, before, code = tmp_path / f"killed{seed}", len(done), -1
        while code != 0:
            resume = ("--resume",) if (run / "recipe.yaml").is_file() else ()
            running = start(path, run, *resume)
            wanted = len(done) < min(KILLS, before + A_RUN)
            killed = kill(seed, running, run) if wanted else None
            seed += wanted
            if killed is None:
                ended = running.wait(300)
                code = ended.code
                assert code == 0, ended.err
            else:
                done.append(killed)
        same_run(tmp_path / "whole", run)
        print(f"{len(done)} kills so far; {done[before:]}: equal", flush=True)
